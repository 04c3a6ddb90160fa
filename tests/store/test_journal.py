import errno
import os
import tempfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from driftd.store import StoreInUse
from driftd.store.entries import Act, Begin, Close, Entry, Finish, Note, Remember
from driftd.store.journal import Journal, JournalRefused, Reading
from tests.support.records import START, change, finding, intent, outcome

ACTS: list[Act] = [
    Begin((finding(),), (intent(),)),
    Finish((outcome(),), (finding(changes=(change(),)),)),
    Close(("f1", "f2"), "driftd", START),
    Note("model.accepted", "dir:abc", {"files": "3"}),
    Remember({"a": '{"x":1}', "b": None}),
]


def entry(n: int) -> Entry:
    return Entry("writer", n, START, 4, "trace", ACTS[n % len(ACTS)])


def long_entry(n: int, length: int) -> Entry:
    return Entry("writer", n, START, 4, "", Note("model.accepted", "dir:abc", {"x": "y" * length}))


def readings(journal: Journal) -> Iterator[Reading]:
    """All that it holds, piece by piece."""
    offset = 0
    while (reading := journal.read(offset)).entries:
        yield reading
        offset = reading.end


def test_every_kind_of_entry_comes_back_equal_after_a_restart(tmp_path: Path) -> None:
    written = [entry(n) for n in range(len(ACTS))]
    journal = Journal(tmp_path / "j", 65536)
    journal.append(written[:2])
    journal.append(written[2:])
    journal.close()
    again = Journal(tmp_path / "j", 65536)
    assert list(again.read(0).entries) == written
    again.close()


