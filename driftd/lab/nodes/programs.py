"""What a node runs that driftd builds itself: Kubernetes' programs, Cilium's datapath, CoreDNS, the pods' program."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from driftd.lab.build import Patch, Recipe, cache_folder, cached, ensure
from driftd.lab.toolchain import Say

LLVM_FOLDER = Path("/usr/lib/llvm-14/bin")
"""Where Debian's LLVM 14 keeps its programs under their plain names: the datapath compiles with no newer one."""
_MODULES = Path(__file__).parent / "go"

KUBERNETES = Recipe(
    label="kubelet, kube-proxy and kube-scheduler",
    cost="about 1 minute after the control plane, which shares their packages",
    module=_MODULES / "kubernetes",
    pinned="k8s.io/kubernetes",
    programs=(("driftd-node", "."), ("pod", "./pod")),
)
COREDNS = Recipe(
    label="CoreDNS",
    cost="about 1 minute on 2 cores",
    module=_MODULES / "coredns",
    pinned="github.com/coredns/coredns",
    programs=(("coredns", "."),),
)
CILIUM = Recipe(
    label="Cilium's agent and CNI plug-in",
    cost="about 3 minutes on 2 cores",
    module=_MODULES / "cilium",
    pinned="github.com/cilium/cilium",
    programs=(("cilium-agent", "./agent"), ("cilium-cni", "./cni")),
    extras=(("bpf", "bpf"), ("pkg/k8s/apis/cilium.io/client/crds", "crds")),
    # The agent asks which kernel modules are loaded, and gives up where the kernel can load none: no such file there.
    patch=Patch(
        file="pkg/datapath/linux/modules/modules_linux.go",
        old="	fModules, err := os.Open(loadedModulesFilepath)\n	if err != nil {\n",
        new="	fModules, err := os.Open(loadedModulesFilepath)\n	if errors.Is(err, os.ErrNotExist) {\n"
        "		return nil, nil\n	}\n	if err != nil {\n",
    ),
)


@dataclass(frozen=True, slots=True)
class NodePrograms:
    """Where they are. `kubernetes` takes the part's name as its first argument."""

    kubernetes: Path
    pod: Path
    coredns: Path
    cilium: Path
    """A folder: `cilium-agent`, `cilium-cni`, the datapath's sources in `bpf`, the custom resources in `crds`."""


def ready_node_programs(environ: Mapping[str, str]) -> NodePrograms | None:
    """The programs if they can be had at once, without a build."""
    found = [cached(recipe, cache_folder(environ)) for recipe in (KUBERNETES, COREDNS, CILIUM)]
    kubernetes, coredns, cilium = found
    if kubernetes is None or coredns is None or cilium is None:
        return None
    return _programs(kubernetes, coredns, cilium)


def ensure_node_programs(environ: Mapping[str, str], say: Say) -> NodePrograms:
    """The programs, built if need be. Blocks, for minutes the first time. Raises `ProgramsUnavailableError`."""
    cache = cache_folder(environ)
    kubernetes, coredns, cilium = (ensure(recipe, cache, environ, say) for recipe in (KUBERNETES, COREDNS, CILIUM))
    return _programs(kubernetes, coredns, cilium)


def _programs(kubernetes: Path, coredns: Path, cilium: Path) -> NodePrograms:
    return NodePrograms(kubernetes / "driftd-node", kubernetes / "pod", coredns / "coredns", cilium)
