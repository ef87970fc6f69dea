# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The memory of a process does not grow with the frames that a backend has run."""

import os
import subprocess
import sys

from jrn_perception.perception.backends import choice
from memory_use import growth
import numpy as np
import pytest

# Prints the allocated and the resident megabytes after each tenth of the frames.
PROGRAM = """
import sys

from jrn_perception.perception import Perception
import numpy as np
from memory_use import allocated_mb, resident_mb

backend, frames = sys.argv[1], int(sys.argv[2])
perception = Perception.load('hydranet', backend=backend, device='cpu', precision='fp32',
                             height=32, width=64)
picture = np.random.default_rng(0).integers(0, 256, (48, 96, 3), np.uint8)
for frame in range(1, frames + 1):
    perception(picture).labels
    if frame % (frames // 10) == 0:
        print(allocated_mb(), resident_mb())
"""
FRAMES = 1000
# A map of the picture in float32 is 18 kB a frame; 400 bytes a frame would be 0.36 MB allocated.
ALLOCATED_MB, RESIDENT_MB = 0.3, 1.5


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != 'linux', reason='reads /proc')
@pytest.mark.parametrize('backend', ['torch', *choice.installed()])
def test_memory_is_flat_over_many_frames(backend, cache):
    pytest.importorskip(backend)
    done = subprocess.run([sys.executable, '-c', PROGRAM, backend, str(FRAMES)], text=True,
                          capture_output=True, timeout=300,
                          env={**os.environ, 'OMP_NUM_THREADS': '1',
                               'PYTHONPATH': os.pathsep.join(filter(None, sys.path))})
    assert done.returncode == 0, done.stderr
    allocated, resident = np.array(done.stdout.split(), float).reshape(10, 2).T
    assert growth(allocated) < ALLOCATED_MB, allocated
    assert growth(resident) < RESIDENT_MB, resident


@pytest.mark.parametrize('samples, expected', [
    ([200.] * 10, 0),
    ([200.] * 5 + [204.4] * 5, 0),
    ([200. + .2 * part for part in range(10)], 1.8),
    ([200. + .2 * part + 4 * (part > 4) for part in range(10)], 1.8)])
def test_a_leak_is_growth_and_a_step_is_not(samples, expected):
    assert growth(samples) == pytest.approx(expected)
