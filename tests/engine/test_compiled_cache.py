"""A cached model counts only whole, for its own commit and for the code that compiled it."""

import pytest

from driftd.engine.compiled_cache import dump, load
from tests.support.stage import MODELS, compiled_models

COMPILED = compiled_models(MODELS)


def test_a_cached_model_is_the_model() -> None:
    assert load(dump("dir:1", COMPILED), "dir:1") == COMPILED


def test_another_commit_finds_nothing() -> None:
    assert load(dump("dir:1", COMPILED), "dir:2") is None


@pytest.mark.parametrize("at", [0, 16, 100, -1])
def test_a_flipped_bit_makes_it_worthless(at: int) -> None:
    data = bytearray(dump("dir:1", COMPILED))
    data[at] ^= 1
    assert load(bytes(data), "dir:1") is None


@pytest.mark.parametrize("size", [0, 5, 16, 1000])
def test_half_a_cache_is_none(size: int) -> None:
    assert load(dump("dir:1", COMPILED)[:size], "dir:1") is None
