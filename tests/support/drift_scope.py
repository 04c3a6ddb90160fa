"""One namespace as a plain store of objects, and the values that the drift room is asked with."""

import copy
import json
from collections.abc import Iterable
from datetime import date
from typing import Any

from driftd.compile import Compiled, Exempt, GovernedNamespace, Mode
from driftd.drift.compare import Comparison, compare
from driftd.drift.plan import plan
from driftd.drift.state import LiveScope
from driftd.policy.kinds import KINDS, Coverage, digest_of, kind_of
from driftd.values import (
    PROVENANCE,
    Body,
    Condemn,
    Create,
    Delete,
    Desired,
    Live,
    Manager,
    ObjectRef,
    Origin,
    Plan,
    Replace,
    Scope,
    Write,
    pack,
)

NAME = "acme"
COVERAGE = Coverage(selector_keys=frozenset({"zone"}))
ORIGIN = Origin("acme.yaml", 3, "Environment/acme")
TODAY = date(2026, 11, 22)
EPOCH = 7
HOME = ObjectRef("", "Namespace", "", NAME)


def ref_of(body: Body) -> ObjectRef:
    group = body["apiVersion"].rpartition("/")[0]
    metadata = body["metadata"]
    return ObjectRef(group, body["kind"], metadata.get("namespace", ""), metadata["name"])


def policy_ref(name: str) -> ObjectRef:
    return ObjectRef("networking.k8s.io", "NetworkPolicy", NAME, name)


def policy(name: str, spec: Body, **metadata: Any) -> Body:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": NAME, "annotations": {PROVENANCE: ORIGIN.provenance}, **metadata},
        "spec": spec,
    }


def namespace(**labels: str) -> Body:
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": NAME, "labels": {**labels}, "annotations": {PROVENANCE: ORIGIN.provenance}},
    }


def quota(**hard: str) -> Body:
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "quota", "namespace": NAME, "annotations": {PROVENANCE: ORIGIN.provenance}},
        "spec": {"hard": hard},
    }


def service_account(name: str) -> Body:
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": name, "namespace": NAME, "annotations": {PROVENANCE: ORIGIN.provenance}},
        "automountServiceAccountToken": False,
    }


def desired_of(body: Body) -> Desired:
    ref = ref_of(body)
    return Desired(ref, json.dumps(body).encode(), digest_of(kind_of(ref), body, COVERAGE), ORIGIN)


def live_of(body: Body, *managers: Manager) -> Live:
    ref = ref_of(body)
    metadata = body["metadata"]
    kind = KINDS.get((ref.group, ref.kind))
    digest = digest_of(kind, body, COVERAGE) if kind else b""
    return Live(
        ref=ref,
        kept=pack(json.dumps(body, separators=(",", ":")).encode()),
        digest=digest,  # type: ignore[arg-type]
        uid=metadata.get("uid", f"uid-{ref.name}"),
        resource_version=metadata.get("resourceVersion", "1"),
        terminating="deletionTimestamp" in metadata,
        managers=managers,
        finalized="finalizers" in metadata,
    )


def governed_of(bodies: Iterable[Body], **changes: Any) -> GovernedNamespace:
    known: dict[str, Any] = {
        "name": NAME,
        "tenant": "acme",
        "environment": "acme-prod",
        "lifecycle": "create",
        "mode": Mode.ENFORCE,
        "kind_modes": {},
        "tenant_policies": "never",
        "closed": True,
        "origin": ORIGIN,
        "objects": {desired.ref: desired for desired in map(desired_of, bodies)},
    }
    return GovernedNamespace(**{**known, **changes})


def compiled_of(*governed: GovernedNamespace, exemptions: tuple[Exempt, ...] = (), **changes: Any) -> Compiled:
    known: dict[str, Any] = {
        "cluster": "eu-1",
        "dialect": "kubernetes",
        "governed": {one.name: one for one in governed},
        "coverage": COVERAGE,
        "exemptions": exemptions,
        "mass_objects": 50,
        "mass_percent": 10,
    }
    return Compiled(**{**known, **changes})


def scope_of_bodies(bodies: Iterable[Body | Live], **changes: Any) -> LiveScope:
    lives = [body if isinstance(body, Live) else live_of(body) for body in bodies]
    known: dict[str, Any] = {"scope": Scope(NAME), "objects": {live.ref: live for live in lives}}
    return LiveScope(**{**known, **changes})


class Store:
    """An API server in memory: identity, resourceVersion and uid preconditions, finalizers."""

    def __init__(self, bodies: Iterable[Body]) -> None:
        self.objects: dict[ObjectRef, Body] = {}
        self.clock = 0
        for body in bodies:
            self._write(copy.deepcopy(body))

    def bodies(self) -> list[Body]:
        return list(self.objects.values())

    def specs(self) -> list[Body]:
        return [body for ref, body in self.objects.items() if ref.kind == "NetworkPolicy"]

    def live(self, governed: GovernedNamespace) -> LiveScope:
        absent = frozenset(ref for ref in governed.objects if ref not in self.objects)
        return scope_of_bodies(self.bodies(), proved_absent=absent)

    def look(self, governed: GovernedNamespace) -> Comparison:
        return compare(compiled_of(governed), governed, self.live(governed), TODAY)

    def plan(
        self,
        governed: GovernedNamespace,
        waiting: frozenset[ObjectRef] = frozenset(),
        blocked: frozenset[ObjectRef] = frozenset(),
        passing: frozenset[ObjectRef] = frozenset(),
    ) -> Plan:
        return plan(
            self.look(governed),
            governed,
            self.live(governed),
            coverage=COVERAGE,
            epoch=EPOCH,
            waiting=waiting,
            blocked=blocked,
            passing=passing,
        )

    def execute(self, write: Write) -> None:
        """Do one write as the engine would: missing preconditions are taken from the write before."""
        stored = self.objects.get(write.ref)
        if isinstance(write, Create):
            assert stored is None, f"{write.ref} exists"
            self._write({**write.body})
            return
        assert stored is not None, f"{write.ref} is gone"
        assert write.uid in ("", stored["metadata"]["uid"])
        assert write.resource_version in ("", stored["metadata"]["resourceVersion"]), write
        if isinstance(write, (Replace, Condemn)):
            self._write({**write.body}, stored)
        else:
            assert isinstance(write, Delete)
            if stored["metadata"].get("finalizers"):
                stored["metadata"]["deletionTimestamp"] = "2026-11-22T00:00:00Z"
            else:
                del self.objects[write.ref]

    def release(self, ref: ObjectRef) -> None:
        """The last finalizer of a terminating object goes."""
        assert self.objects.pop(ref)["metadata"]["deletionTimestamp"]

    def _write(self, body: Body, before: Body | None = None) -> None:
        ref = ref_of(body)
        self.clock += 1
        metadata = {**body["metadata"], "resourceVersion": str(self.clock)}
        metadata["uid"] = before["metadata"]["uid"] if before else f"uid-{self.clock}"
        body["metadata"] = metadata
        self.objects[ref] = body
