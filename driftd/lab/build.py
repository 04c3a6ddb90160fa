"""Builds the lab's programs from the Go modules that come with driftd: once a version, by one process at a time."""

import fcntl
import hashlib
import json
import platform
import re
import shutil
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from driftd.lab.errors import BuildFailedError
from driftd.lab.toolchain import Say, fetch_go, find_go, required_go

MODULE = Path(__file__).parent / "go"
PROGRAM = "driftd-lab"
_TAIL_LINES = 25
_SAY_EVERY_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Patch:
    """A change of one place in a file of the module that a recipe names; the place has to be there exactly once."""

    file: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is built from one Go module of ours. The requirement `pinned` gives the build its version."""

    label: str
    cost: str
    """What the first build takes, in words."""
    module: Path
    pinned: str
    programs: tuple[tuple[str, str], ...]
    """A program's name, and the package in the module that it is built from."""
    extras: tuple[tuple[str, str], ...] = ()
    """Folders of the pinned module that are needed at run time, and their names beside the programs."""
    patch: Patch | None = None
    """A change of the pinned module. It is then built from a copy: files of Go's module cache cannot be overlaid."""

    @property
    def version(self) -> str:
        found = re.search(rf"^(?:require)?\s*{re.escape(self.pinned)} (v\S+)", self._go_mod, re.MULTILINE)
        if found is None:
            raise BuildFailedError(f"{self.module}/go.mod does not name {self.pinned}: install driftd again.")
        return found[1]

    @property
    def _go_mod(self) -> str:
        return (self.module / "go.mod").read_text()


CONTROL_PLANE = Recipe(
    label="etcd and Kubernetes",
    cost="about 4 minutes on 2 cores, 3 GB of Go's caches",
    module=MODULE,
    pinned="k8s.io/kubernetes",
    programs=((PROGRAM, "."),),
)


def cache_folder(environ: Mapping[str, str]) -> Path:
    """The per-user cache, after the XDG base directory specification."""
    base = Path(environ.get("XDG_CACHE_HOME", ""))
    root = base if base.is_absolute() else Path(environ.get("HOME") or Path.home()) / ".cache"
    return root / "driftd" / "lab"


def kubernetes_version(module: Path = MODULE) -> str:
    """The version of Kubernetes that the module pins, such as `v1.36.3`."""
    return replace(CONTROL_PLANE, module=module).version


