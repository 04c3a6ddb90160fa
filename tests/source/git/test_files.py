"""A commit's tree reads as its checkout would: held against the directory source; and trees nobody could check out."""

import asyncio
import os
import tempfile
import time
from hashlib import sha1
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from driftd.source import DirectorySource, Limits, LinkLeavesTree, SourceError, SourceTooLarge, SourceUnreadable
from driftd.source.git.errors import SubmoduleInModel
from driftd.source.git.files import model_files
from driftd.source.git.pack import BLOB, TREE, Damaged, Stored

Objects = dict[str, Stored]
NAMES = ("a.yaml", "b.yml", "c", "d", ".hidden", "e.txt")


def stored(objects: Objects, kind: int, data: bytes) -> str:
    word = b"blob" if kind == BLOB else b"tree"
    name = sha1(b"%s %d\0" % (word, len(data)) + data).hexdigest()
    objects[name] = Stored(kind, data)
    return name


def entry(mode: str, name: str, id: str) -> bytes:
    return f"{mode} {name}".encode() + b"\0" + bytes.fromhex(id)


def tree_of(folder: Path, objects: Objects) -> str:
    """The tree that git would make of a folder."""
    entries = []
    for path in sorted(folder.iterdir()):
        if path.is_symlink():
            entries.append(entry("120000", path.name, stored(objects, BLOB, os.fsencode(path.readlink()))))
        elif path.is_dir():
            entries.append(entry("40000", path.name, tree_of(path, objects)))
        else:
            entries.append(entry("100644", path.name, stored(objects, BLOB, path.read_bytes())))
    return stored(objects, TREE, b"".join(entries))


LINKS = ("a.yaml", "../a.yaml", "c", "../c", "c/d", "../../a.yaml", "gone.yaml", ".", "..", "e.txt", "./c/../b.yml")


@st.composite
def folders(draw: st.DrawFn, depth: int = 2) -> dict[str, object]:
    """Names to content: bytes for a file, text for a link, a mapping for a folder."""
    found: dict[str, object] = {}
    for name in draw(st.sets(st.sampled_from(NAMES), max_size=4)):
        kinds = [st.binary(max_size=4), st.sampled_from(LINKS)]
        if depth and "." not in name[1:]:
            kinds.append(folders(depth - 1))  # type: ignore[arg-type]
        found[name] = draw(st.one_of(*kinds))
    return found


def laid_out(root: Path, wanted: dict[str, object]) -> None:
    root.mkdir(exist_ok=True)
    for name, content in wanted.items():
        if isinstance(content, bytes):
            (root / name).write_bytes(content)
        elif isinstance(content, str):
            (root / name).symlink_to(content)
        else:
            assert isinstance(content, dict)
            laid_out(root / name, content)


def beyond(root: Path) -> bool:
    """Whether a link leads out of the model, through another link, or down and up again.

    The git source follows no such link at all, whatever it is called.
    """
    for path in root.rglob("*"):
        if path.is_symlink():
            here, parts = path.parent, path.readlink().parts
            if ".." in parts[len([part for part in parts if part == ".."]) :]:
                return True
            for part in parts:
                here = here.parent if part == ".." else here / part
                if here.is_symlink() or (here != root and root not in here.parents):
                    return True
    return False


ALIKE: dict[str, object] = {"b.yml": b"", "a.yaml": "../c"}


