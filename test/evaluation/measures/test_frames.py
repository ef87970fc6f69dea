# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Options of the command line become frames, crops and ranges, or one line of refusal."""

from jrn_perception.datasets.nyuv2 import CROP
from jrn_perception.evaluation.measures.frames import open_frames, parse_crop, parse_range
from jrn_perception.evaluation.measures.metrics import describe_crop
from jrn_perception.labels import NYU40
from jrn_perception.rooms.scenes import scenes
import numpy as np
import pytest


def test_scenes_are_those_of_the_renderer():
    frames = open_frames('scenes', limit=2, seed=4)
    assert len(frames) == 2 and frames.labels == NYU40
    for found, wanted in zip(frames, scenes(2, 4)):
        np.testing.assert_array_equal(found.rgb, wanted.rgb)


def test_limit_takes_the_first_frames(data_dir):
    every = open_frames('nyuv2', str(data_dir / 'nyuv2'), 'val')
    first = open_frames('nyuv2', str(data_dir / 'nyuv2'), 'val', limit=3)
    assert len(first) == 3 < len(every)
    assert [frame.name for frame in first] == [every[index].name for index in range(3)]
    assert len(open_frames('nyuv2', str(data_dir / 'nyuv2'), limit=10 ** 6)) == len(every)


@pytest.mark.parametrize('arguments, text', [
    (('scenes', 'somewhere'), 'no --data'),
    (('scenes', '', 'val'), 'no --split'),
    (('scenes', '', '', -1), 'limit -1'),
    (('nyuv2',), 'needs --data'),
    (('nyuv2', 'somewhere', '', 0, 3), 'no --seed'),
    (('nowhere', 'somewhere'), 'nowhere'),
])
def test_options_without_effect_or_meaning_are_refused(arguments, text):
    with pytest.raises(ValueError, match=text):
        open_frames(*arguments)


def test_crops():
    assert parse_crop('', 'nyuv2') == parse_crop('nyu', 'scenes') == CROP
    assert parse_crop('', 'scenes') is parse_crop('none', 'nyuv2') is None
    assert parse_crop('1:5,2:8', 'scenes') == (slice(1, 5), slice(2, 8))
    assert parse_crop(describe_crop(CROP), 'scenes') == CROP


@pytest.mark.parametrize('text', ['eigen', '1:5', '5:1,2:8', '1:5,2:8,3:4', '1,2', '-4:5,2:8'])
def test_bad_crops_are_refused(text):
    with pytest.raises(ValueError, match='y0:y1,x0:x1'):
        parse_crop(text, 'nyuv2')


def test_ranges():
    assert parse_range('0.5:8') == (0.5, 8)
    for text in ('0:8', '8:1', '1', 'a:b', '1:inf', '1:2:3'):
        with pytest.raises(ValueError, match='low:high'):
            parse_range(text)
