"""Calico's objects on a lab, and a scene that knows them."""

from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import orjson

from driftd.compile import Compiled, Mode
from driftd.policy.kinds import CALICO, KINDS, digest_of
from driftd.values import Desired, ObjectRef
from tests.oracle.bodies import Cluster
from tests.oracle.calico import allowed
from tests.oracle.never_looser import Violation, runs_of
from tests.oracle.replay import CALICO as RESOURCES
from tests.oracle.replay import NAMESPACES, NETWORK_POLICIES, Key, State, replay
from tests.oracle.universe import Flow, identity
from tests.oracle.worlds import Allowed
from tests.support.calico_crds import API, GROUP, PLURALS, path
from tests.support.faulty import Scene
from tests.support.kube import Kube
from tests.support.stage import DRIFTD, compiled_models

Body = dict[str, Any]
MODEL = Path(__file__).resolve().parents[1] / "models" / "calico"
_OTHER_POLICY = f"NetworkPolicy.{CALICO}"


def calico(kind: str, name: str, spec: Body, namespace: str = "", **metadata: Any) -> Body:
    place = {"namespace": namespace} if namespace else {}
    return {"apiVersion": API, "kind": kind, "metadata": {"name": name, **place, **metadata}, "spec": spec}


async def listed(kube: Kube) -> dict[ObjectRef, Body]:
    """Every Calico object; none of a kind that is not served."""
    found = {}
    for kind in PLURALS:
        answer = await kube.request("GET", path(kind))
        for item in answer["items"]:
            meta = item["metadata"]
            ref = ObjectRef(CALICO, kind, meta.get("namespace", ""), meta["name"])
            found[ref] = {"apiVersion": API, "kind": kind, **item}
    return found


def calico_objects(compiled: Compiled) -> dict[ObjectRef, Body]:
    """The model's own."""
    return {
        ref: desired.body()
        for governed in compiled.every_scope()
        for ref, desired in governed.objects.items()
        if ref.group == CALICO
    }


@dataclass
class TieredScene(Scene):
    """A scene whose account holds Calico's objects as well."""

    async def mark(self) -> None:
        await super().mark()
        spaces = compiled_models(self.models).governed
        kept = {key: body for key, body in self._initial.objects.items() if (key.namespace or key.name) in spaces}
        for ref, body in (await listed(self.kube)).items():
            kept[Key(GROUP, PLURALS[ref.kind], ref.namespace, ref.name)] = body
        self._initial = State(kept)

    async def differing(self) -> list[str]:
        compiled = compiled_models(self.models)
        found = [one for one in await super().differing() if not one.startswith(("NetworkSet", _OTHER_POLICY))]
        lives = await listed(self.kube)
        wanted: dict[ObjectRef, Desired] = {}
        for governed in compiled.every_scope():
            wanted |= {ref: one for ref, one in governed.objects.items() if ref.group == CALICO}
            assert governed.mode is Mode.ENFORCE
        for ref, desired in wanted.items():
            live = lives.get(ref)
            if live is None:
                found.append(f"missing {ref}")
            elif digest_of(KINDS[CALICO, ref.kind], live, compiled.coverage) != desired.digest:
                found.append(f"changed {ref}")
        ours = (ref for ref in lives if ref.namespace in compiled.governed or ref.name.startswith(f"{compiled.tier}."))
        return [*found, *(f"extra {ref}" for ref in ours if ref not in wanted)]

    def loosened(self) -> list[Violation]:
        """As for any scene, over a few pods, addresses and ports: the naive evaluator takes minutes for all of them."""
        compiled = compiled_models(self.models)
        objects = {}
        for governed in compiled.every_scope():
            for ref, desired in governed.objects.items():
                if ref.group == CALICO:
                    objects[Key(GROUP, PLURALS[ref.kind], ref.namespace, ref.name)] = desired.body()
                elif ref.kind in _BESIDE:
                    objects[Key(*_BESIDE[ref.kind], ref.namespace, ref.name)] = desired.body()
        tracked = RESOURCES | {NETWORK_POLICIES, NAMESPACES}
        mine = [one for one in self.records() if self._is_mine(one.key, compiled)]
        found = []
        for run in runs_of(replay(mine, self._initial, tracked), DRIFTD, self._initial):
            rest = {key: body for key, body in run.before.objects.items() if _is_foreign(key, compiled)}
            entitled = _flows(run.before) | _flows(State({**rest, **objects}))
            for step in run.steps:
                if excess := sorted(_flows(step.state) - entitled):
                    found.append(Violation(step.record, Flow(*excess[0]), len(excess) - 1))
        return found

    @staticmethod
    def _is_mine(key: Key, compiled: Compiled) -> bool:
        """Other tests leave namespaces behind that this model knows nothing of."""
        return not key.namespace or key.namespace in compiled.governed


_BESIDE = {"Namespace": NAMESPACES, "NetworkPolicy": NETWORK_POLICIES}
_PORTS = (443, 8080)
_OUTSIDE = ("203.0.113.1", "198.51.100.1")


def _pod(namespace: str, app: str, number: int) -> Body:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": app, "namespace": namespace, "labels": {"app": app}},
        "spec": {"containers": [{"name": "main"}]},
        "status": {"phase": "Running", "podIPs": [{"ip": f"10.244.9.{number}"}]},
    }


_PODS = tuple(
    _pod(*place, number)
    for number, place in enumerate([("tiers-red", "web"), ("tiers-red", "api"), ("tiers-blue", "db")], start=1)
)


def _is_foreign(key: Key, compiled: Compiled) -> bool:
    """Whether an object is none of the model's business: it is as it is, before and after."""
    if key.group != GROUP:
        return (key.namespace or key.name) not in compiled.governed
    return not key.namespace and not key.name.startswith(f"{compiled.tier}.")


def _flows(state: State) -> frozenset[tuple[str, str, str, int]]:
    content = orjson.dumps([[str(key), body] for key, body in sorted(state.objects.items())])
    if content not in _KNOWN:
        _KNOWN[content] = _flows_in(state.cluster(_PODS))
    return _KNOWN[content]


_KNOWN: dict[bytes, frozenset[tuple[str, str, str, int]]] = {}


def _flows_in(cluster: Cluster) -> frozenset[tuple[str, str, str, int]]:
    ends: list[Any] = [*_PODS, *(ip_address(one) for one in _OUTSIDE)]
    return frozenset(
        (identity(one), identity(other), "TCP", port)
        for one in ends
        for other in ends
        if one is not other and (isinstance(one, dict) or isinstance(other, dict))
        for port in _PORTS
        if allowed(cluster, one, other, "TCP", port) is not Allowed.NO
    )
