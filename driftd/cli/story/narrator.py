"""Tells the story: in colour and columns on a terminal, in plain lines elsewhere. It only says what it is given."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import orjson
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from driftd.cli.story.daemon import Daemon
from driftd.cli.story.evidence import claims
from driftd.cli.story.outcome import Called, Ending, Installation, Masquerade, Packets, SceneEnd
from driftd.cli.story.scenes import Scene, Tampering
from driftd.drift import shown
from driftd.lab import Lab
from driftd.store import Past
from driftd.values import Body, Change, Direction, Finding, ObjectRef

_PLAIN_WIDTH = 160
_WIDE = 100
"""Columns from which on the table has room for what was seen."""
_INDENT = 7
_LABEL = 9
_STEP = 15
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
        parts = ", ".join(name for name in lab.parts if name.startswith(("etcd", "kube-")))
        self._done("control plane", f"{parts}: real ones, on this machine, ready in {lab.seconds_to_ready:.1f} s")
        for node in lab.nodes:
            self._done(node.name, f"{node.address}: kubelet, containerd, Cilium's datapath, kube-proxy")

    def rights(self, tamperer: str) -> None:
        """Who may do what."""
        self._done("rights", "driftd is a ServiceAccount with the rights of deploy/manifests and no others")
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
        self._console.print(Padding(Text(scene.danger, "dim"), (0, 0, 0, _INDENT), expand=False))

    def scene_end(self, end: SceneEnd) -> None:
        """Who did it, what driftd saw and did, and how long it took."""
        if end.healing is None:
            self._row("NOT OK", Text("the audit log does not hold the request", "bold red"))
            return
        record = end.healing.tampering
        patch = f" {_cut(_json(record.request_object))}" if record.verb == "patch" else ""
        self._row("did", Text.assemble((record.user, "magenta"), f" {record.verb} {record.ref}", (patch, "dim")))
        self._seen(end.lives)
        self._row("claimed", Text(" and ".join(claims(end.lives)) or "by nobody"))
        self._row("repair", Text(end.healing.verbs or "none"))
        if end.healed:
            self._row("healed", Text(_in_time(end), "green"))
        else:
            self._row("NOT OK", Text(", ".join(map(str, end.differing)) or "nothing was written or told", "bold red"))

    def packets(self, server: tuple[str, str], neighbour: tuple[str, str]) -> None:
        """The act with pods begins."""
        self._console.print()
        said = f"packets from {'/'.join(neighbour)} to {'/'.join(server)}: two tenants, two pods, one network"
        self._line(Text(" " * _INDENT), Text(said, "bold"))

    def step(self, said: str) -> None:
        """What happens next."""
        self._console.print(Padding(Text(said, "dim"), (0, 0, 0, _INDENT), expand=False))

    def connection(self, who: tuple[str, str], target: str, *, through: bool) -> None:
        """One attempt of a pod to connect."""
        outcome = Text("connected", "green") if through else Text("dropped", "yellow")
        self._row("packet", Text.assemble((f"{who[0]}/{who[1]}", "magenta"), f" -> {target}: ", outcome))

    def done_by_tamperer(self, tampering: Tampering) -> None:
        """What was changed, as it was sent."""
        patch = _cut(_json(tampering.body))
        self._row("did", Text.assemble(("mallory", "magenta"), f" {tampering.verb} {tampering.ref} ", (patch, "dim")))

    def packets_end(self, packets: Packets) -> None:
        """What the act with pods has shown."""
        if packets.closed_again is not None:
            said = f"on the wire {packets.closed_again:.1f} s after driftd woke up, connections that hung included"
            self._row("healed", Text(said, "green"))
        slipped = f"{packets.through_while_awake} of {packets.attempts_while_awake} connections came through"
        self._row("awake", Text(f"{slipped} after the same tampering with driftd awake"))
        if packets.friend_undisturbed:
            self._row("allowed", Text("acme's own web reached api all the time", "green"))
        if not packets.good:
            self._row("NOT OK", Text(str(packets), "bold red"))

    def on_call(self) -> None:
        """The act of whoever is on call begins."""
        self._console.print()
        self._line(Text(" " * _INDENT), Text("whoever is on call", "bold"))
        self.step(
            "The same event goes to PagerDuty where there is a key, and is served under /api/pages where there is none."
        )

    def called(self, called: Called) -> None:
        """The page and the trace."""
        if called.event is not None:
            payload = called.event["payload"]
            urgency = payload.get("severity", "change event")
            self._row("page", Text.assemble((urgency, "bold yellow"), f"  {payload['summary']}"))
            self._row("key", Text(called.event.get("dedup_key", "none: a change event wakes nobody")))
            self._row("trace", Text(payload["custom_details"].get("trace_id", "none")))
        for depth, span in called.trace:
            self._row("", Text.assemble("  " * depth, (span.name, "cyan"), f"  {span.milliseconds:.1f} ms"))
        if not called.good:
            self._row("NOT OK", Text("the page, or the trace it names, did not come", "bold red"))

    def labels(self, pod: ObjectRef, labels: Mapping[str, str]) -> None:
        """The act with labels begins."""
        self._console.print()
        self._line(Text(" " * _INDENT), Text("a pod puts on the labels of the database", "bold"))
        self.step("No policy changes: whoever wears the labels gets what is meant for the database.")
        worn = ", ".join(f"{key}={value}" for key, value in labels.items())
        self._row("worn", Text.assemble(("mallory", "magenta"), f" makes {pod} with {worn}"))

    def labels_end(self, end: Masquerade) -> None:
        """What the act with labels has shown."""
        if end.finding is not None:
            self._row("seen", Text.assemble((end.finding.type.value, "yellow"), f"  {end.finding.summary}"))
            self._means(end.finding)
        if end.good:
            self._row("told", Text(f"after {end.seconds * 1000:.0f} ms, and closed when the pod was gone", "green"))
        else:
            self._row("NOT OK", Text("not found as opening something, or never closed", "bold red"))

    def ending(self, ending: Ending) -> None:
        """The table, the chain, the verdict."""
        self._console.print()
        self._print_table(self._table(ending))
        self._figures(ending)
        chain = ending.chain
        if chain.ok:
            self._done("audit chain", f"{chain.rows} rows, each carrying the hash of all before it: verified")
        else:
            self._line(Text(f"audit chain broken at row {chain.first_bad}: {chain.problem}", "bold red"))
        if ending.differing:
            self._line(Text(f"differs from the model: {', '.join(map(str, ending.differing))}", "bold red"))
        for namespace, count in Counter(str(finding.scope) for finding in ending.open).items():
            why = ", which is in report mode" if namespace in ending.watched_only else ""
            self._done("still open", f"{count} findings in {namespace}{why}")
        healed = sum(end.healed for end in ending.ends)
        said = f"{healed} of {len(ending.ends)} tamperings healed"
        self._line(Text(said + ("; the cluster is as the model has it" if ending.good else ""), "bold"))

    def with_nodes(self, lacks: Sequence[str]) -> None:
        """What there is to see besides; nothing where the machine lacks something that no package cures."""
        if not lacks:
            self._done(
                "with packets", "make demo-node (driftd lab packages, then driftd demo --nodes 2): pods on nodes"
            )

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
            self._done(label, value)

    def leaving(self) -> None:
        """Everything is taken down."""
        self._console.print()
        self._line(Text("removing driftd, the control plane and all their data", "dim"))

    # -- parts ----------------------------------------------------------------------------------------------------

    def _seen(self, lives: Sequence[Past]) -> None:
        """Findings with their changes in the daemon's own words; of many, the first and a count."""
        if not lives:
            self._row("seen", Text("nothing", "bold red"))
        for life in lives[: _MOST_FINDINGS if len(lives) <= _MOST_FINDINGS else 1]:
            finding = life.seen.finding
            said = str(finding.ref) if finding.changes else finding.summary
            self._row("seen", Text.assemble((finding.type.value, "yellow"), f"  {said}"))
            if finding.direction is not Direction.UNKNOWN:
                self._means(finding)
            for number, change in enumerate(finding.changes[:_MOST_CHANGES]):
                self._row("" if number else "diff", Text.assemble(change.sentence, "  ", _diff(change)))
            left = len(finding.changes) + finding.omitted - _MOST_CHANGES
            if left > 0:
                self._row("", Text(f"and {left} more changes"))
        if len(lives) > _MOST_FINDINGS:
            rest = Counter(life.seen.finding.type for life in lives[1:])
            self._row("", Text(", ".join(f"{count} {type_.value}" for type_, count in rest.items()), "yellow"))

    def _means(self, finding: Finding) -> None:
        told = finding.effect if finding.neutral_now else str(finding.witness or "")
        self._row("means", Text.assemble((finding.direction.value, "yellow"), f": {shown(told)}" if told else ""))

    def _table(self, ending: Ending) -> Table:
        wide = self._console.width >= _WIDE
        table = Table(box=SIMPLE_HEAD if self._console.is_terminal else None, pad_edge=False, padding=(0, 1))
        table.add_column("tampering", overflow="fold")
        table.add_column("where", no_wrap=True)
        if wide:
            table.add_column("seen as", overflow="fold")
        for heading in ("closed", "healed", "writes"):
            table.add_column(heading, justify="right", no_wrap=True)
        table.add_column("", no_wrap=True)
        for end in ending.ends:
            healing = end.healing
            seen = dict.fromkeys(life.seen.finding.type.value for life in end.lives)
            table.add_row(
                Text(end.scene.title),
                Text(_place(end.scene.tampering.ref)),
                *([Text(", ".join(seen))] if wide else []),
                _ms(healing.first_ms if healing else None),
                _ms(healing.whole_ms if healing else None),
                str(len(healing.repairs) if healing else 0),
                Text("ok", "green") if end.healed else Text("NOT OK", "bold red"),
            )
        return table

    def _print_table(self, table: Table) -> None:
        """Off a terminal without the blanks that pad its right edge."""
        if self._console.is_terminal:
            self._console.print(table)
            return
        with self._console.capture() as drawn:
            self._console.print(table)
        for line in drawn.get().splitlines():
            self._line(Text(line.rstrip()))

    def _figures(self, ending: Ending) -> None:
        """What the table's times are."""
        self._done(
            "times",
            "from the answer to the tamperer to the answer to driftd's first (closed) and last (healed) repairing "
            "write, as the API server's audit log stamps them",
        )
        for end in ending.ends:
            if end.healing is not None and end.healing.dying_ms is not None:
                self._done(
                    "", f"of {end.scene.namespace}'s, {end.healing.dying_ms:.0f} ms were Kubernetes taking it down"
                )
        times = ending.heal_ms
        if times:
            self._done("", f"median {median(times):.0f} ms, slowest {max(times):.0f} ms (deleted namespaces aside)")

    def _row(self, label: str, value: Text) -> None:
        self._labelled(_INDENT, _LABEL, label, value)

    def _done(self, label: str, said: str) -> None:
        self._labelled(2, _STEP, label, Text(said))

    def _labelled(self, indent: int, width: int, label: str, value: Text) -> None:
        """One labelled line; on a terminal what is too long goes on below its own beginning."""
        if not self._console.is_terminal:
            self._line(Text(" " * indent + f"{label:<{width}}"), value)
            return
        grid = Table.grid(padding=0)
        grid.add_column(width=width, no_wrap=True)
        grid.add_column(overflow="fold")
        grid.add_row(Text(label, "cyan"), value)
        self._console.print(Padding(grid, (0, 0, 0, indent), expand=False))

    def _line(self, *parts: Text) -> None:
        self._console.print(Text.assemble(*parts), soft_wrap=not self._console.is_terminal)


