"""From live objects to what the judged world takes in: each as the model entitles it to be, and as it is."""

from collections.abc import Iterable, Iterator, Mapping

from driftd.compile import Compiled, GovernedNamespace
from driftd.drift.entitled import Input, entitled, pod_ref
from driftd.policy.kinds import NAMESPACE_NAME, kind_of
from driftd.policy.reach import Pod
from driftd.values import Body, Live, ObjectRef


def pod_inputs(
    model: Compiled, pods: Mapping[tuple[str, str], Pod], names: Iterable[tuple[str, str]]
) -> Iterator[Input]:
    """Pods of the namespaces whose inside the model knows."""
    for namespace, name in names:
        governed = model.governed.get(namespace)
        if governed is None or not governed.closed or not name:
            continue
        pod = pods.get((namespace, name))
        yield Input(pod_ref(namespace, name), None if pod is None else entitled(pod, governed), pod)


def label_inputs(
    model: Compiled,
    objects: Mapping[ObjectRef, Live | None],
    refs: Iterable[ObjectRef],
    keys: frozenset[str] = frozenset(),
) -> Iterator[Input]:
    """Namespaces whose labels selectors may read, of the model or (`keys`) of others, and service accounts.

    Of governed namespaces nothing is said here: see `home_inputs`.
    """
    counting = (model.coverage.selector_keys | keys) - {NAMESPACE_NAME}
    for ref in refs:
        live = objects.get(ref)
        if ref.kind == "Namespace":
            if counting and ref.name not in model.governed:
                yield _namespace_input(model, ref, live)
            continue
        governed = model.governed.get(ref.namespace)
        if governed is not None and governed.closed:
            yield from _account_input(model, governed, ref, live)


def home_inputs(
    model: Compiled,
    objects: Mapping[ObjectRef, Live | None],
    refs: Iterable[ObjectRef],
    keys: frozenset[str],
    known: Mapping[ObjectRef, Body],
) -> Iterator[Input]:
    """Governed namespaces with those of their labels that admin policies go by (`keys`) and that the model lacks.

    These are nobody's drift: who labels a tenant's namespace is the platform, and what they do the policies answer for.
    `known` is how they were told before; one that is still so is left out.
    """
    for ref in refs:
        governed = model.governed.get(ref.name) if ref.kind == "Namespace" else None
        if governed is None:
            continue
        desired, live = governed.objects.get(ref), objects.get(ref)
        wanted = (desired.body()["metadata"].get("labels") or {}) if desired else {}
        more = {key: value for key, value in (labels_of(live) or {}).items() if key in keys} if live else {}
        if live is not None and more:
            covered = kind_of(ref).covered(live.body(), model.coverage)["metadata"].get("labels") or {}
            more = {key: value for key, value in more.items() if key not in covered}
        body = _body("Namespace", ref, {**more, **wanted})
        if body != known.get(ref, _body("Namespace", ref, wanted)):
            yield Input(ref, body, body)


def _namespace_input(model: Compiled, ref: ObjectRef, live: Live | None) -> Input:
    """A namespace that is not governed: the platform's labels are its own; a stranger's count for nothing."""
    if live is None:
        return Input(ref, None, None)
    labels = labels_of(live) or {}  # a Namespace is always kept whole
    entitled_to = labels if ref.name in model.platform or ref.name in model.peers else {}
    return Input(ref, _body("Namespace", ref, entitled_to), _body("Namespace", ref, labels))


def _account_input(model: Compiled, governed: GovernedNamespace, ref: ObjectRef, live: Live | None) -> Iterator[Input]:
    desired = governed.objects.get(ref)
    wanted = (desired.body()["metadata"].get("labels") or {}) if desired else {}
    entitled_to = _body("ServiceAccount", ref, wanted) if wanted else None
    labels = labels_of(live)
    if labels is None:
        yield Input(ref, entitled_to, entitled_to, unknown=model.dialect == "calico")  # no other rules read them
        return
    yield Input(ref, entitled_to, _body("ServiceAccount", ref, labels) if labels else None)


def _body(kind: str, ref: ObjectRef, labels: Mapping[str, str]) -> Body:
    metadata: Body = {"name": ref.name, "labels": dict(labels)}
    if ref.namespace:
        metadata["namespace"] = ref.namespace
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata}


def labels_of(live: Live | None) -> Mapping[str, str] | None:
    """The labels of an object; none of one that is not there, None where they are not kept."""
    if live is None:
        return {}
    labels = live.body()["metadata"].get("labels") or {}
    return labels if isinstance(labels, dict) else None
