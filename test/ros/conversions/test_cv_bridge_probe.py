# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""A cv_bridge that works is asked for other encodings, a broken one is found out."""

import os
from pathlib import Path
import subprocess
import sys

import pytest

pytest.importorskip(
    'sensor_msgs.msg', reason='needs the ROS messages (pip install ros-sensor-msgs)')
REPOSITORY = Path(__file__).resolve().parents[3]

# cv_bridge comes with a ROS distribution only; these stand-ins behave as it does, well or badly.
GOOD_BRIDGE = """
import numpy as np
open(__file__ + '.imports', 'a').write('x')
class CvBridge:
    def encoding_to_dtype_with_channels(self, encoding):
        if encoding not in ('bgr8', 'gbr8'):
            raise TypeError(f'Unrecognized image encoding\\n[{encoding}]')
        return 'uint8', 3
    def imgmsg_to_cv2(self, msg, desired_encoding):
        assert msg.step == 3 * msg.width and desired_encoding == 'rgb8'
        order = {'bgr8': [2, 1, 0], 'gbr8': [2, 0, 1]}[msg.encoding]
        return np.asarray(msg.data).reshape(msg.height, msg.width, 3)[..., order]
"""
BAD_BRIDGE = """
class CvBridge:
    def imgmsg_to_cv2(self, msg, desired_encoding):
        {}
"""
ASK = """
import sys
import numpy as np
from sensor_msgs.msg import Image
from jrn_perception.ros.conversions import cv_bridge_probe
from jrn_perception.ros.conversions import images
cv_bridge_probe.PROBE_TIMEOUT_S = float(sys.argv[1])
for encoding, step in (('gbr8', 7), ('gbr8', 6), ('gbr8', 5), ('odd', 6), ('rgb8', 6)):
    msg = Image(height=2, width=2, encoding=encoding, step=step, data=list(range(2 * step)))
    try:
        print(images.to_rgb(msg).tolist())
    except images.BadImage as error:
        print(error)
"""


def ask(folder, bridge, timeout=30):
    """Return what a process with this cv_bridge answers, a line for each message."""
    (folder / 'cv_bridge.py').write_text(bridge)
    path = os.pathsep.join([str(folder), str(REPOSITORY), *filter(None, sys.path)])
    child = subprocess.run([sys.executable, '-c', ASK, str(timeout)], capture_output=True,
                           check=True, env=dict(os.environ, PYTHONPATH=path), text=True)
    lines = child.stdout.splitlines()
    assert len(lines) == 5
    assert lines[4] == '[[[0, 1, 2], [3, 4, 5]], [[6, 7, 8], [9, 10, 11]]]'
    return lines


def test_a_cv_bridge_that_works_is_asked_and_tried_once(tmp_path):
    padded, packed, short, odd, _ = ask(tmp_path, GOOD_BRIDGE)
    assert padded == '[[[2, 0, 1], [5, 3, 4]], [[9, 7, 8], [12, 10, 11]]]'
    assert packed == '[[[2, 0, 1], [5, 3, 4]], [[8, 6, 7], [11, 9, 10]]]'
    assert short == 'step 5 is shorter than a row of 2 gbr8 pixels, 6 bytes'
    assert odd.startswith("cv_bridge cannot convert encoding 'odd' (TypeError: Unrecognized image "
                          'encoding [odd]); supported without cv_bridge: rgb8, ')
    # One import in the process of the trial, one in the process that uses it.
    assert (tmp_path / 'cv_bridge.py.imports').read_text() == 'xx'


@pytest.mark.parametrize('body, fault', [
    ('import os, signal; os.kill(os.getpid(), signal.SIGSEGV)',
     'a trial conversion was killed by SIGSEGV (was it built for another numpy?)'),
    ('raise KeyError(16)', 'a trial conversion failed (KeyError: 16)'),
    ('import os; os._exit(3)', 'a trial conversion failed (exit code 3)'),
    ('import numpy; return numpy.asarray(msg.data).reshape(1, 2, 3)',
     'a trial conversion failed (ValueError: it turned two bgr8 pixels into something else)'),
])
def test_a_broken_cv_bridge_is_found_out(tmp_path, body, fault):
    for line in ask(tmp_path, BAD_BRIDGE.format(body))[:3]:
        assert line.startswith(
            f"encoding 'gbr8' is not supported and cv_bridge was not asked: {fault}; supported ")


def test_a_cv_bridge_that_hangs_is_found_out(tmp_path):
    line = ask(tmp_path, BAD_BRIDGE.format('import time; time.sleep(999)'), timeout=0.25)[0]
    assert 'was not asked: a trial conversion did not end within 0.25 s; supported ' in line
