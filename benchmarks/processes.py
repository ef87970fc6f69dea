# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The processes of a benchmark: started and ended, their time and memory, their ROS domain."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import os
from pathlib import Path
import subprocess


@contextmanager
def child(*words: str, **options) -> Iterator[subprocess.Popen]:
    """Start a process that ends with this block."""
    process = subprocess.Popen(list(words), **options)
    try:
        yield process
    finally:
        if process.stdin:  # It may end with its instructions.
            process.stdin.close()
        process.terminate()
        process.wait()


def use_own_domain() -> None:
    """Keep this process and its children apart from other ROS 2 programs, unless told not to."""
    os.environ.setdefault('ROS_DOMAIN_ID', str(os.getpid() % 100 + 1))
    os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')


def resident_mb(pid: int | str = 'self') -> float:
    """Return the MiB of a process that are in memory."""
    pages = int(Path(f'/proc/{pid}/statm').read_text().split()[1])
    return pages * os.sysconf('SC_PAGE_SIZE') / 2 ** 20


def pss_kb(pid: int) -> int:
    """Return the memory of a process, shared pages by its share of them."""
    lines = Path(f'/proc/{pid}/smaps_rollup').read_text().splitlines()
    return int(next(line for line in lines if line.startswith('Pss:')).split()[1])


def cpu_s_of(pid: int) -> float:
    """Return the CPU time that a process has used."""
    fields = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')
