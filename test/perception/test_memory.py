# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The memory of a process does not grow with the frames that a backend has run."""

import os
import subprocess
import sys

from jrn_perception.perception.backends import choice
import pytest

# Prints the resident mebibytes after a tenth of the frames, and after all of them.
PROGRAM = """
import os
from pathlib import Path
import sys

from jrn_perception.perception import Perception
import numpy as np

backend, frames = sys.argv[1], int(sys.argv[2])
perception = Perception.load('hydranet', backend=backend, device='cpu', precision='fp32',
                             height=32, width=64)
picture = np.random.default_rng(0).integers(0, 256, (48, 96, 3), np.uint8)
for frame in range(1, frames + 1):
    perception(picture).labels
    if frame in (frames // 10, frames):
        pages = int(Path('/proc/self/statm').read_text().split()[1])
        print(pages * os.sysconf('SC_PAGE_SIZE') / 2 ** 20)
"""
FRAMES = 1000
# Two kilobytes a frame would be 1.8 MiB; a map of the picture in float32 is 18 KiB.
ALLOWED_MIB = 1.5


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != 'linux', reason='reads /proc')
@pytest.mark.parametrize('backend', ['torch', *choice.installed()])
def test_memory_is_flat_over_many_frames(backend, cache):
    pytest.importorskip(backend)
    done = subprocess.run([sys.executable, '-c', PROGRAM, backend, str(FRAMES)], text=True,
                          capture_output=True, timeout=300,
                          env={**os.environ, 'OMP_NUM_THREADS': '1'})
    assert done.returncode == 0, done.stderr
    early, late = map(float, done.stdout.split())
    assert late - early < ALLOWED_MIB
