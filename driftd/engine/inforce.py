"""The model in force: what each scope must hold, orphaned namespaces included; and what was decided last."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from driftd.compile import Compiled, GovernedNamespace
from driftd.model import Problem
from driftd.policy.kinds import KINDS, World
from driftd.values import CLUSTER, ObjectRef, Scope, scope_of

NEW_MODEL = "model"
"""What triggers the cycles of scopes of which another model says something else."""
NOBODY = "(nobody)"
"""The tenant whose turn the judging of ungoverned scopes takes."""


@dataclass(frozen=True, slots=True)
class InForce:
    """One accepted model. `orphaned` are namespaces whose environment left it: held at their last canonical state.

    `rolled_out`: this very revision was in force before, here or in another replica, so that what differs is drift.
    `trace` is the id of the trace of how it came, empty where none was kept.
    """

    compiled: Compiled
    commit: str
    orphaned: Mapping[str, GovernedNamespace] = field(default_factory=dict)
    rolled_out: bool = False
    trace: str = ""

    def governed(self, scope: Scope) -> GovernedNamespace | None:
        """What the scope must hold; None where the model says nothing of it."""
        if scope == CLUSTER:
            return self.compiled.cluster_wide
        return self.compiled.governed.get(scope.namespace) or self.orphaned.get(scope.namespace)

    def tenant_of(self, scope: Scope) -> str:
        governed = self.governed(scope)
        return governed.tenant if governed else NOBODY

    def scopes(self) -> Iterator[Scope]:
        """Every scope the model speaks of, each once, and the cluster's own."""
        yield CLUSTER
        for name in self.compiled.governed:
            yield Scope(name)
        for name in self.orphaned:
            if name not in self.compiled.governed:
                yield Scope(name)


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """What the model loop last decided. `held` says why a newer revision is not in force, empty otherwise.

    `approvable` says that `driftd approve` lets the revision `newest` through all the same.
    """

    commit: str = ""
    newest: str = ""
    held: str = ""
    problems: tuple[Problem, ...] = ()
    quarantined: tuple[str, ...] = ()
    approvable: bool = False


def is_spare(ref: ObjectRef, model: InForce | None) -> bool:
    """Whether nobody needs to know of an object: of an open kind, in a namespace, and not named by the model.

    Those are ServiceAccounts that tenants make, as many as they like. One that another model comes to name is asked for
    when it is missed, and so is each that the first model names.
    """
    kind = KINDS.get((ref.group, ref.kind))
    if kind is None or kind.world is not World.OPEN or not ref.namespace:
        return False
    governed = model.governed(scope_of(ref)) if model else None
    return governed is None or ref not in governed.objects


def changed_scopes(before: InForce | None, after: InForce) -> set[Scope]:
    """Scopes whose desired state differs between two models; all of them where there was none before."""
    if before is None:
        return set(after.scopes())
    changed = set()
    for scope in {*before.scopes(), *after.scopes()}:
        was, now = before.governed(scope), after.governed(scope)
        if was is not now and was != now:
            changed.add(scope)
    if before.compiled.exemptions != after.compiled.exemptions:
        for exempt in {*before.compiled.exemptions} ^ {*after.compiled.exemptions}:
            changed.add(Scope(exempt.ref.namespace))
    return changed
