"""Tells the story: in colour and columns on a terminal, in plain lines elsewhere. It only says what it is given."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from driftd.cli.story.daemon import Daemon
from driftd.cli.story.evidence import claims
from driftd.cli.story.outcome import Ending, Installation, SceneEnd
from driftd.cli.story.scenes import Scene
from driftd.lab import Lab
from driftd.store import Past
from driftd.values import Change, FindingType

_PLAIN_WIDTH = 160
_INDENT = 7
_LABEL = 9
_MOST_FINDINGS = 3
_MOST_CHANGES = 4
_LONGEST_VALUE = 70


class Narrator:
    """Writes to one console. Text from the cluster is never read as markup."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def working(self, what: str) -> Iterator[Callable[[str], None]]:
        """Something takes its time: a line that renews itself on a terminal, lines elsewhere; say more through it."""
        if not self._console.is_terminal:
            yield lambda said: self._line(Text(f"... {said}"))
            return
        with self._console.status(what) as shown:
            yield lambda said: shown.update(Text(said))

    def opening(self) -> None:
        """What this is."""
        self._line(Text("driftd demo", "bold"), Text(": many tenants on one cluster, and somebody who tampers with it"))

    def lab(self, lab: Lab) -> None:
        """The control plane is up."""
        parts = ", ".join(lab.parts)
        self._done("control plane", f"{parts}: real ones, on loopback, ready in {lab.seconds_to_ready:.1f} s")

    def rights(self, tamperer: str) -> None:
        """Who may do what."""
        self._done("rights", "driftd is a ServiceAccount with the rights of deploy/manifests/rbac.yaml and no others")
        self._done("", f"{tamperer} is an ordinary user, who may edit far too much")

    def installed(self, daemon: Daemon, found: Installation) -> None:
        """The platform stands."""
        self._done("driftd", f"ready in {daemon.seconds_to_ready:.1f} s, with the settings of production")
        self._done(
            "platform",
            f"{found.namespaces} namespaces with {found.policies} network policies, {found.objects} objects in all: "
            f"made by driftd in {found.milliseconds:.0f} ms",
        )
        for name in found.watched_only:
            self._done("", f"{name} is in report mode: driftd tells, and writes nothing there")

    def scene(self, number: int, of: int, scene: Scene) -> None:
        """What is about to happen, and why it matters."""
        self._console.print()
        self._line(Text(f"{f'{number}/{of}':>5}  ", "dim"), Text(scene.title, "bold"))
        self._line(Text(" " * _INDENT), Text(scene.danger, "dim"))

    def scene_end(self, end: SceneEnd) -> None:
        """Who did it, what driftd saw and did, and how long it took."""
        if end.healing is None:
            self._row("who", Text("the audit log does not hold the request", "red"))
            return
        record = end.healing.tampering
        self._row("did", Text.assemble((record.user, "magenta"), f" {record.verb} {record.ref}"))
        self._seen(end.lives)
        for change in _changes(end.lives):
            self._row("diff", _diff(change))
        self._row("claimed", Text(f"by {', '.join(claims(end.lives)) or 'nobody'}"))
        self._row("repair", Text(f"{end.healing.verbs or 'none'}"))
        if end.healed:
            self._row("healed", Text(_in_time(end), "green"))
        else:
            self._row("NOT OK", Text(", ".join(map(str, end.differing)) or "nothing was written or told", "bold red"))

    def ending(self, ending: Ending) -> None:
        """The table, the chain, the verdict."""
        self._console.print()
        self._console.print(self._table(ending))
        chain = ending.chain
        if chain.ok:
            self._done("audit chain", f"{chain.rows} rows, each carrying the hash of all before it: verified")
        else:
            self._line(Text(f"audit chain broken at row {chain.first_bad}: {chain.problem}", "bold red"))
        if ending.differing:
            self._line(Text(f"differs from the model: {', '.join(map(str, ending.differing))}", "bold red"))
        healed = sum(end.healed for end in ending.ends)
        said = f"{healed} of {len(ending.ends)} tamperings healed"
        self._line(Text(said + ("; the cluster is as the model has it" if ending.good else ""), "bold"))

    def staying(self, lab: Lab, daemon: Daemon, models: Path, tamperer: Path) -> None:
        """How to look around."""
        self._console.print()
        self._line(Text("Everything goes on running until Ctrl-C.", "bold"))
        for label, value in (
            ("administrator", f"export KUBECONFIG={lab.kubeconfig}"),
            ("mallory", f"export KUBECONFIG={tamperer}"),
            ("history", f"driftd history --data-dir {daemon.data}"),
            ("metrics", f"{daemon.url}/metrics"),
            ("health", f"{daemon.url}/readyz"),
            ("model", f"{models}   (edit it: driftd follows)"),
            ("log", f"{daemon.log}"),
            ("audit log", f"{lab.audit_log}"),
        ):
            self._line(Text(f"  {label:<14}", "cyan"), Text(value))

    def leaving(self) -> None:
        """Everything is taken down."""
        self._console.print()
        self._line(Text("removing driftd, the control plane and all their data", "dim"))

    # -- parts ----------------------------------------------------------------------------------------------------

    def _seen(self, lives: Sequence[Past]) -> None:
        if not lives:
            self._row("seen", Text("nothing", "bold red"))
        for life in lives[:_MOST_FINDINGS]:
            finding = life.seen.finding
            self._row("seen", Text.assemble((finding.type.value, "yellow"), f"  {finding.summary}"))
            if finding.witness is not None:
                self._row("", Text(f"{finding.direction.value}, for instance {finding.witness}", "yellow"))
        rest = Counter(life.seen.finding.type for life in lives[_MOST_FINDINGS:])
        if rest:
            more = ", ".join(f"{count} more {type_.value}" for type_, count in rest.items())
            self._row("", Text(f"and {more}", "yellow"))

    def _table(self, ending: Ending) -> Table:
        table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
        for heading in ("tampering", "object", "seen as"):
            table.add_column(heading, overflow="fold")
        for heading in ("closed ms", "healed ms", "writes"):
            table.add_column(heading, justify="right", no_wrap=True)
        table.add_column("")
        for end in ending.ends:
            healing = end.healing
            first, last = (healing.first_ms, healing.whole_ms) if healing else (None, None)
            table.add_row(
                Text(end.scene.title),
                Text(str(end.scene.tampering.ref)),
                Text(", ".join(dict.fromkeys(life.seen.finding.type.value for life in end.lives))),
                _ms(first),
                _ms(last),
                str(len(healing.repairs) if healing else 0),
                Text("ok", "green") if end.healed else Text("NOT OK", "bold red"),
            )
        return table

    def _row(self, label: str, value: Text) -> None:
        """One labelled line; on a terminal what is too long goes on below its own beginning."""
        if not self._console.is_terminal:
            self._line(Text(" " * _INDENT + f"{label:<{_LABEL}}"), value)
            return
        grid = Table.grid(padding=0)
        grid.add_column(width=_LABEL, no_wrap=True)
        grid.add_column(overflow="fold")
        grid.add_row(Text(label, "cyan"), value)
        self._console.print(Padding(grid, (0, 0, 0, _INDENT), expand=False))

    def _done(self, label: str, said: str) -> None:
        self._line(Text(f"  {label:<15}", "cyan"), Text(said))

    def _line(self, *parts: Text) -> None:
        self._console.print(Text.assemble(*parts), soft_wrap=not self._console.is_terminal)


