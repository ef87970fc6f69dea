# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The demo is three processes that talk through DDS, so its test is to run it."""

from pathlib import Path
import re
import subprocess
import sys

import cv2
import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.mark.slow
def test_the_demo_leaves_a_picture_and_a_measured_rate(ros_domain, tmp_path):
    output = tmp_path / 'output.png'
    done = subprocess.run(
        [sys.executable, REPOSITORY / 'demo' / 'demo.py', '--weights', 'random', '--architecture',
         'hydranet', '--frames', '5', '--output', output],
        capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    assert re.search(r'hydranet nyu40: 5 frames of 640x480 .* at [\d.]+ Hz', done.stdout)
    picture = cv2.imread(str(output))
    # Four pictures, two by two, and a legend below them.
    assert picture.shape[0] > 2 * 480 and picture.shape[1] > 2 * 640
    assert picture.std() > 20
