"""Which world `explain` and `matrix` ask: what the command line names, else a cluster at hand, else the model."""

from pathlib import Path
from typing import Any

import pytest

from driftd.cli.failures import CommandError
from driftd.cli.worlds.asking import Wanted, wanted
from tests.support.cli import driftd, write_model
from tests.support.flow_worlds import ACME, GLOBEX, WORKLOADS

QUESTION = ("explain", "acme-prod/web", "acme-prod/db:db")


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return write_model(tmp_path / "models", acme=ACME, globex=GLOBEX)


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Path:
    """Of a cluster that does not answer."""
    file = tmp_path / "kubeconfig"
    file.write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: x\n"
        "clusters: [{name: x, cluster: {server: 'http://127.0.0.1:1'}}]\n"
        "users: [{name: x, user: {token: t}}]\n"
        "contexts: [{name: x, context: {cluster: x, user: x}}]\n"
    )
    return file


def meant(**said: Any) -> Wanted:
    nothing: dict[str, Any] = dict.fromkeys(("models", "manifests", "kubeconfig", "context", "dialect"))
    return wanted(**{**nothing, **said})


def test_in_a_pod_its_cluster_is_asked_and_the_model_of_the_environment_is_only_lent(models: Path) -> None:
    found = meant(models=models, in_pod=True)
    assert (found.cluster, found.live, found.models) == (True, True, models)
    assert meant(in_pod=True).cluster, "also where there is no model"


def test_in_a_pod_what_the_command_line_names_is_asked_all_the_same(models: Path, tmp_path: Path) -> None:
    assert not meant(models=models, in_pod=True, only_models=True).live
    found = meant(models=models, manifests=[tmp_path], in_pod=True)
    assert (found.cluster, found.live) == (False, True)


def test_outside_of_a_pod_the_model_is_asked_unless_live_state_is_named(models: Path, kubeconfig: Path) -> None:
    assert not meant(models=models).live
    assert meant(models=models, kubeconfig=kubeconfig).cluster
    assert meant(models=models, context="prod").cluster


def test_nothing_to_ask_is_wrong_usage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CommandError, match="what is asked"):
        meant()


def test_a_model_on_the_command_line_is_not_overruled_by_a_kubeconfig_of_the_environment(
    models: Path, kubeconfig: Path
) -> None:
    env = {"DRIFTD_API__KUBECONFIG": str(kubeconfig)}
    assert driftd(*QUESTION, "--models", models, env=env).code == 0
    assert "cannot be asked" in driftd(*QUESTION, env={**env, "DRIFTD_MODEL__PATH": str(models)}).err


def test_every_answer_names_its_source(models: Path, tmp_path: Path) -> None:
    (tmp_path / "live").mkdir()
    (tmp_path / "live" / "all.yaml").write_text(WORKLOADS)
    live = ("--manifests", tmp_path / "live")
    for output in ("text", "json", "mermaid", "svg"):
        ran = driftd(*QUESTION, "--models", models, "-o", output)
        assert f"source: model {models}; dialect kubernetes\n" in ran.err
        assert output == "text" or f"model {models}" in ran.out.replace("#47;", "/")
    for output in ("table", "json", "svg"):
        assert f"source: manifests {tmp_path / 'live'}; dialect" in driftd("matrix", *live, "-o", output).err
    against = driftd("matrix", *live, "--against", models)
    assert f"source: manifests {tmp_path / 'live'}; dialect kubernetes\n" in against.err
    assert f"against: model {models}\n" in against.err
    assert f"source: model {models} to model {models}; dialect kubernetes\n" in driftd("impact", models, models).err
