# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The temporal filter on a recording: flicker and accuracy, without it and with it."""

from dataclasses import replace
import json

from bags import PERIOD, run, START, write
from jrn_perception.cli import evaluate
from jrn_perception.evaluation.measures.drift import drift
from jrn_perception.evaluation.recordings.session import Request
from jrn_perception.evaluation.reports import bag_document
from jrn_perception.evaluation.reports.rows import recording_tables
from jrn_perception.perception import Perception
from jrn_perception.perception.temporal import TemporalFilter
import numpy as np
import pytest

pytest.importorskip('rosbags.rosbag2')
CONSTANT = 2.0
COUNT = 8


@pytest.fixture(scope='module')
def perception():
    """Return a trained network: the depth of a random one changes without measure."""
    return Perception.load('hydranet', device='cpu', backend='torch', height=96)


@pytest.fixture(scope='module')
def still(frames):
    """Return one frame again and again, with the noise of a camera."""
    random, frame = np.random.default_rng(0), frames[0]
    noisy = [frame.rgb + 6 * random.standard_normal(frame.rgb.shape) for _ in range(COUNT)]
    return [replace(frame, name=f'{index}', rgb=np.clip(rgb, 0, 255).astype(np.uint8))
            for index, rgb in enumerate(noisy)]


def test_flicker_and_accuracy_are_those_of_the_filter_by_hand(perception, still, tmp_path):
    path = write(tmp_path / 'bag', still)
    found = bag_document.bag_document(run(perception, path, temporal_filter=CONSTANT), perception)
    plain = bag_document.bag_document(run(perception, path), perception)
    steady = found.pop('temporal_filter')
    # The measurement without the filter is the one that there was.
    assert found == plain

    steadied, filter_ = [], TemporalFilter()
    for index, frame in enumerate(still):
        picture = perception.preprocess(frame.rgb)
        maps = filter_(perception.infer(picture[None]), picture,
                       (START + index * PERIOD) / 1e9, CONSTANT)
        steadied.append(perception.postprocess(maps, frame.rgb.shape[:2]))
    changes = [drift(new.valid_depth(), new.labels, old.valid_depth(), old.labels)
               for old, new in zip(steadied, steadied[1:])]
    assert steady['time_constant_s'] == CONSTANT
    for task in ('depth', 'labels'):
        assert steady['drift'][task]['pairs'] == COUNT - 1
        assert steady['drift'][task]['mean'] == pytest.approx(
            np.mean([getattr(change, task) for change in changes]))
    assert steady['drift']['depth']['mean'] < 0.5 * plain['drift']['depth']['mean']
    old, new = plain['output']['pooled'], steady['pooled']
    assert steady['gain'] == {name: pytest.approx(new[name] - old[name]) for name in new}
    assert new['rms'] != old['rms'] and new['rms'] == pytest.approx(old['rms'], rel=0.05)

    table, = (table for table in recording_tables(found | {'temporal_filter': steady},
                                                  {'stages_ms': {}})
              if table.title == 'temporal filter 2 s')
    assert [row[0] for row in table.rows][:3] == [
        'median change of depth, frame to frame', 'labels that change, frame to frame', 'rel']


def test_without_truth_flicker_alone_is_reported(perception, still, tmp_path):
    path = write(tmp_path / 'bag', still[:3], depth='', labels='')
    evaluation = run(perception, path, depth='', labels='', temporal_filter=CONSTANT)
    steady = bag_document.bag_document(evaluation, perception)['temporal_filter']
    assert set(steady) == {'time_constant_s', 'drift'}
    assert steady['drift']['depth']['pairs'] == 2


def test_the_command_has_the_filter(still, tmp_path):
    path = write(tmp_path / 'bag', still[:3])
    options = ['--architecture', 'hydranet', '--weights', 'random', '--height', '64']
    assert evaluate.main(['bag', str(path), *options, '--temporal-filter', '0.5', '--json',
                          str(tmp_path / 'found.json')]) == 0
    found = json.loads((tmp_path / 'found.json').read_text())
    assert found['temporal_filter']['time_constant_s'] == 0.5
    assert found['temporal_filter']['drift']['labels']['pairs'] == 2


def test_recorded_predictions_are_not_filtered(capsys):
    assert evaluate.main(['bag', 'nowhere', '--predicted-depth', '/depth', '--depth', '/truth',
                          '--temporal-filter', '0.5']) == 1
    assert '--temporal-filter have no use with recorded predictions' in capsys.readouterr().err


@pytest.mark.parametrize('seconds', [-1.0, float('nan'), float('inf')])
def test_a_time_constant_is_a_number_of_seconds(seconds):
    with pytest.raises(ValueError, match='temporal filter .*: seconds, 0 for none'):
        Request(temporal_filter=seconds)
