"""Objects as anybody writes them, sorted into what a snapshot takes in: policies, pods, and what is said of the rest.

Pods that exist speak for themselves; a workload's template speaks for pods that nobody has listed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from driftd.cli.worlds.world import ServiceFace, ServicePort, Unread
from driftd.policy.kinds import Bearing, bearing
from driftd.policy.reach import Dialect, MalformedPod, Pod, Surroundings, pod_from_body, pods_from_workload, snapshot_of
from driftd.values import TENANT, Body, ObjectRef

_CALICO: Final = ("NetworkPolicy", "GlobalNetworkPolicy", "Tier", "NetworkSet", "GlobalNetworkSet", "HostEndpoint")
_ADMIN: Final = ("ClusterNetworkPolicy", "AdminNetworkPolicy", "BaselineAdminNetworkPolicy")
_TOP: Final = frozenset({"Namespace", "Tier", "GlobalNetworkPolicy", "GlobalNetworkSet", "HostEndpoint", *_ADMIN})
"""Kinds without a namespace."""
EVALUATED: Final[Mapping[tuple[str, str], frozenset[str]]] = {
    ("", "Namespace"): frozenset({"v1"}),
    ("", "ServiceAccount"): frozenset({"v1"}),
    ("", "Service"): frozenset({"v1"}),
    ("", "Pod"): frozenset({"v1"}),
    ("discovery.k8s.io", "EndpointSlice"): frozenset({"v1"}),
    ("networking.k8s.io", "NetworkPolicy"): frozenset({"v1"}),
    ("policy.networking.k8s.io", "ClusterNetworkPolicy"): frozenset({"v1alpha2"}),
    ("policy.networking.k8s.io", "AdminNetworkPolicy"): frozenset({"v1alpha1"}),
    ("policy.networking.k8s.io", "BaselineAdminNetworkPolicy"): frozenset({"v1alpha1"}),
    **{("projectcalico.org", kind): frozenset({"v3"}) for kind in _CALICO},
    **{("crd.projectcalico.org", kind): frozenset({"v1"}) for kind in _CALICO},
}
"""What the engine evaluates, in the versions it reads."""
_OLD_POLICIES: Final = frozenset({("extensions", "NetworkPolicy")})


@dataclass(slots=True)
class Bodies:
    """Objects of one source, gathered one by one and then handed over as `objects()`."""

    dialect: Dialect
    surroundings: Surroundings = field(default_factory=Surroundings)
    unread: list[Unread] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    places: dict[ObjectRef, str] = field(default_factory=dict)
    tenants: dict[str, str] = field(default_factory=dict)
    faces: dict[tuple[str, str], ServiceFace] = field(default_factory=dict)
    _bodies: dict[ObjectRef, Body] = field(default_factory=dict)
    _pods: dict[ObjectRef, Pod] = field(default_factory=dict)
    _templates: dict[ObjectRef, tuple[tuple[Pod, ...], str]] = field(default_factory=dict)
    _passed: dict[str, int] = field(default_factory=dict)

    def take(self, body: Body, where: str, content: str = "") -> None:
        """Take in one object that has apiVersion and kind. What bears on reach and cannot be read is named."""
        ref, version = identity(body)
        key = (ref.group, ref.kind)
        metadata = body.get("metadata")
        if not ref.name:
            generated = isinstance(metadata, dict) and metadata.get("generateName")
            if not generated:
                self._problem(key, where, f"{ref.kind} without metadata.name", content)
                return
            ref = ObjectRef(ref.group, ref.kind, ref.namespace, f"{generated}*")
        if key in EVALUATED:
            if version not in EVALUATED[key]:
                read = ", ".join(sorted(EVALUATED[key]))
                self.unread.append(Unread(where, f"{ref} of version {version}: driftd reads {read}", content))
                return
            self._evaluated(ref, _settled(body, ref), where, content)
        elif _template_of(body):
            self._workload(ref, _settled(body, ref), where, content)
        elif key in _OLD_POLICIES or bearing(*key) in (Bearing.POLICY, Bearing.UNLISTED):
            self.unread.append(Unread(where, f"{ref} is not evaluated: what it allows or blocks is not known", content))
        else:
            self._passed[ref.kind] = self._passed.get(ref.kind, 0) + 1

    def objects(self) -> tuple[Body | Pod, ...]:
        """Everything for a snapshot: Namespaces first, so that nothing is placed twice."""
        ranked = sorted(self._bodies.values(), key=lambda body: body["kind"] != "Namespace")
        return (*ranked, *self._pods.values(), *self._imagined())

    def namespaces(self) -> frozenset[str]:
        """Namespaces that any object names."""
        named = {ref.name for ref in self._bodies if ref.kind == "Namespace" and not ref.group}
        named |= {ref.namespace for ref in (*self._bodies, *self._pods, *self._templates)}
        return frozenset(named - {""})

    def passed_over(self) -> str:
        """One line about kinds that have no bearing; empty when there were none."""
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self._passed.items()))
        return f"passed over, since they say nothing about who may talk to whom: {kinds}" if kinds else ""

    def _evaluated(self, ref: ObjectRef, body: Body, where: str, content: str) -> None:
        try:
            if ref.kind == "Pod":
                self._pods[ref] = pod_from_body(body)
                self.places[ref] = where
                return
            snapshot_of((body,), self.dialect)  # a strange shape shows here, object by object
            if (ref.group, ref.kind) == ("", "Service"):
                self.faces[ref.namespace, ref.name] = _face(body)
        except (AttributeError, KeyError, LookupError, TypeError, ValueError) as error:
            self.unread.append(Unread(where, _misshapen(ref, error), content))
            return
        if ref in self._bodies and self._bodies[ref] != body:
            said = f"{ref} was read before in {self.places[ref]} with other content; this one counts"
            self.unread.append(Unread(where, said, content))
        self._bodies[ref] = body
        self.places[ref] = where
        if (ref.group, ref.kind) == ("", "Namespace"):
            self.tenants[ref.name] = str((body["metadata"].get("labels") or {}).get(TENANT) or "")

    def _workload(self, ref: ObjectRef, body: Body, where: str, content: str) -> None:
        try:
            pods = pods_from_workload(body)
            controllers = [one for one in body["metadata"].get("ownerReferences") or () if one.get("controller")]
        except (MalformedPod, AttributeError, TypeError, ValueError) as error:
            self.unread.append(Unread(where, _misshapen(ref, error), content))
            return
        parent = f"{controllers[0].get('kind')}/{controllers[0].get('name')}" if controllers else ""
        self._templates[ref] = (pods, parent)
        self.places[ref] = where

    def _imagined(self) -> tuple[Pod, ...]:
        """Pods of templates that have neither pods of their own here nor a parent that speaks for them."""
        owners = {(pod.namespace, pod.owner) for pod in self._pods.values()}
        names = {(ref.namespace, f"{ref.kind}/{ref.name}") for ref in self._templates}
        found: list[Pod] = []
        for ref, (pods, parent) in self._templates.items():
            if (ref.namespace, f"{ref.kind}/{ref.name}") in owners:
                continue
            if parent and ((ref.namespace, parent) in names or (ref.namespace, parent) in owners):
                continue
            found.extend(pods)
        return tuple(found)

    def _problem(self, key: tuple[str, str], where: str, why: str, content: str) -> None:
        if key in EVALUATED or bearing(*key) is not Bearing.FOREIGN:
            self.unread.append(Unread(where, why, content))
        else:
            self.remarks.append(f"{where}: {why}")


def _misshapen(ref: ObjectRef, error: Exception) -> str:
    """What is wrong with an object, where the engine says it in words; Python's own tell a user nothing."""
    named = type(error).__module__.startswith("driftd.")
    return f"{ref} is not shaped like one: {error if named else 'a field holds something else than its API says'}"


