"""The size of the image, as it was last built from the Dockerfile."""

import os
from collections.abc import Callable

import pytest

from tests.bench.figures import Figure
from tests.support.image import kept_archive, over_base

GOAL_MB = 120.0


def image(say: Callable[[str], None]) -> list[Figure]:
    """What it adds to its base, compressed; nothing, with a word, where no image is kept."""
    try:
        archive, present = kept_archive()
    except pytest.skip.Exception as lack:
        say(f"image: not measured: {lack}")
        return []
    note = "gzip, as a registry holds it; " + ("of these very sources" if present else "of earlier sources")
    return [
        Figure(
            "image: compressed, over its base",
            over_base(archive) / 1e6,
            "MB",
            GOAL_MB,
            note=note,
            load=os.getloadavg()[0],
        )
    ]
