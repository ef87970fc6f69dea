# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Tasks in processes: some are killed, none is lost."""

import os
from pathlib import Path
import signal
import subprocess
import sys
import time

import fleet_work
from jrn_perception.fleet.processes import Died, run
import pytest


def never():
    return False


def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def alive(pid):
    try:
        state = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0]
    except FileNotFoundError:
        return False
    return state != 'Z'


def test_each_task_has_one_result_and_its_process_is_used_again():
    found = dict(run(fleet_work.double, [5, 6, 7, 8], 2, never))
    assert {index: value for index, (value, _) in found.items()} == {0: 10, 1: 12, 2: 14, 3: 16}
    pids = {pid for _, pid in found.values()}
    assert 1 <= len(pids) <= 2 and os.getpid() not in pids


def test_a_task_whose_process_is_killed_is_done_again(tmp_path):
    tasks = [(number, str(tmp_path)) for number in range(4)]
    found = dict(run(fleet_work.die_once, tasks, 2, never))
    assert found == {0: 0, 1: 1, 2: 2, 3: 3}
    # Only the killed ones ran twice: a death does not cost the work of other processes.
    assert [len(list(tmp_path.glob(f'{number}-*'))) for number in range(4)] == [1, 2, 1, 2]


def test_a_task_that_kills_its_process_twice_does_not_end_the_rest():
    tasks = [(0, ''), (1, 'kill'), (2, ''), (3, 'exit')]
    found = dict(run(fleet_work.die, tasks, 2, never))
    assert found == {
        0: 0, 2: 2, 1: Died('its process was killed by SIGKILL (out of memory?), in each of 2 '
                            'attempts'),
        3: Died('its process ended with exit code 3, in each of 2 attempts')}


@pytest.mark.skipif(sys.platform != 'linux', reason='reads /proc')
def test_an_interrupted_run_ends_its_processes(tmp_path):
    tasks = [(str(tmp_path), number) for number in range(4)]
    found = run(fleet_work.wait, tasks, 2, lambda: len(list(tmp_path.glob('[0-9]'))) == 2)
    assert list(found) == []
    pids = [int(path.read_text()) for path in tmp_path.glob('[0-9]')]
    assert len(pids) == 2 and not any(map(alive, pids))


@pytest.mark.skipif(sys.platform != 'linux', reason='reads /proc')
def test_processes_end_with_a_parent_that_is_killed(tmp_path):
    program = ('import sys\nfrom jrn_perception.fleet.processes import run\nimport fleet_work\n'
               "if __name__ == '__main__':\n    list(run(fleet_work.wait, [(sys.argv[1], n) for "
               'n in range(2)], 2, lambda: False))\n')
    script = tmp_path / 'parent.py'
    script.write_text(program)
    parent = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path)],
        env={**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)})
    try:
        until(lambda: len(list(tmp_path.glob('[0-9]'))) == 2)
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    pids = [int(path.read_text()) for path in tmp_path.glob('[0-9]')]
    until(lambda: not any(map(alive, pids)), 20)
