"""A node's configuration files parse as their programs parse them, and keep to the node."""

import json
import tomllib
from pathlib import Path

import pytest

from driftd.lab.nodes.configuration import (
    NodeFiles,
    agent_flags,
    containerd_configuration,
    kubelet_configuration,
    network_configuration,
    proxy_configuration,
)

FILES = NodeFiles(Path('/a folder with "quotes"/node-1'))


@pytest.mark.parametrize("restrict", [True, False])
def test_containerd_reads_its_paths_whatever_is_in_them(restrict: bool) -> None:
    read = tomllib.loads(containerd_configuration(FILES, "example.dev/pod:lab", restrict_oom_scores=restrict))
    cri = read["plugins"]["io.containerd.grpc.v1.cri"]
    assert read["root"] == str(FILES.containerd)
    assert cri["cni"] == {"bin_dir": str(FILES.cni_programs), "conf_dir": str(FILES.cni_configuration)}
    assert cri["restrict_oom_score_adj"] is restrict
    assert cri["sandbox_image"] == "example.dev/pod:lab"


def test_every_kubelet_has_a_cgroup_of_its_own_and_answers_nobody_unknown() -> None:
    text = kubelet_configuration(
        FILES,
        address="10.99.0.11",
        cluster_dns="10.96.0.10",
        cgroup="driftd-lab-0/node-1",
        root=Path("/ca.crt"),
        certificate=Path("/kubelet.crt"),
        key=Path("/kubelet.key"),
    )
    read = json.loads(text)
    assert read["cgroupRoot"] == "/driftd-lab-0/node-1"
    assert read["authentication"]["anonymous"] == {"enabled": False}
    assert read["authorization"] == {"mode": "Webhook"}
    assert read["makeIPTablesUtilChains"] is False


def test_the_proxy_leaves_the_machines_connection_table_alone() -> None:
    read = json.loads(proxy_configuration(FILES, "node-1", "10.99.0.11"))
    assert read["conntrack"]["maxPerCore"] == 0
    assert read["mode"] == "nftables"


def test_the_agent_leaves_services_to_the_proxy_and_the_network_names_its_plug_in() -> None:
    flags = agent_flags(FILES, Path("/programs"))
    assert "--kube-proxy-replacement=false" in flags
    assert "--lib-dir=/programs" in flags
    assert json.loads(network_configuration())["plugins"][0]["type"] == "cilium-cni"