def narrator() -> Narrator:
    """One for standard output as it is; NO_COLOR and TERM are honoured by rich."""
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console = Console(highlight=False, markup=False, emoji=False, width=_PLAIN_WIDTH, no_color=True)
    return Narrator(console)


def _changes(lives: Sequence[Past]) -> tuple[Change, ...]:
    told = [change for life in lives for change in life.seen.finding.changes]
    return tuple(told[:_MOST_CHANGES])


def _diff(change: Change) -> Text:
    path = ".".join(change.path)
    if change.desired is None:
        return Text(f"+ {path}: {_cut(change.live)}", "green")
    if change.live is None:
        return Text(f"- {path}: {_cut(change.desired)}", "red")
    return Text(f"~ {path}: {_cut(change.desired)} -> {_cut(change.live)}", "yellow")


def _cut(value: str | None) -> str:
    text = value or ""
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 1]}…"


def _in_time(end: SceneEnd) -> str:
    healing = end.healing
    if healing is None or healing.whole_ms is None or healing.first_ms is None:
        return ""
    if (
        any(life.seen.finding.type is FindingType.TERMINATING for life in end.lives)
        and healing.first_ms > healing.span_ms
    ):
        return (
            f"{healing.span_ms:.0f} ms after Kubernetes had taken it down (which took {healing.first_ms / 1000:.1f} s)"
        )
    if len(healing.repairs) > 1:
        return f"closed after {healing.first_ms:.0f} ms, whole after {healing.whole_ms:.0f} ms"
    return f"after {healing.whole_ms:.0f} ms"


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"