def link_flags(version: str) -> str:
    """Flags that strip the program and write the version into it, where `kubectl version` reads it."""
    major, minor = version.removeprefix("v").split(".")[:2]
    package = "k8s.io/component-base/version"
    values = {"gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    return " ".join(["-s", "-w", *(f"-X {package}.{name}={value}" for name, value in values.items())])


def build_key(module: Path = MODULE) -> str:
    """Names one build of the control plane; see `key_of`."""
    return key_of(replace(CONTROL_PLANE, module=module))


def key_of(recipe: Recipe) -> str:
    """Names one build: the pinned version and a digest of everything that goes into it."""
    digest = hashlib.blake2b(digest_size=8)
    sources = sorted(
        path for path in recipe.module.rglob("*") if path.suffix == ".go" or path.name in {"go.mod", "go.sum"}
    )
    for path in sources:
        digest.update(f"{path.relative_to(recipe.module)}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    digest.update(link_flags(recipe.version).encode())
    if recipe.patch is not None:
        digest.update(repr(recipe.patch).encode())
    return f"{recipe.version}-{platform.system().lower()}-{platform.machine()}-{digest.hexdigest()}"


def cached_program(cache: Path, module: Path = MODULE) -> Path | None:
    """The control plane's program, if some process has finished building it."""
    found = cached(replace(CONTROL_PLANE, module=module), cache)
    return found / PROGRAM if found is not None else None


def cached(recipe: Recipe, cache: Path) -> Path | None:
    """The folder with a recipe's programs and extras, if some process has finished building it."""
    folder = cache / key_of(recipe)
    return folder if all((folder / name).is_file() for name, _ in recipe.programs) else None


def ensure_program(cache: Path, environ: Mapping[str, str], say: Say, module: Path = MODULE) -> Path:
    """The control plane's program, built now if need be; see `ensure`."""
    return ensure(replace(CONTROL_PLANE, module=module), cache, environ, say) / PROGRAM


def ensure(recipe: Recipe, cache: Path, environ: Mapping[str, str], say: Say) -> Path:
    """The folder of a recipe, built now if need be. Blocks for minutes the first time.

    Raises `ProgramsUnavailableError`. Only a whole folder ever has the final name: programs are linked in a scratch
    folder, which is renamed. Whoever comes second waits at the lock and finds it done; the kernel drops the lock of a
    builder that was killed.
    """
    found = cached(recipe, cache)
    if found is not None:
        return found
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(cache / "build.lock", say):
        found = cached(recipe, cache)
        if found is not None:
            return found
        needed = required_go(recipe.module / "go.mod")
        go = find_go(needed, cache, environ) or fetch_go(needed, cache, environ, say)
        return _build(recipe, go, cache, environ, say)


@contextmanager
def _locked(path: Path, say: Say) -> Iterator[None]:
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another process is building the lab's programs: waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _build(recipe: Recipe, go: Path, cache: Path, environ: Mapping[str, str], say: Say) -> Path:
    """Build in a scratch folder, then rename. The caller holds the lock, so any scratch folder is a leftover."""
    for leftover in cache.glob("building-*"):
        shutil.rmtree(leftover)
    settings = {**environ, "GOTOOLCHAIN": "local", "GOFLAGS": "", "GOWORK": "off", "CGO_ENABLED": "0"}
    say(f"building {recipe.label} {recipe.version} from source, once: {recipe.cost}")
    with tempfile.TemporaryDirectory(prefix="building-", dir=cache) as scratch_name:
        scratch = Path(scratch_name)
        result = scratch / "result"
        result.mkdir(mode=0o700)
        modfile = _prepared(recipe, go, settings, scratch, result)
        for name, package in recipe.programs:
            total = _count_packages(go, recipe.module, settings, say, [*modfile, package])
            command = [str(go), "build", "-v", "-mod=readonly", *modfile, "-trimpath", "-buildvcs=false"]
            command += ["-ldflags", link_flags(recipe.version), "-o", str(result / name), package]
            _run_build(command, recipe.module, settings, say, total)
        target = cache / key_of(recipe)
        shutil.rmtree(target, ignore_errors=True)
        result.rename(target)
    say("the build is done and kept for next time")
    return target


def _prepared(recipe: Recipe, go: Path, settings: Mapping[str, str], scratch: Path, result: Path) -> list[str]:
    """Copy the extras, apply the patch; answers the flag that has Go build with the patched copy, or nothing."""
    if recipe.patch is None and not recipe.extras:
        return []
    command = [str(go), "mod", "download", "-json", f"{recipe.pinned}@{recipe.version}"]
    said = _asked(command, recipe.module, settings, f"downloading {recipe.pinned}")
    source = Path(json.loads(said)["Dir"])
    for folder, name in recipe.extras:
        shutil.copytree(source / folder, result / name)
        _make_writable(result / name)
    if recipe.patch is None:
        return []
    copy, modfile = scratch / "source", scratch / "build.mod"
    shutil.copytree(source, copy)
    _make_writable(copy)
    file = copy / recipe.patch.file
    text = file.read_text()
    if text.count(recipe.patch.old) != 1:
        raise BuildFailedError(f"{recipe.patch.file} of {recipe.pinned} {recipe.version} is not as expected.")
    file.write_text(text.replace(recipe.patch.old, recipe.patch.new))
    modfile.write_text(f"{(recipe.module / 'go.mod').read_text()}\nreplace {recipe.pinned} => {copy}\n")
    shutil.copyfile(recipe.module / "go.sum", modfile.with_suffix(".sum"))
    return [f"-modfile={modfile}"]


def _make_writable(folder: Path) -> None:
    """Go's module cache is read-only, folders too; a copy could be neither patched nor removed."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(path.stat().st_mode | 0o200)


def _count_packages(go: Path, module: Path, settings: Mapping[str, str], say: Say, arguments: list[str]) -> int:
    """Download the sources (the listing needs them all) and count what there is to compile."""
    say("downloading the sources (once)")
    command = [str(go), "list", "-mod=readonly", "-deps", *arguments]
    return len(_asked(command, module, settings, "downloading the sources").splitlines())


def _asked(command: list[str], module: Path, settings: Mapping[str, str], what: str) -> str:
    done = subprocess.run(command, cwd=module, env=dict(settings), capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildFailedError(_failure(what, done.stderr.splitlines()))
    return done.stdout


def _run_build(command: list[str], module: Path, settings: Mapping[str, str], say: Say, total: int) -> None:
    """Run the compiler at low priority; it prints a line a package, which is our progress."""
    nice = shutil.which("nice")
    if nice is not None:
        command = [nice, "-n", "10", *command]
    tail: deque[str] = deque(maxlen=_TAIL_LINES)
    compiled, started = 0, time.monotonic()
    said_at = started
    with subprocess.Popen(
        command,
        cwd=module,
        env=dict(settings),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as compiler:
        assert compiler.stderr is not None  # noqa: S101  # PIPE was asked for
        for line in compiler.stderr:
            tail.append(line.rstrip())
            compiled += 1
            now = time.monotonic()
            if now - said_at >= _SAY_EVERY_SECONDS:
                said_at = now
                say(f"compiled {compiled} of at most {total} packages, {now - started:.0f} s so far")
    if compiler.returncode:
        raise BuildFailedError(_failure("compiling", list(tail)))


def _failure(what: str, lines: list[str]) -> str:
    said = "\n".join(lines[-_TAIL_LINES:])
    return (
        f"{what} for the lab failed. Go said:\n{said}\n"
        "Check that Go's module proxy can be reached (`go env GOPROXY`) and that 4 GB of disk are free; try again."
    )