def test_reading_goes_on_where_the_last_reading_ended(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", 65536)
    journal.append([entry(0)])
    first = journal.read(0)
    journal.append([entry(1), entry(2)])
    assert [e.n for e in journal.read(first.end).entries] == [1, 2]
    journal.close()


def test_what_is_longer_than_one_read_comes_back_whole(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    entries = [long_entry(n, 900) for n in range(700)] + [long_entry(700, 600_000), entry(701)]
    journal.append(entries)
    assert [one for reading in readings(journal) for one in reading.entries] == entries
    journal.close()


def test_damage_longer_than_one_read_does_not_hide_what_follows(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    journal.append([entry(0)])
    start = journal.used
    journal.append([long_entry(n, 900) for n in range(1, 700)])
    end = journal.used
    journal.append([entry(700), entry(701)])
    journal.close()
    with (tmp_path / "j").open("r+b") as file:
        file.seek(start)
        file.write((b"#" * 998 + b"\n") * ((end - start) // 999 - 1))
    again = Journal(tmp_path / "j")
    found = [*readings(again)]
    kept = [one.n for reading in found for one in reading.entries]
    assert (kept[0], kept[-2:]) == (0, [700, 701])
    assert sum(reading.damaged for reading in found) > 600
    again.append([entry(702)])
    assert [*readings(again)][-1].entries[-1].n == 702
    again.close()


def test_a_long_journal_takes_no_more_memory_to_read_than_a_short_one(tmp_path: Path) -> None:
    """All of it was read at once, with its entries: the records of an hour would not fit beside a daemon in its pod."""
    journal = Journal(tmp_path / "j")
    for n in range(8):
        journal.append([long_entry(m, 900) for m in range(n * 1000, n * 1000 + 1000)])
    tracemalloc.start()
    try:
        count = sum(len(reading.entries) for reading in readings(journal))
        assert tracemalloc.get_traced_memory()[1] < 3_000_000
    finally:
        tracemalloc.stop()
    assert count == 8000
    journal.close()


def test_reading_an_empty_journal_takes_no_memory_for_its_reserve(tmp_path: Path) -> None:
    """It read 16 MB of zeros twice at each start, and 32 MB stayed with the process."""
    journal = Journal(tmp_path / "j")
    tracemalloc.start()
    try:
        journal.read(0)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
    journal.close()


def test_a_full_journal_refuses_and_keeps_what_it_has(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", 2048)
    kept = 3
    for n in range(kept):
        journal.append([entry(n)])
    with pytest.raises(JournalRefused, match="full"):
        journal.append([entry(n) for n in range(100)])
    assert [e.n for e in journal.read(0).entries] == list(range(kept))
    journal.clear()
    journal.append([entry(1)])
    assert [e.n for e in journal.read(0).entries] == [1]
    journal.close()


def test_its_space_is_reserved_before_it_is_needed(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", 65536)
    assert (tmp_path / "j").stat().st_blocks * 512 >= 65536
    journal.close()


def test_a_reserve_that_the_disk_has_no_room_for_is_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ext4 keeps what it could allocate when the rest does not fit: nothing was left for the database."""
    Journal(tmp_path / "j", 65536).close()

    def too_little(file: int, offset: int, length: int) -> None:
        os.ftruncate(file, offset + length // 2)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", too_little)
    with capture_logs() as logs:
        journal = Journal(tmp_path / "j", 1 << 20)
    assert [one["event"] for one in logs] == ["journal.not_reserved"]
    assert (tmp_path / "j").stat().st_size == 65536
    journal.append([entry(0)])
    assert [e.n for e in journal.read(0).entries] == [0]
    journal.close()


def test_its_reserve_is_not_asked_for_anew_while_it_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full by then had no room for it any more; on NFS each start took the time to write all of it."""
    journal = Journal(tmp_path / "j", 65536)

    def no_room(*_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", no_room)
    with capture_logs() as logs:
        journal.append([entry(n) for n in range(20)])
        journal.clear()
        assert (journal.used, journal.read(0).entries) == (0, ())
        assert (tmp_path / "j").read_bytes() == bytes(65536)
        journal.close()
        again = Journal(tmp_path / "j", 65536)
    assert logs == []
    assert (tmp_path / "j").stat().st_blocks * 512 >= 65536
    again.close()


def test_nothing_shows_behind_a_torn_write_of_what_was_never_durable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path / "j", 65536)
    journal.append([entry(1)])

    def broken(_fd: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as away:
        away.setattr(os, "fdatasync", broken)
        with pytest.raises(JournalRefused):
            journal.append([entry(n) for n in range(20)])
    journal.clear()
    assert (tmp_path / "j").read_bytes() == bytes(65536)
    journal.close()


def test_a_second_owner_is_refused_by_name(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", 65536)
    with pytest.raises(StoreInUse, match="locked by another driftd"):
        Journal(tmp_path / "j", 65536)
    journal.close()
    Journal(tmp_path / "j", 65536).close()


def test_damage_in_the_middle_is_counted_and_does_not_hide_what_follows(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", 65536)
    journal.append([entry(0)])
    start = journal.used
    journal.append([entry(1)])
    journal.append([entry(2)])
    with (tmp_path / "j").open("r+b") as file:
        file.seek(start + 30)
        file.write(b"#")
    reading = journal.read(0)
    assert [e.n for e in reading.entries] == [0, 2]
    assert reading.damaged == 1
    journal.close()


@settings(max_examples=60)
@given(st.integers(1, 6), st.integers(0, 5000), st.binary(max_size=40))
def test_after_a_torn_write_exactly_the_whole_lines_before_it_are_left(count: int, cut: int, garbage: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "j"
        journal = Journal(path, 65536)
        ends = []
        for n in range(count):
            journal.append([entry(n)])
            ends.append(journal.used)
        journal.close()
        at = min(cut, ends[-1])
        with path.open("r+b") as file:
            file.seek(at)
            file.write(garbage.replace(b"\n", b"?") + b"\0" * (65536 - at - len(garbage)))
        again = Journal(path, 65536)
        whole = sum(end <= at for end in ends)
        assert [e.n for e in again.read(0).entries] == list(range(whole))
        again.append([entry(9)])
        assert [e.n for e in again.read(0).entries] == [*range(whole), 9]
        again.close()
