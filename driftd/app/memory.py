"""A daemon that stays small: freed memory is given back, and connections hold small buffers.

As glibc comes, each thread that allocates gets an arena of its own, and what was freed in the middle of one stays.
Lists of objects are read in pages of a megabyte and judged in threads: they leave holes, which `ps` and the kubelet
count. With one arena (Python's threads take turns anyway), and blocks from 64 KiB on mapped by themselves, a daemon
over 3,000 policies was 5 MB smaller and no slower. A judged world that is renewed leaves pages of holes, 8 MB of 160 at
10,000 policies: those are given back now and then. Source: mallopt(3), malloc_trim(3).
"""

import asyncio
import ctypes
from asyncio.sslproto import SSLProtocol
from typing import Final

_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
_ARENA_MAX: Final = -8
_LARGE: Final = 64 * 1024
_GIVEN_BACK_EVERY: Final = 60.0


def stay_small() -> None:
    """To be called before the first thread and the first connection. Other C libraries (musl) are left as they are."""
    SSLProtocol.max_size = _LARGE  # a buffer that every connection holds: 256 KiB by default, and there are some twenty
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    mallopt(_ARENA_MAX, 1)
    mallopt(_MMAP_THRESHOLD, _LARGE)  # a fixed one: by default it grows up to 32 MiB with what is freed
    mallopt(_TRIM_THRESHOLD, _LARGE)


async def give_back(every: float = _GIVEN_BACK_EVERY) -> None:
    """Return what was freed in the middle to the machine, every so many seconds until cancelled.

    Other C libraries (musl) have nothing to call.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    while trim is not None:
        await asyncio.sleep(every)
        await asyncio.to_thread(trim, 0)  # some milliseconds, without the interpreter's lock
