"""What `check` and `diff` share: the model, the live state, the verdict, and the exit code that follows."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from driftd.cli import show
from driftd.cli.clock import today
from driftd.cli.dumps import read_dumps
from driftd.cli.exits import Exit
from driftd.cli.failures import CommandError
from driftd.cli.live import LiveState
from driftd.cli.sources import ValidModel, valid_model
from driftd.cli.verdict import Verdict, judge
from driftd.compile import Compiled
from driftd.policy.kinds import KINDS
from driftd.values import kind_name


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be compared. `manifests` are files of live objects; without any, the cluster is asked."""

    models: Path
    manifests: tuple[Path, ...]
    kubeconfig: Path | None
    context: str | None
    namespaces: tuple[str, ...]
    kinds: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Compared:
    """Both sides and what came of it."""

    model: ValidModel
    live: LiveState
    verdict: Verdict

    @property
    def exit(self) -> Exit:
        """What could not be told beats drift: "drift" would be half an answer."""
        if self.verdict.unknown:
            return Exit.UNKNOWN
        return Exit.DRIFT if self.verdict.drift else Exit.CLEAN


def asked(
    *,
    models: Path,
    manifests: Sequence[Path] | None,
    more: Sequence[Path] | None,
    kubeconfig: Path | None,
    context: str | None,
    namespaces: Sequence[str] | None = None,
    kinds: Sequence[str] | None = None,
) -> Question:
    """The question of a command line.

    Raises:
        CommandError: it contradicts itself or names what is not there (exit code 2).
    """
    if more and not manifests:
        raise CommandError(f"unexpected {more[0]}: files of live objects follow --manifests", Exit.USAGE)
    files = (*(manifests or ()), *(more or ()))
    for path in files:
        if str(path) != "-" and not path.exists():
            raise CommandError(f"--manifests {path}: there is no such file or directory", Exit.USAGE)
    known = sorted(kind_name(*key) for key in KINDS)
    for kind in kinds or ():
        if kind not in known:
            raise CommandError(f"--kind {kind}: driftd governs {', '.join(known)}", Exit.USAGE)
    return Question(models, files, kubeconfig, context, tuple(namespaces or ()), tuple(kinds or ()))


def compared(question: Question) -> Compared:
    """Read both sides and judge. Raises `CommandError`."""
    model = valid_model(question.models, today())
    _must_govern(model.compiled, question.namespaces)
    live = read_live(question, model.compiled)
    with show.progress("comparing") as say:
        verdict = judge(
            model.compiled,
            live,
            today(),
            namespaces=question.namespaces or None,
            kinds=question.kinds or None,
            step=say,
        )
    return Compared(model, live, verdict)


def read_live(question: Question, compiled: Compiled) -> LiveState:
    """The live state from files, or from the cluster. Raises `CommandError`."""
    if question.manifests:
        with show.progress("reading live objects"):
            return read_dumps(question.manifests, compiled.coverage)
    from driftd.cli.live_cluster import read_cluster
    from driftd.cluster import default_credentials

    kubeconfig = None if question.kubeconfig is None else str(question.kubeconfig)
    credentials = default_credentials(kubeconfig, question.context)
    with show.progress("connecting") as say:
        return read_cluster(credentials, compiled, say, question.kinds or None)


def quiet_logs() -> None:
    """The rooms' own logs to stderr, errors only: stdout is the document's, and what matters is told as a gap."""
    from driftd.telemetry import configure_logs

    configure_logs(level="error", json=False)


def _must_govern(compiled: Compiled, namespaces: Sequence[str]) -> None:
    for namespace in namespaces:
        if namespace not in compiled.governed:
            known = ", ".join(list(compiled.governed)[:20])
            raise CommandError(f"--namespace {namespace}: the model does not govern it; it governs {known}", Exit.USAGE)
