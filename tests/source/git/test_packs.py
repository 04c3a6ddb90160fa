"""A pack is whole or nothing: made by dulwich, then cut, changed, and made to lie."""

import random
import tempfile
import zlib
from collections.abc import Iterator
from hashlib import sha1
from io import BytesIO

import pytest
from dulwich.objects import Blob, ShaFile
from dulwich.pack import create_delta, write_pack_objects
from hypothesis import given, settings
from hypothesis import strategies as st

from driftd.source.git.commit import leads_to
from driftd.source.git.errors import TooMuchToFetch
from driftd.source.git.pack import BLOB, COMMIT, OFS_DELTA, REF_DELTA, Caps, Damaged, Stored, unpacked

CAPS = Caps(pack_bytes=100_000, objects=20, object_bytes=10_000, unpacked_bytes=50_000)


def opened(data: bytes, caps: Caps = CAPS) -> dict[str, Stored]:
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        return dict(unpacked(file, len(data), caps))


def pack_of(*contents: bytes) -> bytes:
    out = BytesIO()
    objects: list[ShaFile] = [Blob.from_string(content) for content in contents]
    from dulwich.object_format import SHA1

    write_pack_objects(out, [(one, None) for one in objects], object_format=SHA1)
    return out.getvalue()


def header(kind: int, size: int) -> bytes:
    byte, rest = (kind << 4) | (size & 15), size >> 4
    out = b""
    while rest:
        out += bytes([byte | 0x80])
        byte, rest = rest & 0x7F, rest >> 7
    return out + bytes([byte])


def raw_pack(*entries: bytes, count: int | None = None) -> bytes:
    body = b"PACK" + (2).to_bytes(4, "big") + (len(entries) if count is None else count).to_bytes(4, "big")
    body += b"".join(entries)
    return body + sha1(body).digest()


def blob(content: bytes, said: int | None = None) -> bytes:
    return header(BLOB, len(content) if said is None else said) + zlib.compress(content)


def delta(content: bytes, base: bytes) -> bytes:
    name = sha1(b"blob %d\0" % len(base) + base).digest()
    return header(REF_DELTA, len(content)) + name + zlib.compress(content)


@settings(max_examples=50)
@given(st.lists(st.binary(max_size=200), min_size=1, max_size=8, unique=True))
def test_every_object_comes_out_under_the_name_of_its_content(contents: list[bytes]) -> None:
    found = opened(pack_of(*contents))
    assert {one.data for one in found.values()} == set(contents)
    for name, one in found.items():
        assert name == sha1(b"blob %d\0" % len(one.data) + one.data).hexdigest()


def test_deltas_are_put_together() -> None:
    base, result = b"x" * 500, b"x" * 400 + b"changed" + b"x" * 93
    made = b"".join(create_delta(base, result))
    assert result in {one.data for one in opened(raw_pack(blob(base), delta(made, base))).values()}


@settings(max_examples=100)
@given(st.data())
def test_a_pack_that_was_cut_or_changed_anywhere_is_damaged(data: st.DataObject) -> None:
    whole = pack_of(b"one", b"two" * 30)
    if data.draw(st.booleans()):
        broken = whole[: data.draw(st.integers(1, len(whole) - 1))]
    else:
        at = data.draw(st.integers(0, len(whole) - 1))
        byte = data.draw(st.integers(0, 255).filter(lambda value: value != whole[at]))
        broken = whole[:at] + bytes([byte]) + whole[at + 1 :]
    with pytest.raises((Damaged, TooMuchToFetch)):
        opened(broken)


def lies() -> Iterator[tuple[str, bytes]]:
    base = b"b" * 1000
    copies = b"\xe8\x07" + b"\xe8\x07" + b"\x90\xe8" * 3000
    yield "an object bigger than it says", raw_pack(blob(b"x" * 9000, said=10))
    yield "an object smaller than it says", raw_pack(blob(b"x", said=10))
    yield "fewer objects than counted", raw_pack(blob(b"x"), count=2)
    yield "more objects than counted", raw_pack(blob(b"x"), blob(b"y"), count=1)
    yield "a delta that copies without end", raw_pack(blob(base), delta(copies, base))
    yield "a delta step of nothing", raw_pack(blob(base), delta(b"\xe8\x07\x01\x00", base))
    yield "an unknown type", raw_pack(header(5, 1) + zlib.compress(b"x"))
    yield "no zlib", raw_pack(header(BLOB, 5) + b"hello")
    yield "a size without end", raw_pack(b"\xbf" + b"\xff" * 20)
    yield "a base that is not there", raw_pack(header(OFS_DELTA, 1) + b"\xff" * 3)


@pytest.mark.parametrize("data", [pytest.param(data, id=name) for name, data in lies()])
def test_a_pack_that_lies_is_damaged(data: bytes) -> None:
    with pytest.raises(Damaged):
        opened(data)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (raw_pack(blob(bytes(20_000))), "20000 bytes"),
        (raw_pack(*[blob(random.Random(n).randbytes(9_000)) for n in range(7)]), "unpacked"),
        (raw_pack(count=21), "21 objects"),
        (raw_pack(blob(b"b"), delta(b"\x01" + b"\xff\xff\x7f" + b"\x91\x00\x01", b"b")), "2097151 bytes"),
    ],
    ids=["one object", "all of them", "their number", "what a delta makes"],
)
def test_a_pack_over_its_caps_is_refused_before_it_is_unpacked(data: bytes, words: str) -> None:
    with pytest.raises(TooMuchToFetch, match=words):
        opened(data)


# -- descent ----------------------------------------------------------------------------------------------------------


def history(parents: list[list[int]]) -> dict[str, Stored]:
    """Commit number n with the parents `parents[n]`, all of them earlier ones; named by number, not by content."""
    found = {}
    for number, named in enumerate(parents):
        lines = [b"tree " + b"0" * 40, *(b"parent " + name(one).encode() for one in named)]
        found[name(number)] = Stored(COMMIT, b"\n".join(lines) + b"\nauthor a\n\ntext")
    return found


def name(number: int) -> str:
    return f"{number:040x}"


@st.composite
def histories(draw: st.DrawFn) -> list[list[int]]:
    size = draw(st.integers(1, 12))
    return [sorted(draw(st.sets(st.integers(0, number - 1), max_size=3))) if number else [] for number in range(size)]


def ancestors(parents: list[list[int]], of: int) -> set[int]:
    return {of}.union(*(ancestors(parents, one) for one in parents[of]))


@settings(max_examples=100)
@given(histories(), st.data())
def test_a_commit_leads_to_exactly_its_ancestors(parents: list[list[int]], data: st.DataObject) -> None:
    tip = data.draw(st.integers(0, len(parents) - 1))
    of = data.draw(st.integers(0, len(parents) - 1))
    everything = history(parents)
    assert leads_to(name(tip), name(of), everything) == (of in ancestors(parents, tip))
    # What a server leaves out because `of` reaches it changes nothing.
    known = ancestors(parents, of)
    sent = {key: one for key, one in everything.items() if int(key, 16) not in known}
    assert leads_to(name(tip), name(of), sent) == (of in ancestors(parents, tip))
