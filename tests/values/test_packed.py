"""Objects' bytes as they are kept."""

from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st

from driftd.values.packed import LARGE, pack, unpack
from tests.support.stage import MODELS, compiled_models


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_what_was_packed_comes_back(raw: bytes) -> None:
    assert unpack(pack(raw)) == raw
    assert pack(raw) == pack(raw)


def test_an_object_takes_a_quarter() -> None:
    found = compiled_models(MODELS)
    objects = [one for governed in found.every_scope() for one in governed.objects.values()]
    assert len(objects) > 50
    assert sum(len(one.kept) for one in objects) * 4 < sum(len(one.raw) for one in objects)


def test_a_large_one_stays_as_it_is() -> None:
    for size in (LARGE - 2, LARGE - 1, LARGE, 20 * LARGE):
        raw = b"{" + b" " * size
        assert (pack(raw) == raw) is (len(raw) >= LARGE)
        assert unpack(pack(raw)) == raw
    mistakable = b"z" * LARGE
    assert unpack(pack(mistakable)) == mistakable


def test_threads_do_not_mix_what_they_pack() -> None:
    raws = [b'{"kind":"NetworkPolicy","number":%d}' % number * (1 + number % 50) for number in range(2000)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda raw: unpack(pack(raw)), raws)) == raws
