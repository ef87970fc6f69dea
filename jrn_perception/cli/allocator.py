# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Memory that a network frees is kept for its next layer."""

from __future__ import annotations

import ctypes

# From glibc's malloc.h.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX, M_ARENA_MAX = -1, -2, -4, -8


def keep_freed_memory() -> bool:
    """
    Tell the C library to keep what is freed; return whether it is one that can be told (glibc).

    A network's maps are larger than what glibc keeps by default. It then gives each back to the
    kernel and asks for the next one, which comes in pages that are cleared one by one: up to half
    of the time of a training step (benchmarks/allocator.py). The process stays as large as it was
    at its largest. For programs, which own their process, not for the library.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # musl, macOS, Windows
        return False
    # Not even the largest map is mapped on its own, the end of the heap stays, and threads share
    # one heap: their own are too small for maps.
    wanted = {M_MMAP_MAX: 0, M_TRIM_THRESHOLD: 2 ** 31 - 1, M_TOP_PAD: 2 ** 28, M_ARENA_MAX: 1}
    told = [mallopt(option, value) == 1 for option, value in wanted.items()]
    return all(told)
