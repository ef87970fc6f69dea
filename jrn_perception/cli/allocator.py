# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Keep the memory that a network frees for its next layer."""

from __future__ import annotations

import ctypes

# From glibc's malloc.h.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX, M_ARENA_MAX = -1, -2, -4, -8


def keep_freed_memory() -> bool:
    """
    Make the C library keep freed memory; return whether that is possible (glibc).

    By default glibc returns blocks as large as a network's maps to the kernel. The kernel clears
    the pages of the next map one by one, which takes up to half of the time of a training step
    (benchmarks/allocator.py). The process then never shrinks, so this is for programs, which own
    their process, and not for the library.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # musl, macOS, Windows
        return False
    # No map gets a mapping of its own, the end of the heap stays, and all threads share one heap,
    # because the heaps of threads are too small for maps.
    options = {M_MMAP_MAX: 0, M_TRIM_THRESHOLD: 2 ** 31 - 1, M_TOP_PAD: 2 ** 28, M_ARENA_MAX: 1}
    accepted = [mallopt(option, value) == 1 for option, value in options.items()]
    return all(accepted)
