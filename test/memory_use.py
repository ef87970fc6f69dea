# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""How much memory a process holds, and whether it grows with the work that is done."""

import ctypes
from pathlib import Path
import resource

import numpy as np


class AllocatorFigures(ctypes.Structure):
    """The result of glibc's mallinfo2."""

    _fields_ = [(name, ctypes.c_size_t) for name in (
        'arena', 'ordblks', 'smblks', 'hblks', 'hblkhd', 'usmblks', 'fsmblks', 'uordblks',
        'fordblks', 'keepcost')]


def allocated_mb():
    """
    Return the megabytes (10^6 bytes) that this process has allocated with malloc and not freed.

    Memory that was freed can stay with the process, and a leak that fits in there does not show
    in ``resident_mb``. AttributeError where the C library is not glibc 2.33 or newer.
    """
    mallinfo2 = ctypes.CDLL(None).mallinfo2
    mallinfo2.restype = AllocatorFigures
    figures = mallinfo2()
    return (figures.uordblks + figures.hblkhd) / 1e6


def resident_mb(pid='self'):
    """Return the megabytes (10^6 bytes) of a process that are in memory (Linux)."""
    pages = int(Path(f'/proc/{pid}/statm').read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def growth(samples):
    """
    Return the growth over all of ``samples``, which were taken after equal amounts of work.

    It is the median growth between neighbours, times their number. So a single step does not
    count: an allocator or a pool of threads takes a few megabytes when it first needs them. A leak
    counts, because every part of the work adds to it.
    """
    steps = np.diff(samples)
    return float(np.median(steps) * len(steps))
