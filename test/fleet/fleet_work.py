# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Tasks for other processes, which import this file."""

import os
from pathlib import Path
import signal
import time


def double(task):
    return 2 * task, os.getpid()


def die_once(task):
    """Die by kill -9 the first time that a task of odd number runs."""
    number, folder = task
    marker = Path(folder) / f'{number}'
    attempt = len(list(Path(folder).glob(f'{number}-*')))
    (Path(folder) / f'{number}-{attempt}').touch()
    if number % 2 and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def die(task):
    """Die each time if the task asks for it."""
    number, how = task
    if how == 'kill':
        os.kill(os.getpid(), signal.SIGKILL)
    if how == 'exit':
        os._exit(3)
    return number


def wait(task):
    """Write the number of the process, then wait for a long time."""
    folder, number = task
    part = Path(folder) / f'.{number}'
    part.write_text(str(os.getpid()))
    part.rename(Path(folder) / f'{number}')
    time.sleep(120)
