# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""A trial that tells whether the installed cv_bridge works with this process's numpy."""

from __future__ import annotations

from functools import cache
import importlib.util
import os
import signal
import subprocess
import sys

PROBE_TIMEOUT_S = 30.0

_PROBE = """
import array
from cv_bridge import CvBridge
from sensor_msgs.msg import Image
message = Image(height=1, width=2, encoding='bgr8', step=6, data=array.array('B', range(6)))
picture = CvBridge().imgmsg_to_cv2(message, 'rgb8')
if picture.tolist() != [[[2, 1, 0], [5, 4, 3]]]:
    raise ValueError('it turned two bgr8 pixels into something else')
"""


@cache
def cv_bridge_fault() -> str:
    """
    Return in one line why cv_bridge cannot be used, or '' if it works.

    A cv_bridge built against numpy 1 can be imported under numpy 2, but kills the process at its
    first conversion. So a child process makes the first conversion. That takes about a second
    where cv_bridge is installed, and happens once: the answer is kept.
    """
    if importlib.util.find_spec('cv_bridge') is None:
        return 'it is not installed'
    # The child must import the same cv_bridge as this process.
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, sys.path)))
    try:
        child = subprocess.run(
            [sys.executable, '-c', _PROBE], capture_output=True, check=False, env=environment,
            errors='replace', stdin=subprocess.DEVNULL, text=True, timeout=PROBE_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return f'a trial conversion did not end within {PROBE_TIMEOUT_S:g} s'
    except OSError as error:
        return f'the process for a trial conversion did not start ({error})'
    if child.returncode < 0:
        name = signal.Signals(-child.returncode).name
        return f'a trial conversion was killed by {name} (was it built for another numpy?)'
    if child.returncode > 0:
        reason = child.stderr.strip().splitlines() or [f'exit code {child.returncode}']
        return f'a trial conversion failed ({reason[-1].strip()})'
    return ''
