"""`driftd pause`: tell drift in a namespace and repair none, for a while."""

import re
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

import typer

from driftd.cli.options import (
    DEFAULT_API,
    ApiOption,
    CaFileOption,
    ContextOption,
    KubeconfigOption,
    Output,
    OutputOption,
    TokenFileOption,
)

if TYPE_CHECKING:
    from driftd.documents import PauseList

_LENGTH = re.compile(r"(?:(\d{1,4})h)?(?:(\d{1,5})m)?(?:(\d{1,6})s)?")


def pause(
    *,
    namespace: Annotated[str | None, typer.Option("--namespace", "-n", help="The namespace.")] = None,
    length: Annotated[
        str | None, typer.Option("--for", help="How long: 30m, 1h30m, 90s; at most 4h. It ends by itself.")
    ] = None,
    reason: Annotated[
        str | None, typer.Option("--reason", help="Why; it is audited with your name, and paged.")
    ] = None,
    end: Annotated[bool, typer.Option("--end", help="Instead, end the namespace's pause now.")] = False,
    listed: Annotated[bool, typer.Option("--list", help="Instead, list the pauses that hold.")] = False,
    api: ApiOption = DEFAULT_API,
    token_file: TokenFileOption = None,
    ca_file: CaFileOption = None,
    kubeconfig: KubeconfigOption = None,
    context: ContextOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Pause the repairs of one namespace.

    Drift there is still found, told and paged; nothing is written until the pause ends. A pause outlives a restart of
    the daemon, shows as a finding, in metrics and as a page.

    Exit code 0; 2 for wrong usage; 3 when the daemon refuses or cannot be asked.
    """
    from driftd.cli import show
    from driftd.cli.daemon_api import daemon_api, requested
    from driftd.cli.exits import Exit
    from driftd.cli.failures import CommandError, failures_told
    from driftd.documents import PauseList, PauseRequest

    with failures_told("pause"):
        if listed + end + (length is not None) != 1 or (namespace is None) != listed or bool(reason) != bool(length):
            raise CommandError(
                "expected --namespace NAME --for 30m --reason WHY, or --namespace NAME --end, or --list", Exit.USAGE
            )
        request = None
        if length is not None:
            request = requested(PauseRequest, namespace=namespace, seconds=seconds_of(length), reason=reason)
        daemon = daemon_api(api, token_file, ca_file, kubeconfig, context)
        if request is not None:
            done = daemon.post("/api/pauses", request, PauseList)
        elif end:
            done = daemon.delete(f"/api/pauses/{quote(namespace or '', safe='')}", PauseList)
        else:
            done = daemon.get("/api/pauses", PauseList)
    if output is not Output.TABLE:
        show.emit(done, output)
        return
    _print(done)
    if end:
        show.note("ended: what differs there is repaired now")


def seconds_of(length: str) -> int:
    """`1h30m` in seconds. Raises `CommandError`."""
    from driftd.cli.exits import Exit
    from driftd.cli.failures import CommandError

    found = _LENGTH.fullmatch(length)
    seconds = (
        sum(int(part or 0) * unit for part, unit in zip(found.groups(), (3600, 60, 1), strict=True)) if found else 0
    )
    if not seconds:
        raise CommandError(f"--for {length[:40]}: expected something like 30m, 1h30m or 90s", Exit.USAGE)
    return seconds


def _print(found: "PauseList") -> None:
    from driftd.cli import show

    rows = [(one.namespace, one.until[:19], one.by, one.reason) for one in found.pauses]
    if rows:
        show.table(("NAMESPACE", "UNTIL (UTC)", "BY", "REASON"), rows)
    else:
        show.note("nothing is paused")
