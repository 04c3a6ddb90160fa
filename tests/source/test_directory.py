import asyncio
import itertools
import os
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftd.model import SourceFile
from driftd.source import (
    DirectorySource,
    Limits,
    LinkLeavesTree,
    Revision,
    SourceTooLarge,
    SourceUnreadable,
    content_name,
)


def put(root: Path, path: str, text: str = "a: 1\n") -> Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


async def read(root: Path, limits: Limits | None = None) -> Revision:
    return await DirectorySource(root, limits=limits).read()


def paths(revision: Revision) -> list[str]:
    return [file.path for file in revision.files]


async def test_documents_are_read_by_path_in_order_and_all_else_is_left_alone(tmp_path: Path) -> None:
    for path in ("b/two.yml", "a.yaml", "b/one.yaml", "README.md", ".git/config.yaml", "b/.hidden.yaml", "b/x.yaml~"):
        put(tmp_path, path)
    assert paths(await read(tmp_path)) == ["a.yaml", "b/one.yaml", "b/two.yml"]


async def test_a_commit_names_content_and_nothing_else(tmp_path: Path) -> None:
    put(tmp_path / "one", "a.yaml", "x: 1\n")
    put(tmp_path / "two", "a.yaml", "x: 1\n")
    first, second = await read(tmp_path / "one"), await read(tmp_path / "two")
    assert first == second
    assert first.commit.startswith("dir:")
    assert len(first.commit) == 16
    put(tmp_path / "two", "a.yaml", "x: 2\n")
    assert (await read(tmp_path / "two")).commit != first.commit


@given(
    st.dictionaries(st.text("ab/", min_size=1, max_size=4), st.binary(max_size=6), max_size=5),
    st.dictionaries(st.text("ab/", min_size=1, max_size=4), st.binary(max_size=6), max_size=5),
)
def test_two_contents_share_a_name_only_when_they_are_equal(one: dict[str, bytes], two: dict[str, bytes]) -> None:
    first = [SourceFile(path, data) for path, data in one.items()]
    second = [SourceFile(path, data) for path, data in two.items()]
    assert (content_name(first) == content_name(second)) == (one == two)
    assert content_name(first) == content_name(first[::-1])


async def test_a_missing_directory_is_unreadable_and_not_empty(tmp_path: Path) -> None:
    with pytest.raises(SourceUnreadable, match="No such file"):
        await read(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    assert (await read(tmp_path / "empty")).files == ()


async def test_links_inside_the_tree_are_followed_and_those_out_of_it_refused(tmp_path: Path) -> None:
    root = tmp_path / "root"
    put(root, "real/a.yaml")
    (root / "link.yaml").symlink_to("real/a.yaml")
    (root / "again").symlink_to("real")
    (root / "real" / "loop").symlink_to("..")
    assert paths(await read(root)) == ["again/a.yaml", "link.yaml", "real/a.yaml"]
    put(tmp_path, "secret.yaml")
    (root / "out.yaml").symlink_to("../secret.yaml")
    with pytest.raises(LinkLeavesTree, match=r"out\.yaml"):
        await read(root)


async def test_a_link_to_a_directory_out_of_the_tree_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "other/a.yaml")
    root = tmp_path / "root"
    root.mkdir()
    (root / "out").symlink_to("../other")
    with pytest.raises(LinkLeavesTree):
        await read(root)


async def test_a_sibling_whose_name_begins_like_the_root_is_outside(tmp_path: Path) -> None:
    put(tmp_path, "root-secret/a.yaml")
    root = tmp_path / "root"
    root.mkdir()
    (root / "a.yaml").symlink_to("../root-secret/a.yaml")
    with pytest.raises(LinkLeavesTree):
        await read(root)


async def test_a_link_to_nothing_is_unknown_and_not_gone(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").symlink_to("nothing.yaml")
    with pytest.raises(SourceUnreadable, match=r"a\.yaml|nothing\.yaml"):
        await read(tmp_path)


async def test_links_that_multiply_paths_are_cut_short(tmp_path: Path) -> None:
    names = [f"d{n}" for n in range(9)]
    for name in names:
        (tmp_path / name).mkdir()
        for other in names:
            (tmp_path / name / f"to-{other}").symlink_to(f"../{other}")
    with pytest.raises(SourceTooLarge, match="directories"):
        await read(tmp_path, Limits(files=2000))


async def test_a_pipe_with_a_document_name_does_not_hang_the_reader(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.yaml")
    with pytest.raises(SourceUnreadable, match="not a regular file"):
        await read(tmp_path)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (Limits(file_bytes=10), "limit is 10 bytes"),
        (Limits(total_bytes=30), "limit is 30 bytes"),
        (Limits(files=2), "limit is 2;"),
        (Limits(depth=1), "limit is 1;"),
    ],
)
async def test_every_limit_is_named_when_it_is_passed(tmp_path: Path, limits: Limits, message: str) -> None:
    for name in ("a.yaml", "b.yaml", "c/d/e.yaml"):
        put(tmp_path, name, "x: 345678901\n")
    with pytest.raises(SourceTooLarge, match=message):
        await read(tmp_path, limits)


def mount(volume: Path, name: str, files: dict[str, str]) -> None:
    """Publish `files` the way a kubelet publishes a ConfigMap: a hidden directory, and one rename of a link to it."""
    hidden = volume / f"..{name}"
    for path, text in files.items():
        put(hidden, path, text)
    (volume / "..data_tmp").symlink_to(hidden.name)
    (volume / "..data_tmp").replace(volume / "..data")
    for path in files:
        top = path.split("/", maxsplit=1)[0]
        if not (volume / top).is_symlink():
            (volume / top).symlink_to(f"..data/{top}")
    for link in volume.iterdir():
        if link.is_symlink() and not link.name.startswith("..") and not (volume / "..data" / link.name).exists():
            link.unlink()


