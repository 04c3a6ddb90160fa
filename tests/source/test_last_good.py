import asyncio
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from driftd.model import SourceFile
from driftd.source import LastGood, Revision, content_name

NAMES = st.text(st.characters(exclude_characters="\0"), min_size=1, max_size=6)
FILES = st.dictionaries(NAMES, st.binary(max_size=50), max_size=5).map(
    lambda files: tuple(SourceFile(path, data) for path, data in sorted(files.items()))
)


def revision(*files: SourceFile) -> Revision:
    return Revision(files, content_name(files))


async def test_nothing_kept_is_no_problem(tmp_path: Path) -> None:
    kept = await LastGood(tmp_path / "data").load()
    assert kept.revision is None
    assert kept.problem == ""


async def test_only_the_newest_revision_is_kept(tmp_path: Path) -> None:
    last_good = LastGood(tmp_path)
    await last_good.keep(revision(SourceFile("a.yaml", b"1")))
    newer = revision(SourceFile("a.yaml", b"2"), SourceFile("b/c.yaml", b"\n\0"))
    await last_good.keep(newer)
    assert (await LastGood(tmp_path).load()).revision == newer
    assert [path.name for path in tmp_path.iterdir()] == ["last-good.model"]


async def test_a_draft_left_by_a_crash_does_not_count(tmp_path: Path) -> None:
    last_good = LastGood(tmp_path)
    kept = revision(SourceFile("a.yaml", b"1"))
    await last_good.keep(kept)
    (tmp_path / "last-good.new").write_bytes(b"half")
    assert (await last_good.load()).revision == kept
    await last_good.keep(kept)
    assert (await last_good.load()).revision == kept


@settings(max_examples=40, deadline=None)
@given(FILES, st.data())
def test_it_comes_back_equal_or_is_refused_whole(files: tuple[SourceFile, ...], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        last_good = LastGood(Path(folder))
        asyncio.run(last_good.keep(revision(*files)))
        assert asyncio.run(last_good.load()).revision == revision(*files)
        stored = bytearray(last_good.path.read_bytes())
        at = data.draw(st.integers(0, len(stored) - 1))
        if data.draw(st.booleans()):
            stored[at] ^= data.draw(st.integers(1, 255))
        else:
            del stored[at:]
        last_good.path.write_bytes(bytes(stored))
        kept = asyncio.run(last_good.load())
        assert kept.revision is None
        assert str(last_good.path) in kept.problem
