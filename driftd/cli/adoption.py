"""A live namespace as plain manifests of the model: what is taken, and proof that it fits before it is written."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from driftd.cli.clock import today
from driftd.cli.comparing import Question, read_live
from driftd.cli.exits import Exit
from driftd.cli.failures import CommandError
from driftd.cli.live import LiveState, reader_of
from driftd.cli.plain_yaml import dumped_all
from driftd.cli.review import review
from driftd.cli.sources import ReadModel, ValidModel, judge_model, located, valid_model
from driftd.cli.verdict import Judged, judge
from driftd.compile import Compiled
from driftd.model import SourceFile
from driftd.policy.kinds import KINDS, Coverage, World, kind_of, kinds_under, written_out
from driftd.values import CONDEMNED, EPOCH, PROVENANCE, TENANT, Body, Live, ObjectRef, Scope, scope_of

_NAME = "kubernetes.io/metadata.name"
_NOT_THE_MODELS = frozenset({PROVENANCE, EPOCH, CONDEMNED, "kubectl.kubernetes.io/last-applied-configuration"})
_HEAD = """\
# Adopted from the live namespace {namespace} by `driftd adopt`: canonical word for word from now on. Whatever else
# turns up here and bears policy is drift. Review each object before this file is accepted.
"""


@dataclass(frozen=True, slots=True)
class Adopting:
    """What is to be adopted, and where to."""

    namespace: str
    tenant: str | None
    file: Path | None
    dry_run: bool


@dataclass(frozen=True, slots=True)
class Adopted:
    """What was written, or would be. `differs` is what the grown model still finds in the live namespace."""

    namespace: str
    tenant: str
    file: str
    written: bool
    text: str
    refs: tuple[ObjectRef, ...]
    review: tuple[str, ...]
    differs: tuple[Judged, ...]


def adopt_namespace(question: Question, adopting: Adopting) -> Adopted:
    """Read, write down, prove, and only then write the file.

    Raises:
        CommandError: the model has errors, governs the namespace already, or would have errors with it; the file
            exists; no tenant is known (exit code 2). Something could not be read (exit code 3).
    """
    model = valid_model(question.models, today())
    path = _target(model, adopting)
    live = read_live(question, model.compiled)
    home, others = _found(live, adopting.namespace, model.compiled.dialect)
    tenant = adopting.tenant or (home.body()["metadata"].get("labels") or {}).get(TENANT)
    if not tenant:
        message = f"whose is {adopting.namespace}? It has no {TENANT} label: say --tenant NAME"
        raise CommandError(message, Exit.USAGE)
    grown, text = _grown(model, path, tenant, home, others)
    live = _under(live, grown.coverage)
    verdict = judge(grown, live, today(), namespaces=[adopting.namespace])
    told = review(model.compiled, grown, adopting.namespace, home, others)
    if not adopting.dry_run:
        _write(model.directory / path, text)
    return Adopted(
        namespace=adopting.namespace,
        tenant=tenant,
        file=str(model.directory / path),
        written=not adopting.dry_run,
        text=text,
        refs=(home.ref, *(one.ref for one in others)),
        review=told,
        # What lacks nothing but the marks agrees with the model: writing them is what adopting means.
        differs=tuple(one for one in verdict.findings if one.finding.ref not in verdict.unmarked),
    )


def _target(model: ValidModel, adopting: Adopting) -> str:
    """The new file's path below the model root."""
    if (governed := model.compiled.governed.get(adopting.namespace)) is not None:
        raise CommandError(f"{adopting.namespace} is governed already: {governed.origin}", Exit.USAGE)
    asked = adopting.file or Path("manifests") / f"{adopting.namespace}.yaml"
    root = model.directory.resolve()
    target = (asked if asked.is_absolute() or asked.resolve().is_relative_to(root) else root / asked).resolve()
    if not target.is_relative_to(root) or target.suffix not in {".yaml", ".yml"}:
        raise CommandError(f"--file {asked}: expected a .yaml file below {model.directory}", Exit.USAGE)
    if target.exists():
        raise CommandError(f"{target} exists and is not written over; name another --file", Exit.USAGE)
    return target.relative_to(root).as_posix()


