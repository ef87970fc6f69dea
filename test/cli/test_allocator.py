# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Freed memory stays with a process that asks for it, and only with one that does."""

import ctypes
import platform
import subprocess
import sys

from jrn_perception.cli import allocator
import pytest

# Forty times 64 MiB; how many of the pages came from the kernel the last twenty times?
PROGRAM = """
import resource, sys, threading
from jrn_perception.cli.allocator import keep_freed_memory
import torch
if sys.argv[1] == 'keep':
    assert keep_freed_memory()
def work():
    for turn in range(40):
        if turn == 20:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        torch.empty(2 ** 24).fill_(1)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
thread = threading.Thread(target=work)
thread.start()
thread.join()
"""


@pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='the C library is not glibc')
def test_freed_memory_is_used_again():
    kept, given = (int(subprocess.run([sys.executable, '-c', PROGRAM, kind], check=True,
                                      capture_output=True, text=True).stdout)
                   for kind in ('keep', 'give'))
    # With pages of 4 KiB there are 16384 of them each time, with those of 2 MiB 32.
    assert given >= 20 * 32
    assert kept < given / 10


def test_a_library_that_cannot_be_told_is_left_alone(monkeypatch):
    monkeypatch.setattr(ctypes, 'CDLL', lambda _name: object())
    assert allocator.keep_freed_memory() is False
