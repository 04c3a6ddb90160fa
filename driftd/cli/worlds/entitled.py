"""Live state beside what the model entitles it to: the same pods in the same cluster, under the model's own objects.

In a namespace of the model a pod is entitled to what the service is whose labels and account it has; a pod of no
service, to nothing. Namespaces kept in plain manifests know no services: there pods stay what they are, and only
policies are the model's. Namespaces that the model does not govern stay as they are, but for objects it names.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from driftd.cli.sources import ValidModel
from driftd.cli.worlds.modelled import desired_bodies, places_of, representatives
from driftd.cli.worlds.world import ModelService, World
from driftd.drift import entitled as pod_as_entitled
from driftd.policy.kinds import KINDS, NAMESPACE_NAME
from driftd.policy.reach import Edit, Pod, Snapshot, apply
from driftd.policy.reach.inventory import NamespaceView
from driftd.values import Body, ObjectRef


@dataclass(frozen=True, slots=True)
class Entitled:
    """Both sides. `live` is the live world with pods that stand in for services that have none there."""

    live: World
    model: World


def entitled(live: World, valid: ValidModel) -> Entitled:
    """Put the model beside the live state."""
    stand_ins = tuple(_stand_ins(live.snapshot, valid))
    remarks = live.remarks
    if stand_ins:
        count = len({(pod.namespace, pod.workload) for pod in stand_ins})
        services = "one service" if count == 1 else f"{count} services"
        said = f"no live pods are known for {services} of the model: pods as the model has them stand in"
        remarks = (*remarks, said)
    seen = apply(live.snapshot, Edit(put=stand_ins)) if stand_ins else live.snapshot
    ours = apply(seen, _edit(seen, valid))
    places = {**live.places, **places_of(valid.compiled, valid.directory)}
    return Entitled(
        replace(live, snapshot=seen, remarks=remarks),
        World(f"model {valid.directory}", ours, live.tenancy, places=places, services=live.services),
    )


def _stand_ins(snapshot: Snapshot, valid: ValidModel) -> Iterator[Pod]:
    """Pods of the model's services in namespaces that live state knows and in which nothing carries their labels."""
    for pod in representatives(valid.model):
        view = snapshot.namespaces.get(pod.namespace)
        if view is None or pod.name in view.pods:
            continue
        if not any(_is(one, ModelService(pod.labels, pod.service_account)) for one in view.pods.values()):
            yield pod


def _edit(seen: Snapshot, valid: ValidModel) -> Edit:
    remove: list[ObjectRef] = []
    pods: list[Pod] = []
    for name, governed in valid.compiled.governed.items():
        view = seen.namespaces.get(name)
        if view is None or not governed.closed:
            continue
        remove += [ref for ref in view.policies if ref not in governed.objects]
        if governed.environment:
            pods += [pod_as_entitled(pod, governed) for pod in view.pods.values()]
    put: list[Body] = []
    for body in desired_bodies(valid.compiled):
        metadata = body["metadata"]
        if "namespace" not in metadata and body["kind"] != "Namespace":
            put.append(body)
            continue
        view = seen.namespaces.get(metadata.get("namespace") or metadata["name"])
        if view is not None:
            put.append(_labelled(view, body, valid) if body["kind"] == "Namespace" else body)
    return Edit((*put, *pods), tuple(remove))


def _labelled(view: NamespaceView, body: Body, valid: ValidModel) -> Body:
    """The model's Namespace with the foreign labels that the live one has: those are nobody's drift."""
    labels = {**view.labels, NAMESPACE_NAME: view.name}
    live: Body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": view.name, "labels": labels}}
    return KINDS["", "Namespace"].merged(live, body, valid.compiled.coverage)


def _is(pod: Pod, service: ModelService) -> bool:
    carries = all(pod.labels.get(key) == value for key, value in service.labels.items())
    return carries and pod.service_account == service.account and not pod.host_network