def _found(live: LiveState, namespace: str, dialect: str) -> tuple[Live, tuple[Live, ...]]:
    """The Namespace, and everything in it that its closed kinds hold. Nothing may be unknown: it would be left out."""
    if live.gaps:
        told = "\n".join(f"  {gap}" for gap in live.gaps)
        raise CommandError(f"not all could be read, so nothing is adopted:\n{told}", Exit.UNKNOWN)
    home = live.objects.get(ObjectRef("", "Namespace", "", namespace))
    if home is None:
        raise CommandError(f"there is no Namespace {namespace} in what was read ({live.source})", Exit.USAGE)
    if home.terminating:
        raise CommandError(f"the namespace {namespace} is being deleted", Exit.USAGE)
    kinds = {key for key, kind in kinds_under(dialect).items() if kind.world is World.CLOSED}
    mine = [
        one
        for ref, one in live.objects.items()
        if scope_of(ref) == Scope(namespace) and (ref.group, ref.kind) in kinds and not one.terminating
    ]
    mine.sort(key=lambda one: (kind_of(one.ref).rank, one.ref))
    return home, tuple(mine)


def _grown(model: ValidModel, path: str, tenant: str, home: Live, others: Sequence[Live]) -> tuple[Compiled, str]:
    """The model with the new file, compiled, and the file's text.

    Twice: only the compiled model tells which labels of a Namespace its selectors read, the new policies' own among
    them, and those labels have to be in the new Namespace manifest.
    """
    bodies = [_manifest(one) for one in others]
    text = _text(home.ref.name, [_namespace(home, tenant, model.compiled.coverage), *bodies])
    first = _judged(model, path, text)
    text = _text(home.ref.name, [_namespace(home, tenant, _compiled(first, path, text).coverage), *bodies])
    return _compiled(_judged(model, path, text), path, text), text


def _judged(model: ValidModel, path: str, text: str) -> ReadModel:
    files = (*model.files, SourceFile(path, text.encode()))
    return judge_model(model.directory, model.commit, files, today())


def _compiled(read: ReadModel, path: str, text: str) -> Compiled:
    if read.compiled is None:
        told = "\n".join(f"  {located(problem, read.directory)}" for problem in read.errors)
        lines = len(text.splitlines())
        message = f"with {path} ({lines} lines, not written) the model would not be valid:\n{told}"
        raise CommandError(message, Exit.USAGE)
    return read.compiled


def _text(namespace: str, bodies: Sequence[Body]) -> str:
    return _HEAD.format(namespace=namespace) + dumped_all(bodies)


def _namespace(home: Live, tenant: str, coverage: Coverage) -> Body:
    """The Namespace with what is compared, and no more: a label named here is governed from now on."""
    kind = kind_of(home.ref)
    covered = kind.covered(home.body(), coverage)["metadata"]
    labels = {TENANT: tenant, **{key: text for key, text in covered["labels"].items() if key not in (TENANT, _NAME)}}
    annotations = {key: text for key, text in covered["annotations"].items() if key not in _NOT_THE_MODELS}
    metadata: Body = {"name": home.ref.name, "labels": labels}
    if annotations:
        metadata["annotations"] = annotations
    return {"apiVersion": kind.resource.api_version, "kind": home.ref.kind, "metadata": metadata}


def _manifest(live: Live) -> Body:
    """The object as its authors wrote it: without what the server or driftd puts there."""
    body = live.body()
    found = body.get("metadata") or {}
    metadata: Body = {"name": live.ref.name, "namespace": live.ref.namespace}
    for field in ("labels", "annotations"):
        texts: Mapping[str, str] = found.get(field) or {}
        if kept := {key: text for key, text in texts.items() if key not in _NOT_THE_MODELS}:
            metadata[field] = kept
    kind = KINDS[live.ref.group, live.ref.kind]
    if kind.dialect and live.ref.kind.endswith("NetworkPolicy"):
        body = written_out(body)  # its defaults are those of the group it was read from
    return {
        "apiVersion": kind.resource.api_version,
        "kind": live.ref.kind,
        "metadata": metadata,
        "spec": body.get("spec") or {},
    }


def _under(live: LiveState, coverage: Coverage) -> LiveState:
    """The same state with the digests of another coverage."""

    def anew() -> Iterator[Live]:
        for one in live.objects.values():
            reader = reader_of(kind_of(one.ref).resource, coverage)
            yield replace(one, digest=reader.digest_of(one.raw))

    return replace(live, objects={one.ref: one for one in anew()})


def _write(target: Path, text: str) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise CommandError(f"{target} exists and is not written over; name another --file", Exit.USAGE) from None
    except OSError as error:
        raise CommandError(f"{target} cannot be written: {error.strerror}", Exit.UNKNOWN) from error
