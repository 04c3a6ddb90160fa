"""Borders between tenants, seen from the groups of a matrix."""

from dataclasses import dataclass

from driftd.policy.reach import Grouping, Tenancy

PLATFORM = "(platform)"


@dataclass(frozen=True, slots=True)
class Borders:
    """Which tenant a group belongs to. The platform lies on nobody's far side; not `drawn`, nothing does."""

    by: Grouping
    tenancy: Tenancy
    drawn: bool = True

    def tenant(self, group: str) -> str:
        """The tenant of a group; empty for the platform."""
        if self.by is Grouping.TENANT:
            return "" if group == PLATFORM else group
        return self.tenancy.tenant(group.partition("/")[0])

    def crossed(self, source: str, target: str) -> bool:
        """Whether a border between tenants lies between two groups."""
        one, other = self.tenant(source), self.tenant(target)
        return self.drawn and bool(one) and bool(other) and one != other