def identity(body: Body) -> tuple[ObjectRef, str]:
    """Identity and version; an object of a namespaced kind that names no namespace stands in `default`."""
    group, _, version = str(body.get("apiVersion") or "").rpartition("/")
    kind = str(body.get("kind") or "")
    metadata = body.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    name, namespace = str(metadata.get("name") or ""), str(metadata.get("namespace") or "")
    top = kind in _TOP and (group, kind) in EVALUATED
    return ObjectRef(group, kind, "" if top else namespace or "default", name), version


def _settled(body: Body, ref: ObjectRef) -> Body:
    """The body with its name and namespace written out."""
    metadata = {**body["metadata"], "name": ref.name}
    if ref.namespace:
        metadata["namespace"] = ref.namespace
    return {**body, "metadata": metadata}


def _template_of(body: Body) -> bool:
    """Whether it is a workload, of whatever group: something with a pod template where workloads keep it."""
    spec = body.get("spec")
    if not isinstance(spec, dict) or not isinstance(body.get("metadata"), dict):
        return False
    if body.get("kind") == "CronJob":
        job = spec.get("jobTemplate")
        spec = job.get("spec") if isinstance(job, dict) else None
    template = spec.get("template") if isinstance(spec, dict) else None
    pod = template.get("spec") if isinstance(template, dict) else None
    return isinstance(pod, dict) and isinstance(pod.get("containers"), list)


def _face(body: Body) -> ServiceFace:
    spec = body.get("spec") or {}
    ports = tuple(
        ServicePort(
            name=str(port.get("name") or ""),
            protocol=str(port.get("protocol") or "TCP"),
            port=int(port["port"]),
            target=_target(port.get("targetPort") or port["port"]),
        )
        for port in spec.get("ports") or ()
    )
    selector = {str(key): str(value) for key, value in (spec.get("selector") or {}).items()}
    addresses = [str(one) for one in (spec.get("clusterIP"), *(spec.get("clusterIPs") or ())) if one]
    return ServiceFace(selector, ports, tuple(dict.fromkeys(one for one in addresses if one != "None")))


def _target(value: object) -> int | str:
    text = str(value)
    return int(text) if text.isdigit() else text
