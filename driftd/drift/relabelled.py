"""Findings about what is not a policy and yet changes who reaches whom: labels, service accounts, port names."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from driftd.compile import Compiled, GovernedNamespace, Workload
from driftd.drift.entitled import workload_of
from driftd.drift.findings import NOBODY, finding_id
from driftd.drift.meaning import Judgement, severity, worse
from driftd.drift.words import shown
from driftd.drift.world import World
from driftd.policy.reach import Pod
from driftd.policy.reach.pods import WORKLOADS
from driftd.values import CLUSTER, Direction, Finding, FindingType, ObjectRef, Scope, effect

_GROUPS: Mapping[str, str] = {kind: group for group, kind in WORKLOADS}
_NAMED = 3
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


def relabelled_pods(compiled: Compiled, world: World, namespace: str) -> Iterator[Finding]:
    """A finding for each workload of a namespace whose live pods reach, or are reached, otherwise than the model says.

    Pods of one owner are told together, since one template makes them. What changes nothing is no finding.
    """
    governed = compiled.governed.get(namespace)
    if governed is None:
        return
    groups: dict[ObjectRef, list[tuple[Pod, Judgement]]] = {}
    for pod, judgement in world.stray_pods(namespace):
        if judgement.direction is not Direction.NEUTRAL:
            groups.setdefault(_owner(pod), []).append((pod, judgement))
    for ref, members in groups.items():
        members.sort(key=lambda member: member[0].name)
        judgement = members[0][1]
        for _, other in members[1:]:
            judgement = worse(judgement, other)
        yield _finding(
            compiled, governed, ref, judgement, _of_pods(governed, ref, [pod for pod, _ in members], judgement)
        )


def relabelled_others(compiled: Compiled, world: World) -> Iterator[Finding]:
    """A finding for each other object beside policies that lets somebody in or out against the model.

    They are service accounts, namespaces and network sets of others by their labels, and slices by their addresses.
    """
    for ref, judgement in world.stray_others():
        if judgement.direction is not Direction.NEUTRAL:
            summary = _OF_OTHERS[ref.kind].format(ref=ref, effect=_effect(judgement))
            yield _finding(compiled, compiled.governed.get(ref.namespace), ref, judgement, summary)


_OF_OTHERS: Mapping[str, str] = {
    "ServiceAccount": (
        "the labels of {ref} are not the model's; {effect}. driftd does not write them: take the labels away"
    ),
    "Namespace": (
        "the labels of {ref}, which the model does not govern, let its pods count where policies select namespaces; "
        "{effect}. Take the labels away, or govern the namespace"
    ),
    "EndpointSlice": (
        "{ref} lists what its Service does not select, and rules go by that Service; {effect}. driftd writes no "
        "EndpointSlices: delete it, or the addresses in it"
    ),
    "Service": (
        "{ref} selects pods that none of its EndpointSlices lists, or says more than can be judged, and rules go by "
        "that Service; {effect}. driftd writes neither: see whether the slices' controller runs, who takes pods out of "
        "them, and who gave the Service hundreds of ports or so long a selector"
    ),
    "NetworkSet": (
        "{ref} is in a namespace that the model does not govern, and rules find it by its labels; {effect}. driftd "
        "leaves it alone: take the labels away, or govern the namespace"
    ),
}
_TYPES: Mapping[str, FindingType] = {
    "EndpointSlice": FindingType.MISDIRECTED,
    "Service": FindingType.MISDIRECTED,
    "NetworkSet": FindingType.FOREIGN,
}


def _finding(
    compiled: Compiled, governed: GovernedNamespace | None, ref: ObjectRef, judgement: Judgement, summary: str
) -> Finding:
    type_ = _TYPES.get(ref.kind, FindingType.RELABELLED)
    return Finding(
        id=finding_id(compiled.cluster, type_, ref),
        type=type_,
        ref=ref,
        scope=Scope(governed.name) if governed else CLUSTER,
        tenant=governed.tenant if governed else "",
        direction=judgement.direction,
        severity=severity(judgement.direction, crosses_tenant=judgement.crosses_tenant),
        summary=summary,
        origin=governed.origin if governed else None,
        witness=judgement.witness,
        claimed_by=NOBODY,
        dialect=judgement.dialect or compiled.dialect,
        neutral_now=judgement.neutral_now,
    )


def _owner(pod: Pod) -> ObjectRef:
    """The workload that makes the pod, if it is of a kind of Kubernetes itself; else the pod.

    An owner reference is free text of whoever made the pod: neither an unknown kind nor odd characters leave here.
    """
    kind, _, name = pod.owner.partition("/")
    if kind in _GROUPS and _NAME.fullmatch(name):
        return ObjectRef(_GROUPS[kind], kind, pod.namespace, name)
    return ObjectRef("", "Pod", pod.namespace, pod.name)


@dataclass(frozen=True, slots=True)
class _Why:
    """In which way a pod is not what the model says."""

    pod: Pod
    governed: GovernedNamespace

    def __str__(self) -> str:
        pod = self.pod
        if pod.host_network:
            return "runs in the network of its node, where no policy governs it"
        mine = workload_of(pod, self.governed.workloads)
        if mine is not None:
            return (
                f"belongs to {mine.name}, and its labels or port names say more than the model does{self._beyond(mine)}"
            )
        claimed = [one for one in self.governed.workloads if one.selects(pod.labels)]
        if claimed:
            wanted = max(claimed, key=lambda one: len(one.labels))
            account = shown(pod.service_account, 80)
            return f"carries the labels of {wanted.name} and runs as {account}, not as {wanted.account}"
        return f"belongs to no service of the model{self._carrying()}"

    def _beyond(self, mine: Workload) -> str:
        named = {(protocol, name): (number,) for protocol, name, number in mine.ports}
        moved = [
            name for (protocol, name), numbers in self.pod.ports if named.get((protocol, name), numbers) != numbers
        ]
        if moved:
            return f" (port {', '.join(moved[:_NAMED])})"
        others = {one for other in self.governed.workloads for one in other.labels} - mine.labels.keys()
        extra = sorted(key for key in self.pod.labels if key in others)
        return f" ({', '.join(f'{key}={self.pod.labels[key]}' for key in extra[:_NAMED])})" if extra else ""

    def _carrying(self) -> str:
        labels = ", ".join(f"{key}={value}" for key, value in sorted(self.pod.labels.items())[:_NAMED])
        return f" (labels {labels})" if labels else ""


def _of_pods(governed: GovernedNamespace, ref: ObjectRef, pods: list[Pod], judgement: Judgement) -> str:
    names = ", ".join(pod.name for pod in pods[:_NAMED])
    more = f" and {len(pods) - _NAMED} more" if len(pods) > _NAMED else ""
    who = str(ref) if ref.kind == "Pod" else f"{ref} (pods {names}{more})"
    where = "the pod" if ref.kind == "Pod" else f"the template of {ref.kind} {ref.name} and in its pods"
    return (
        f"{who} {_Why(pods[0], governed)}; {_effect(judgement)}. driftd writes no pods: put it right in {where}, "
        "or have the model say it"
    )


def _effect(judgement: Judgement) -> str:
    return effect(judgement.direction, judgement.witness, neutral_now=judgement.neutral_now)
