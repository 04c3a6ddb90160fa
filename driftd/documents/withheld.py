"""A finding as somebody is told who may look into one namespace alone: nobody else is named.

A witness shows who can reach whom, and so names the other side: a workload, a label or an address of another tenant.
Who may read the findings of the whole cluster is told all of it; who may read one namespace's is told what happened
there.
"""

from dataclasses import replace

from driftd.values import Finding, FindingType, Witness

ELSEWHERE = "(outside of this namespace)"


def as_seen_in(namespace: str, finding: Finding) -> Finding:
    """The same finding without names of others. Fields of the namespace's own objects stay as they are."""
    if finding.witness is None:
        return replace(finding, summary=_summary(namespace, finding, None))
    source, target = (_end(namespace, end) for end in (finding.witness.source, finding.witness.target))
    witness = replace(finding.witness, source=source, target=target)
    return replace(finding, witness=witness, summary=_summary(namespace, finding, witness))


def _end(namespace: str, end: str) -> str:
    """One end of a flow. A namespace's name holds no space, so no stranger can look like these sentences."""
    ours = (f"{namespace}/", f"callers of Service {namespace}/", "anybody who ")
    return end if end.startswith(ours) else ELSEWHERE


def _summary(namespace: str, finding: Finding, witness: Witness | None) -> str:
    match finding.type:
        case FindingType.MISDIRECTED if finding.ref.kind != "Service":  # a Service leads nowhere, it leaves out
            return (
                f"{finding.ref} leads callers of its Service out of this namespace; delete it, or the addresses in it"
            )
        case FindingType.BLOCKED:
            return f"{finding.ref} cannot be repaired; who looks after the cluster can read why"
        case _:
            summary = finding.summary.replace(str(finding.witness), str(witness))
    hidden = (finding.witness.source, finding.witness.target) if finding.witness else ()
    told = any(end in summary for end in hidden if _end(namespace, end) == ELSEWHERE)
    return f"{finding.ref}: {finding.type.value}" if told else summary
