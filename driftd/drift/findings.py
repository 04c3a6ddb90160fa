"""Turn a difference and its judgement into a finding: a stable id, one sentence, a severity and a claim."""

from dataclasses import dataclass, replace
from hashlib import blake2b

from driftd.compile import Compiled, GovernedNamespace
from driftd.drift.marks import foreign_finalizers
from driftd.drift.meaning import UNJUDGED, Difference, Judgement, is_admin_policy, severity
from driftd.drift.tolerance import tolerates
from driftd.drift.words import shown
from driftd.policy.kinds import Bearing, bearing
from driftd.values import (
    CLUSTER,
    Claim,
    Direction,
    Finding,
    FindingType,
    Live,
    ObjectRef,
    Origin,
    Scope,
    Severity,
)

FIELD_MANAGER = "driftd"
"""The name under which driftd itself writes."""
KIND_ITSELF = "(the kind itself)"
"""Stands for a name where a finding is about a kind and no object of it."""
NOBODY = Claim(who="unknown", source="unknown")
"""The claim when nothing names an author."""

_NO_FLOWS = frozenset({("", "ResourceQuota"), ("", "LimitRange"), ("", "ServiceAccount")})
_ONLY_TOLD = frozenset({FindingType.ORPHANED, FindingType.FINALIZER, FindingType.PAUSED})
_NEUTRAL = Judgement(Direction.NEUTRAL, crosses_tenant=False)
_TIGHTENS = Judgement(Direction.TIGHTENS, crosses_tenant=False)