@settings(max_examples=150, deadline=None)
@given(folders())
@example({"c": ALIKE, "d": ALIKE})  # one tree of git's is two folders: a link from the one to the other is no circle
def test_a_tree_reads_as_its_checkout(wanted: dict[str, object]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "outer" / "root"
        root.parent.mkdir()
        laid_out(root, wanted)
        objects: Objects = {}
        tree = tree_of(root, objects)
        try:
            checkout: object = asyncio.run(DirectorySource(root, patience_seconds=0.0).read()).files
        except SourceError as error:
            checkout = type(error)
        try:
            read: object = model_files(tree, "", objects, Limits())
        except SourceError as error:
            read = type(error)
        if read != checkout:
            assert read in (SourceUnreadable, LinkLeavesTree), (read, checkout)
            assert beyond(root) or isinstance(checkout, type), (read, checkout)


def test_folders_that_stand_for_millions_of_paths_are_refused() -> None:
    objects: Objects = {}
    tree = stored(objects, TREE, entry("100644", "a.yaml", stored(objects, BLOB, b"a: 1\n")))
    for _ in range(20):
        tree = stored(objects, TREE, entry("40000", "a", tree) + entry("40000", "b", tree) + entry("40000", "c", tree))
    with pytest.raises(SourceTooLarge, match="directories"):
        model_files(tree, "", objects, Limits())


def test_a_tree_that_is_too_deep_is_refused() -> None:
    objects: Objects = {}
    tree = stored(objects, TREE, b"")
    for _ in range(40):
        tree = stored(objects, TREE, entry("40000", "a", tree))
    with pytest.raises(SourceTooLarge, match="deep"):
        model_files(tree, "", objects, Limits())


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "../../etc/passwd.yaml"])
def test_a_name_that_means_another_place_is_damage(name: str) -> None:
    objects: Objects = {}
    blob = stored(objects, BLOB, b"a: 1\n")
    with pytest.raises(Damaged):
        model_files(stored(objects, TREE, entry("100644", name, blob)), "", objects, Limits())


def test_one_name_twice_missing_content_and_cut_trees_are_damage() -> None:
    objects: Objects = {}
    blob = stored(objects, BLOB, b"a: 1\n")
    line = entry("100644", "a.yaml", blob)
    for data in (line + line, line[:-1], b"100644", entry("100644", "a.yaml", "0" * 40), entry("xyz", "a.yaml", blob)):
        with pytest.raises(Damaged):
            model_files(stored(objects, TREE, data), "", objects, Limits())
    with pytest.raises(Damaged):
        model_files(blob, "", objects, Limits())


def test_a_link_to_a_submodule_is_one() -> None:
    objects: Objects = {}
    link = stored(objects, BLOB, b"vendor")
    tree = stored(objects, TREE, entry("120000", "a", link) + entry("160000", "vendor", "1" * 40))
    with pytest.raises(SubmoduleInModel, match=r"^a is a submodule"):
        model_files(tree, "", objects, Limits())


def test_links_into_a_large_folder_read_it_once() -> None:
    objects: Objects = {}
    blob = stored(objects, BLOB, b"a: 1\n")
    large = stored(objects, TREE, b"".join(entry("100644", f"{n:05}.txt", blob) for n in range(3000)))
    links = [
        entry("120000", f"{n:05}.yaml", stored(objects, BLOB, f"big/{n % 3000:05}.txt".encode())) for n in range(3000)
    ]
    tree = stored(objects, TREE, b"".join([*links, entry("40000", "big", large)]))
    began = time.process_time()
    assert len(model_files(tree, "", objects, Limits())) == 3000
    assert time.process_time() - began < 5.0  # each link reading it anew takes ten times as long


def test_links_beyond_number_and_length_are_refused() -> None:
    objects: Objects = {}
    far = stored(objects, BLOB, b"./" * 3000 + b"a.yaml")
    with pytest.raises(SourceTooLarge, match="a link of 6006 bytes"):
        model_files(stored(objects, TREE, entry("120000", "b.yaml", far)), "", objects, Limits())
    near = stored(objects, BLOB, b"nowhere")
    tree = stored(objects, TREE, b"".join(entry("120000", f"{n}", near) for n in range(60)))
    with pytest.raises(SourceTooLarge, match="more than 50 links"):
        model_files(tree, "", objects, Limits(files=50))


def test_a_large_folder_that_stands_in_many_places_is_refused_before_it_costs_hours() -> None:
    objects: Objects = {}
    blob = stored(objects, BLOB, b"-")
    large = stored(objects, TREE, b"".join(entry("100644", f"{n}.txt", blob) for n in range(1000)))
    tree = stored(objects, TREE, b"".join(entry("40000", f"{n:04}", large) for n in range(900)))
    with pytest.raises(SourceTooLarge, match="entries of folders"):
        model_files(tree, "", objects, Limits())


def test_reading_a_tree_stops_when_its_time_is_over() -> None:
    class OverError(Exception):
        pass

    def over() -> None:
        raise OverError

    objects: Objects = {}
    with pytest.raises(OverError):
        model_files(stored(objects, TREE, b""), "", objects, Limits(), over)
