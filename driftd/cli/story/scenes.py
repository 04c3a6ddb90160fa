"""The tamperings of the story, in order: what is done, to what, and why it matters; not what comes of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from driftd.cluster import POD
from driftd.policy.kinds import KINDS
from driftd.values import CONDEMNED, TENANT, Body, ObjectRef, Resource


@dataclass(frozen=True, slots=True)
class Tampering:
    """One request to the API server. `body` is an object to create, or a JSON merge patch; a deletion has none."""

    verb: Literal["create", "patch", "delete"]
    ref: ObjectRef
    body: Body | None = None

    @property
    def resource(self) -> Resource:
        if (self.ref.group, self.ref.kind) == (POD.group, POD.kind):
            return POD
        return KINDS[self.ref.group, self.ref.kind].resource


@dataclass(frozen=True, slots=True)
class Scene:
    """One tampering and its telling.

    `release` is what an administrator does afterwards, where driftd may not finish alone: it never strips a
    finalizer that is not its own. `patience` is how many seconds the repair may take before the scene has failed.
    """

    title: str
    danger: str
    tampering: Tampering
    release: Tampering | None = None
    patience: float = 20.0

    @property
    def namespace(self) -> str:
        """The governed namespace in which it happens."""
        ref = self.tampering.ref
        return ref.namespace or ref.name


def _policy(namespace: str, name: str) -> ObjectRef:
    return ObjectRef("networking.k8s.io", "NetworkPolicy", namespace, name)


def _namespace(name: str) -> ObjectRef:
    return ObjectRef("", "Namespace", "", name)


def _merge(ref: ObjectRef, patch: Mapping[str, Any]) -> Tampering:
    return Tampering("patch", ref, dict(patch))


def _labels(ref: ObjectRef, labels: Mapping[str, str]) -> Tampering:
    return _merge(ref, {"metadata": {"labels": dict(labels)}})


def _allow_all(ref: ObjectRef, **metadata: Any) -> Tampering:
    body: Body = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": ref.name, "namespace": ref.namespace, **metadata},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [{}], "egress": [{}]},
    }
    return Tampering("create", ref, body)


_HELD = _policy("globex-prod", "support-access")
_NEIGHBOUR = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "globex-prod"}}}
_NOBODY = {"apiVersion": "v1", "kind": "ConfigMap", "name": "nobody", "uid": "00000000-0000-4000-8000-000000000000"}

SCENES: tuple[Scene, ...] = (
    Scene(
        "An allow-all in a default-deny",
        "Two braces: no field that anybody declared is touched, and every pod of acme may call the whole world.",
        _merge(_policy("acme-prod", "default-deny"), {"spec": {"egress": [{}]}}),
    ),
    Scene(
        "A selector is narrowed",
        "The default-deny is still there. It just isolates no pod any more.",
        _merge(_policy("globex-prod", "default-deny"), {"spec": {"podSelector": {"matchLabels": {"tier": "none"}}}}),
    ),
    Scene(
        "A rogue allow-all appears",
        "Policies add up: beside one allow-all every other policy of the namespace is decoration.",
        _allow_all(_policy("globex-prod", "debug")),
    ),
    Scene(
        "A policy is deleted",
        "Pods that no policy selects are open to everybody in the cluster.",
        Tampering("delete", _policy("initech-prod", "default-deny")),
    ),
    Scene(
        "A direction is dropped",
        "Without Egress in its policyTypes the default-deny lets everything out.",
        _merge(_policy("initech-legacy", "default-deny"), {"spec": {"policyTypes": ["Ingress"]}}),
    ),
    Scene(
        "A neighbour is let in",
        "Acme's own services lose their database, and globex gets it.",
        _merge(_policy("acme-prod", "db-ingress"), {"spec": {"ingress": [{"from": [_NEIGHBOUR]}]}}),
    ),
    Scene(
        "A namespace changes its tenant",
        "Whatever selects by tenant now takes globex for acme.",
        _labels(_namespace("globex-prod"), {TENANT: "acme"}),
    ),
    Scene(
        "Pod Security is lowered",
        "The next pod may be privileged, and with it the node.",
        _labels(_namespace("acme-stage"), {"pod-security.kubernetes.io/enforce": "privileged"}),
    ),
    Scene(
        "A quota is raised",
        "One tenant can now starve the others.",
        _merge(ObjectRef("", "ResourceQuota", "initech-prod", "quota"), {"spec": {"hard": {"pods": "5000"}}}),
    ),
    Scene(
        "A token is mounted again",
        "A pod that is broken into can talk to the API server.",
        _merge(ObjectRef("", "ServiceAccount", "globex-prod", "portal"), {"automountServiceAccountToken": True}),
    ),
    Scene(
        "An owner that does not exist",
        "The garbage collector will delete the policy, and its name will be on the deletion.",
        _merge(_policy("acme-prod", "web-egress"), {"metadata": {"ownerReferences": [_NOBODY]}}),
    ),
    Scene(
        "A forged mark of deletion",
        "It is driftd's own mark for what it is about to delete, set on a policy that must stay.",
        _merge(_policy("acme-prod", "worker-egress"), {"metadata": {"annotations": {CONDEMNED: "1"}}}),
    ),
    Scene(
        "A rogue policy with a finalizer",
        "A finalizer holds it: a deletion alone would leave the hole open for as long as somebody likes.",
        _allow_all(_HELD, finalizers=["mallory.example/keep"]),
        release=_merge(_HELD, {"metadata": {"finalizers": None}}),
    ),
    Scene(
        "A whole namespace is deleted",
        "Everything in it goes, and whoever makes the name again decides what it holds.",
        Tampering("delete", _namespace("acme-stage")),
        patience=60.0,
    ),
)
