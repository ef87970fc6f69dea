# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Ctrl-C in the middle of an evaluation, as a terminal sends it to a process."""

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import threading

from jrn_perception.cli.program import interruption
from jrn_perception.recordings.reader import Recording
from jrn_perception.sources import sample
import pytest

NETWORK = ('--variant', 'cat1', '--weights', 'random', '--height', '192', '--device', 'cpu')
FRAMES = 300

pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None
        for name in ('jinja2', 'matplotlib', 'rich', 'rosbags')),
    reason="needs jinja2, matplotlib, rich and rosbags: pip install '.[evaluate]'")


@pytest.fixture(scope='module')
def bag(tmp_path_factory):
    path = tmp_path_factory.mktemp('bag') / 'sample'
    sample.write_sample(path, FRAMES, size=(24, 32))
    return path


def interrupt(*arguments):
    """Press Ctrl-C when the progress bar has begun to move; return exit code and both streams."""
    terminal, other = os.openpty()
    environment = os.environ | {'TERM': 'xterm', 'COLUMNS': '80'}
    process = subprocess.Popen(
        [sys.executable, '-m', 'jrn_perception.cli.evaluate', *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=other, env=environment, text=True)
    os.close(other)
    said, sent = '', False
    killer = threading.Timer(240, process.kill)
    killer.start()
    try:
        while True:
            try:
                part = os.read(terminal, 4096)
            except OSError:  # Linux ends a terminal whose last process is gone so.
                break
            if not part:
                break
            said += part.decode(errors='replace')
            if not sent and re.search(r'\b[1-9]\d?%', said):
                process.send_signal(signal.SIGINT)
                sent = True
        output = process.stdout.read()
        return process.wait(), output, said
    finally:
        killer.cancel()
        process.kill()
        process.wait()
        os.close(terminal)


def test_what_was_evaluated_of_a_bag_is_kept(bag, tmp_path):
    code, output, said = interrupt(
        'bag', bag, *NETWORK, '--depth', sample.DEPTH_TOPIC, '--json', tmp_path / 'r.json',
        '--html', tmp_path / 'r.html')
    assert code == 130, said
    document = json.loads((tmp_path / 'r.json').read_text())
    done = document['source']['frames']
    assert 0 < done == document['source']['with_depth'] < FRAMES
    reason = f'{bag}: interrupted after {done} of {FRAMES} pictures'
    assert document['partial'] is True and document['reason'] == reason
    assert 'PARTIAL' in output and 'rms (m)' in output
    assert reason in ''.join(said.split('\r\n')) and 'Traceback' not in said
    assert f'<p class="partial">Partial: {reason}' in (tmp_path / 'r.html').read_text()
    # They are the first of the recording, as a limit would have had them.
    from jrn_perception.cli.evaluate import main
    assert main(['bag', str(bag), *NETWORK, '--limit', str(done), '--json',
                 str(tmp_path / 'limit.json')]) == 0
    limited = json.loads((tmp_path / 'limit.json').read_text())
    assert limited['source']['names_sha256'] == document['source']['names_sha256']


def test_what_was_evaluated_of_a_data_set_is_kept(tmp_path):
    code, output, said = interrupt(
        'dataset', *NETWORK, '--reader', 'scenes', '--limit', 100, '--json', tmp_path / 'r.json')
    assert code == 130, said
    document = json.loads((tmp_path / 'r.json').read_text())
    done = document['source']['frames']
    assert 0 < done < 100 and document['output']['pixels']['depth'] > 0
    reason = f'interrupted after {done} of 100 frames'
    assert (document['partial'], document['reason']) == (True, reason)
    assert f'PARTIAL: {reason}' in output and 'rms (m)' in output
    assert f'partial: {reason}' in said and 'Traceback' not in said


def test_what_was_recorded_is_a_whole_recording(bag, tmp_path):
    code, output, said = interrupt('record', bag, tmp_path / 'out', *NETWORK)
    assert code == 130, said
    assert 'interrupted after ' in said and 'Traceback' not in said
    with Recording(tmp_path / 'out') as recording:
        count = recording.topics['/depth'].count
        assert not recording.breaks_off and 0 < count < FRAMES
        assert len(list(recording.records())) == sum(t.count for t in recording.topics.values())
    assert f'results for {count} pictures' in output


def test_the_second_is_a_keyboard_interrupt_and_all_is_as_before():
    before = signal.getsignal(signal.SIGINT)
    with interruption() as event:
        assert not event.is_set()
        signal.raise_signal(signal.SIGINT)
        assert event.is_set() and signal.getsignal(signal.SIGINT) is before
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    with interruption() as event:
        assert not event.is_set()
    assert signal.getsignal(signal.SIGINT) is before


def test_before_the_first_frame_there_is_nothing_to_keep(bag, tmp_path):
    from jrn_perception.evaluation.measures.comparison import evaluate
    from jrn_perception.evaluation.measures.frames import SceneFrames
    from jrn_perception.evaluation.recordings.bag import evaluate_bag
    from jrn_perception.perception import Perception
    perception = Perception.load('hydranet', weights_file='random', device='cpu', height=64)
    with pytest.raises(KeyboardInterrupt):
        evaluate_bag(perception, bag, interrupted=lambda: True)
    with pytest.raises(KeyboardInterrupt):
        evaluate(perception, SceneFrames(1), interrupted=lambda: True)
