"""How the C library treats memory that is freed."""

from __future__ import annotations

import ctypes
from typing import Final

_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
_ARENA_MAX: Final = -8
"""Names of `mallopt`'s options, from glibc's malloc.h."""

_KEPT_BYTES: Final = 64 << 20
_MAPPED_BYTES: Final = 16 << 20
_ARENAS: Final = 4


def keep_freed_memory() -> None:
    """Keep freed memory for the next use instead of giving it back to the system each time.

    Who moves files allocates and frees buffers of some hundred KiB thousands of times a second. By default
    glibc maps many of them anew, and every page of each then costs a fault: measured with gRPC, a quarter to
    a half of all processor time that a MiB takes. What is kept is bounded, here by 64 MiB at an arena's end;
    single blocks from 16 MiB on still go back at once. Call it before threads start.

    C libraries other than glibc have no such options: nothing happens there.
    """
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None:
        set_option(_TRIM_THRESHOLD, _KEPT_BYTES)
        set_option(_MMAP_THRESHOLD, _MAPPED_BYTES)
        set_option(_ARENA_MAX, _ARENAS)
