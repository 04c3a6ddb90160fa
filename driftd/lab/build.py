"""Builds the lab's one program from the Go module beside this file: once a version, by one process at a time."""

import fcntl
import hashlib
import platform
import re
import shutil
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from driftd.lab.errors import BuildFailedError
from driftd.lab.toolchain import Say, fetch_go, find_go, required_go

MODULE = Path(__file__).parent / "go"
PROGRAM = "driftd-lab"
_TAIL_LINES = 25
_SAY_EVERY_SECONDS = 10.0


def cache_folder(environ: Mapping[str, str]) -> Path:
    """The per-user cache, after the XDG base directory specification."""
    base = Path(environ.get("XDG_CACHE_HOME", ""))
    root = base if base.is_absolute() else Path(environ.get("HOME") or Path.home()) / ".cache"
    return root / "driftd" / "lab"


def kubernetes_version(module: Path = MODULE) -> str:
    """The version of Kubernetes that the module pins, such as `v1.36.3`."""
    found = re.search(r"^\s*k8s\.io/kubernetes (v\S+)", (module / "go.mod").read_text(), re.MULTILINE)
    if found is None:
        raise BuildFailedError(f"{module}/go.mod does not name k8s.io/kubernetes: install driftd again.")
    return found[1]


def link_flags(version: str) -> str:
    """Flags that strip the program and write the version into it, where `kubectl version` reads it."""
    major, minor = version.removeprefix("v").split(".")[:2]
    package = "k8s.io/component-base/version"
    values = {"gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    return " ".join(["-s", "-w", *(f"-X {package}.{name}={value}" for name, value in values.items())])


def build_key(module: Path = MODULE) -> str:
    """Names one build: the pinned version and a digest of everything that goes into it."""
    version = kubernetes_version(module)
    digest = hashlib.blake2b(digest_size=8)
    sources = sorted(path for path in module.iterdir() if path.suffix == ".go" or path.name in {"go.mod", "go.sum"})
    for path in sources:
        digest.update(f"{path.name}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    digest.update(link_flags(version).encode())
    return f"{version}-{platform.system().lower()}-{platform.machine()}-{digest.hexdigest()}"


def cached_program(cache: Path, module: Path = MODULE) -> Path | None:
    """The program, if some process has finished building it."""
    program = cache / build_key(module) / PROGRAM
    return program if program.is_file() else None


def ensure_program(cache: Path, environ: Mapping[str, str], say: Say, module: Path = MODULE) -> Path:
    """The program, built now if need be. Blocks for minutes the first time; raises `ProgramsUnavailableError`.

    Only a whole program ever has the final name: it is linked in a scratch folder and renamed. Whoever comes second
    waits at the lock and finds it done; the kernel drops the lock of a builder that was killed.
    """
    program = cached_program(cache, module)
    if program is not None:
        return program
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(cache / "build.lock", say):
        program = cached_program(cache, module)
        if program is not None:
            return program
        needed = required_go(module / "go.mod")
        go = find_go(needed, cache, environ) or fetch_go(needed, cache, environ, say)
        return _build(go, cache, environ, say, module)


@contextmanager
def _locked(path: Path, say: Say) -> Iterator[None]:
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another process is building the lab's programs: waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _build(go: Path, cache: Path, environ: Mapping[str, str], say: Say, module: Path) -> Path:
    """Build in a scratch folder, then rename. The caller holds the lock, so any scratch folder is a leftover."""
    for leftover in cache.glob("building-*"):
        shutil.rmtree(leftover)
    version = kubernetes_version(module)
    settings = {**environ, "GOTOOLCHAIN": "local", "GOFLAGS": "", "GOWORK": "off", "CGO_ENABLED": "0"}
    say(f"building etcd and Kubernetes {version} from source, once: about 4 minutes on 2 cores, 3 GB of Go's caches")
    with tempfile.TemporaryDirectory(prefix="building-", dir=cache) as scratch_name:
        result = Path(scratch_name) / "result"
        result.mkdir(mode=0o700)
        total = _count_packages(go, module, settings, say)
        command = [str(go), "build", "-v", "-mod=readonly", "-trimpath", "-buildvcs=false"]
        command += ["-ldflags", link_flags(version), "-o", str(result / PROGRAM), "."]
        _run_build(command, module, settings, say, total)
        target = cache / build_key(module)
        shutil.rmtree(target, ignore_errors=True)
        result.rename(target)
    say("the build is done and kept for next time")
    return target / PROGRAM


def _count_packages(go: Path, module: Path, settings: Mapping[str, str], say: Say) -> int:
    """Download the sources (the listing needs them all) and count what there is to compile."""
    say("downloading the sources (0.8 GB on disk, once)")
    command = [str(go), "list", "-mod=readonly", "-deps", "."]
    done = subprocess.run(command, cwd=module, env=dict(settings), capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildFailedError(_failure("downloading the sources", done.stderr.splitlines()))
    return len(done.stdout.splitlines())


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