def narrator() -> Narrator:
    """One for standard output as it is; NO_COLOR and TERM are honoured by rich."""
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console = Console(highlight=False, markup=False, emoji=False, width=_PLAIN_WIDTH, no_color=True)
    return Narrator(console)


def _diff(change: Change) -> Text:
    """The change as a line of a diff: + is what the cluster has too much, - what it lacks."""
    path = _path(change.path)
    rule = change.path[:1] == ("spec",) and change.path[1:2] in (("ingress",), ("egress",)) and len(change.path) == 3
    if change.desired is None:
        return Text(f"+ {path}" if rule else f"+ {path}: {_cut(change.live)}", "green")
    if change.live is None:
        return Text(f"- {path}" if rule else f"- {path}: {_cut(change.desired)}", "red")
    return Text(f"~ {path}: {_cut(change.desired)} -> {_cut(change.live)}", "yellow")


def _path(parts: Sequence[str]) -> str:
    """`spec.egress[anybody: any port]`: what is no plain word stands in brackets."""
    text = ""
    for part in parts:
        text += f".{part}" if part.isidentifier() else f"[{part}]"
    return text.removeprefix(".")


def _json(body: Body | None) -> str:
    return orjson.dumps(body).decode()


def _cut(value: str | None) -> str:
    text = value or ""
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 1]}…"


def _place(ref: ObjectRef) -> str:
    return f"{ref.namespace}/{ref.name}" if ref.namespace else ref.name


def _in_time(end: SceneEnd) -> str:
    healing = end.healing
    if healing is None or healing.whole_ms is None or healing.first_ms is None:
        return "never"
    if healing.dying_ms is not None:
        return (
            f"whole {healing.whole_ms - healing.dying_ms:.0f} ms after Kubernetes had taken the namespace down, "
            f"which took {healing.dying_ms / 1000:.1f} s"
        )
    if len(healing.repairs) > 1:
        return f"closed after {healing.first_ms:.0f} ms, whole after {healing.whole_ms:.0f} ms"
    return f"after {healing.whole_ms:.0f} ms"


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} ms"