async def test_a_mounted_config_map_is_read_and_its_swap_noticed(tmp_path: Path) -> None:
    mount(tmp_path, "2026_01", {"cluster.yaml": "v: 1\n", "env/acme.yaml": "v: 1\n"})
    source = DirectorySource(tmp_path, poll_seconds=0.01)
    first = await source.read()
    assert paths(first) == ["cluster.yaml", "env/acme.yaml"]
    changes = source.changes()
    waiting = asyncio.ensure_future(anext(changes))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    mount(tmp_path, "2026_02", {"cluster.yaml": "v: 2\n"})
    async with asyncio.timeout(5):
        await waiting
    assert [(file.path, file.data) for file in (await source.read()).files] == [("cluster.yaml", b"v: 2\n")]
    await aclose(changes)


async def aclose(changes: AsyncIterator[None]) -> None:
    await changes.aclose()  # type: ignore[attr-defined]


async def test_a_root_that_is_a_swapped_link_is_followed(tmp_path: Path) -> None:
    put(tmp_path / "rev1", "a.yaml", "v: 1\n")
    put(tmp_path / "rev2", "a.yaml", "v: 2\n")
    (tmp_path / "current").symlink_to("rev1")
    source = DirectorySource(tmp_path / "current", poll_seconds=0.01)
    first = await source.read()
    (tmp_path / "next").symlink_to("rev2")
    (tmp_path / "next").replace(tmp_path / "current")
    async with asyncio.timeout(5):
        await anext(source.changes())
    assert await source.read() != first


@pytest.mark.parametrize("what", ["edit", "same size", "add", "remove", "rename", "old times"])
async def test_every_kind_of_change_is_noticed(tmp_path: Path, what: str) -> None:
    file = put(tmp_path, "a.yaml", "v: 1\n")
    put(tmp_path, "b.yaml")
    source = DirectorySource(tmp_path, poll_seconds=0.01)
    first = await source.read()
    times = file.stat()
    match what:
        case "edit":
            file.write_text("v: 22\n")
        case "same size":
            file.write_text("v: 2\n")
        case "add":
            put(tmp_path, "c/c.yaml")
        case "remove":
            file.unlink()
        case "rename":
            file.rename(tmp_path / "z.yaml")
        case "old times":
            file.write_text("v: 2\n")
            os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    async with asyncio.timeout(5):
        await anext(source.changes())
    assert (await source.read()).commit != first.commit


async def test_a_change_between_reading_and_watching_is_not_missed_and_told_once(tmp_path: Path) -> None:
    put(tmp_path, "a.yaml", "v: 1\n")
    source = DirectorySource(tmp_path, poll_seconds=0.01)
    await source.read()
    put(tmp_path, "a.yaml", "v: 2\n")
    changes = source.changes()
    async with asyncio.timeout(5):
        await anext(changes)
    waiting = asyncio.ensure_future(anext(changes))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    waiting.cancel()


async def test_a_burst_of_edits_is_announced_when_it_has_come_to_rest(tmp_path: Path) -> None:
    put(tmp_path, "a.yaml", "v: 0\n")
    source = DirectorySource(tmp_path, poll_seconds=0.05)
    await source.read()
    changes = source.changes()
    waiting = asyncio.ensure_future(anext(changes))
    for n in range(30):
        put(tmp_path, "a.yaml", f"v: {n}\n")
        await asyncio.sleep(0.01)
    async with asyncio.timeout(5):
        await waiting
    assert (await source.read()).files[0].data == b"v: 29\n"
    await aclose(changes)


async def test_a_failed_read_is_announced_again_once_it_may_succeed(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").symlink_to("b.txt")
    source = DirectorySource(tmp_path, poll_seconds=0.01)
    with pytest.raises(SourceUnreadable):
        await source.read()
    changes = source.changes()
    async with asyncio.timeout(5):
        await anext(changes)
        with pytest.raises(SourceUnreadable):
            await source.read()
        put(tmp_path, "b.txt")
        await anext(changes)
    assert paths(await source.read()) == ["a.yaml"]
    await aclose(changes)


async def test_a_revision_never_mixes_two_states_of_the_tree(tmp_path: Path) -> None:
    """Two mounts are swapped in mid-reading; every file of a reading must come from the same one."""
    for version in ("1", "2"):
        for n in range(40):
            put(tmp_path / f"..v{version}", f"{n}.yaml", f"v: {version}\n")
    (tmp_path / "..data").symlink_to("..v1")
    for n in range(40):
        (tmp_path / f"{n}.yaml").symlink_to(f"..data/{n}.yaml")
    source = DirectorySource(tmp_path, patience_seconds=20)
    stop = asyncio.Event()

    pauses = itertools.cycle([0.001, 0.002, 0.1])

    async def swap() -> None:
        version = 1
        while not stop.is_set():
            version = 3 - version
            (tmp_path / "..tmp").symlink_to(f"..v{version}")
            (tmp_path / "..tmp").replace(tmp_path / "..data")
            await asyncio.sleep(next(pauses))

    swapping = asyncio.create_task(swap())
    for _ in range(15):
        assert len({file.data for file in (await source.read()).files}) == 1
    stop.set()
    await swapping


@settings(max_examples=25, deadline=None)
@given(
    st.dictionaries(
        st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3).map("/".join).map(lambda p: f"{p}.yaml"),
        st.binary(max_size=20),
        max_size=6,
    )
)
def test_what_is_written_is_what_is_read(files: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for path, data in files.items():
            target = Path(folder) / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        revision = asyncio.run(read(Path(folder)))
        assert {file.path: file.data for file in revision.files} == files
        assert paths(revision) == sorted(files)