def finding_id(cluster: str, type_: FindingType, ref: ObjectRef) -> str:
    """The stable name of a finding: 24 hexadecimal digits of cluster, type and identity.

    The uid is left out on purpose: an object that is deleted and put back by a fight keeps its page.
    """
    # A space stands in none of these: group, kind, namespace and name are DNS names or identifiers.
    said = f"{cluster} {type_.value} {ref.group} {ref.kind} {ref.namespace} {ref.name}"
    return blake2b(said.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def claim_of(live: Live | None) -> Claim:
    """Who made the newest write that is not driftd's, as `managedFields` has it: a claim and no proof (D11).

    Where more have written than are kept it says so: each write under one more name pushes out an older one.
    """
    if live is not None:
        writers = len(live.managers) + live.earlier_managers
        among = f" (the newest of {writers} writers)" if live.earlier_managers else ""
        for manager in reversed(live.managers):
            if manager.name != FIELD_MANAGER:
                return Claim(who=shown(manager.name, 128) + among, source="managedFields", at=manager.time)
    return NOBODY


def decides_flows(finding: Finding) -> bool:
    """Whether what is found may have a part in who can reach whom, and so be half of a hole; in doubt it may.

    Surely not: kinds that select no pods and name no peers, a namespace that is not there, and what is only told.
    """
    if (finding.ref.group, finding.ref.kind) in _NO_FLOWS:
        return False
    missing_home = finding.type is FindingType.MISSING and finding.ref.kind == "Namespace"
    return finding.type not in _ONLY_TOLD and not missing_home


def blocked(finding: Finding, why: str, cluster: str) -> Finding:
    """The finding that a repair of `finding` cannot be written, for `why` (refused, blind kind, held model, paused).

    It has the judgement of what it blocks: a hole that cannot be closed is as bad as the hole.
    """
    return Finding(
        id=finding_id(cluster, FindingType.BLOCKED, finding.ref),
        type=FindingType.BLOCKED,
        ref=finding.ref,
        scope=finding.scope,
        tenant=finding.tenant,
        direction=finding.direction,
        severity=finding.severity,
        summary=f"{finding.ref} cannot be repaired: {shown(why)}",
        origin=finding.origin,
        witness=finding.witness,
        claimed_by=finding.claimed_by,
        dialect=finding.dialect,
        neutral_now=finding.neutral_now,
    )


def defaulted(shown_by: ObjectRef, why: str, compiled: Compiled) -> Finding:
    """The finding that the server adds covered fields nobody sent, so that a kind is not written any more (D3).

    One for the whole cluster, whatever still differs: what is not written is not repaired, so its meaning is unknown.
    """
    kind = ObjectRef(shown_by.group, shown_by.kind, "", KIND_ITSELF)
    return Finding(
        id=finding_id(compiled.cluster, FindingType.DEFAULTED, kind),
        type=FindingType.DEFAULTED,
        ref=kind,
        scope=CLUSTER,
        tenant="",
        direction=UNJUDGED.direction,
        severity=severity(UNJUDGED.direction, crosses_tenant=UNJUDGED.crosses_tenant),
        summary=(
            f"no {kind.kind} is written any more: the API server adds fields that driftd does not know, a default or "
            f"what an admission plugin puts there ({shown(why)}); it is asked again now and then"
        ),
        dialect=compiled.dialect,
    )


@dataclass(frozen=True, slots=True)
class Teller:
    """Tells the findings of one scope."""

    compiled: Compiled
    governed: GovernedNamespace
    scope: Scope

    def tell(self, difference: Difference, judgement: Judgement) -> Finding:
        """The finding for a difference. Some shapes have a meaning of their own, whatever the judge says."""
        if tolerates(self.governed, difference, judgement):
            return self._tolerated(difference, judgement)
        own = _own_meaning(difference)
        return self._finding(
            difference.type,
            difference.ref,
            own or judgement,
            self._summary(difference),
            live=difference.live,
            origin=None if difference.desired is None else difference.desired.origin,
        )

    def _tolerated(self, difference: Difference, judgement: Judgement) -> Finding:
        """A policy of the tenant's own that the plan lets stand: nobody's alarm, whatever it opens inside."""
        summary = f"{difference.ref} is not in the model; the plan lets it stand ({self.governed.tenant_policies})"
        found = self._finding(FindingType.TOLERATED, difference.ref, judgement, summary, live=difference.live)
        low = judgement.direction is Direction.TIGHTENS
        return replace(found, severity=Severity.LOW if low else Severity.INFO)

    def leaving(self, namespace: Live) -> Finding:
        """The whole namespace is being deleted: nothing is written into it, and nothing else is said of it."""
        summary = f"namespace {self.governed.name} is being deleted, the model still has it; no writes go into it"
        return self._finding(FindingType.TERMINATING, namespace.ref, _TIGHTENS, summary, live=namespace)

    def orphaned(self) -> Finding:
        """The environment is gone from the model."""
        summary = (
            f"{self.governed.environment or self.governed.name} is gone from the model: its namespace "
            f"{self.governed.name} is held at its last canonical state until `driftd retire`"
        )
        return self._finding(
            FindingType.ORPHANED, self._home(), _NEUTRAL, summary, live=None, origin=self.governed.origin
        )

    def recreated(self, namespace: Live, known: str) -> Finding:
        """The namespace of this name is not the one that was known."""
        summary = (
            f"namespace {self.governed.name} was deleted and made again (uid {known}, now {namespace.uid}); "
            "it is governed at once, and whoever works in it may be somebody else"
        )
        unknown = Judgement(Direction.UNKNOWN, crosses_tenant=False)
        return self._finding(FindingType.RECREATED, namespace.ref, unknown, summary, live=namespace)

    def unknown_kind(self, live: Live) -> Finding:
        """An object of a kind that bears policy and is not understood, or not here: never touched."""
        group = live.ref.group or "core"
        match bearing(live.ref.group, live.ref.kind):
            case Bearing.UNLISTED:
                what = "belongs to a group of policy kinds and is not in driftd's table; driftd cannot judge it and"
            case Bearing.GOVERNED:
                what = f"is not of the network layer that cni.dialect names ({self.compiled.dialect}): driftd"
            case _:
                what = "bears policy; driftd cannot judge it and"
        summary = f"{live.ref} ({group}) {what} leaves it alone"
        return self._finding(FindingType.UNKNOWN_KIND, live.ref, UNJUDGED, summary, live=live)

    def _home(self) -> ObjectRef:
        return ObjectRef("", "Namespace", "", self.governed.name)

    def _summary(self, difference: Difference) -> str:
        ref, desired = difference.ref, difference.desired
        where = "" if desired is None else f" ({desired.origin})"
        match difference.type:
            case FindingType.MISSING:
                return f"{ref} is missing{where}"
            case FindingType.MODIFIED:
                return f"{ref} differs from the model{where}"
            case FindingType.UNEXPECTED if desired is not None:
                return f"{ref} stood in for an object that is back, and is no longer needed"
            case FindingType.UNEXPECTED:
                return f"{ref} is not in the model"
            case FindingType.FOREIGN if is_admin_policy(ref):
                return f"{ref} is an admin policy, which no model has: it is judged by its effect, and left alone"
            case FindingType.FOREIGN:
                return f"{ref} is not in the model and concerns governed namespaces; driftd leaves it alone"
            case FindingType.TERMINATING:
                return f"{ref} is being deleted, the model has it{where}{_held(difference.live)}"
            case FindingType.UNDELETABLE:
                return f"{ref} is not in the model, was emptied and deleted, and still stands{_held(difference.live)}"
            case FindingType.FINALIZER:
                return f"{ref} carries a foreign finalizer{_held(difference.live)}"
            case _:
                return f"{ref}: {difference.type.value}"

    def _finding(
        self,
        type_: FindingType,
        ref: ObjectRef,
        judgement: Judgement,
        summary: str,
        *,
        live: Live | None,
        origin: Origin | None = None,
    ) -> Finding:
        return Finding(
            id=finding_id(self.compiled.cluster, type_, ref),
            type=type_,
            ref=ref,
            scope=self.scope,
            tenant=self.governed.tenant,
            direction=judgement.direction,
            severity=severity(judgement.direction, crosses_tenant=judgement.crosses_tenant),
            summary=summary,
            origin=origin,
            witness=judgement.witness,
            claimed_by=claim_of(live),
            dialect=judgement.dialect or self.compiled.dialect,
            neutral_now=judgement.neutral_now,
        )


def _own_meaning(difference: Difference) -> Judgement | None:
    if difference.type is FindingType.UNDELETABLE:
        return _TIGHTENS  # it allows nothing any more, and still isolates what it selects
    if difference.type is FindingType.FINALIZER:
        return _NEUTRAL
    if difference.type is FindingType.UNEXPECTED and difference.desired is not None:
        return _NEUTRAL  # a twin with the very content of the object it stood in for
    return None


def _held(live: Live | None) -> str:
    names = () if live is None else foreign_finalizers(live)
    if not names:
        return ""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"; held by {', '.join(shown(name, 80) for name in names[:3])}{more}"
