# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Anchors of past pictures hold while nothing changes around them."""

from jrn_perception.perception.anchoring import Anchoring, AnchoringSettings, Anchors
from jrn_perception.perception.anchoring.memory import AGEING, COUNT, Memory
import numpy as np
import pytest

SIZE = 480, 640
DEPTH = np.full(SIZE, 2.5, np.float32)
LABELS = np.zeros(SIZE, np.uint8)
DOWN, ACROSS = np.meshgrid(np.linspace(0, 1, 480), np.linspace(0, 1, 640), indexing='ij')
DRIFT = np.exp(0.15 * np.sin(5 * ACROSS) - 0.15 * np.cos(4 * DOWN)).astype(np.float32)


def anchors(count, seed=0, truth=DEPTH):
    rng = np.random.default_rng(seed)
    rows, columns = rng.integers(0, SIZE[0], count), rng.integers(0, SIZE[1], count)
    return Anchors(columns, rows, truth[rows, columns], np.full(count, 0.01, np.float32))


def remembering(points, depth=DEPTH, seconds=2.0):
    memory = Memory(seconds)
    memory.update(np.zeros(0, bool), points, depth, 0.0)
    return memory


def test_anchors_are_recalled_until_they_are_too_old_and_less_sure_with_age():
    memory, points = remembering(anchors(20)), anchors(20)
    found = memory.recall(DEPTH, 1.5, 200)
    assert 15 < len(found) <= 20
    assert set(zip(found.column, found.row)) <= set(zip(points.column, points.row))
    np.testing.assert_allclose(found.deviation, np.hypot(0.01, 1.5 * AGEING), rtol=1e-5)
    assert len(memory.recall(DEPTH, 1.5, 3)) == 3
    assert not len(memory.recall(DEPTH, 2.0, 200))


def test_the_oldest_of_a_square_stays_and_the_number_is_limited():
    memory = remembering(Anchors(*(np.array([value]) for value in (100, 100, 2.0, 0.01))))
    memory.update(np.ones(1, bool), anchors(5000), DEPTH, 0.1)
    found = memory.recall(DEPTH, 0.1, 200)
    assert 120 < len(found) <= COUNT
    assert 2.0 in found.depth


def test_an_anchor_under_which_something_moved_and_a_wrong_one_are_forgotten():
    points = anchors(40)
    memory, moved = remembering(points), DEPTH.copy()
    moved[:, :200] *= 0.9
    found = memory.recall(moved, 0.1, 200)
    assert 0 < len(found) < 40
    assert found.column.min() >= 200
    right = np.arange(len(found)) > 0
    memory.update(right, Anchors.none(), moved, 0.1)
    assert len(memory.recall(moved, 0.2, 200)) == len(found) - 1


def test_a_moving_camera_forgets_all_anchors():
    memory = remembering(anchors(40))
    assert not len(memory.recall(DEPTH * np.float32(1.05), 0.1, 200))
    assert not len(memory.recall(DEPTH, 0.1, 200))


def test_depth_that_becomes_unknown_forgets_its_anchors():
    unknown = DEPTH.copy()
    unknown[:240], unknown[:, :100] = np.nan, 0
    found = remembering(anchors(40)).recall(unknown, 0.1, 200)
    assert len(found)
    assert found.row.min() >= 240 and found.column.min() >= 100


@pytest.mark.parametrize('count', [5, 50])
def test_other_points_in_each_picture_move_depth_less_and_less_and_add_up(count):
    def movements_and_errors(**settings):
        anchoring = Anchoring(AnchoringSettings(**settings))
        depths = [anchoring(DRIFT * DEPTH, LABELS, anchors(count, seed), seed / 10)
                  for seed in range(12)]
        movements = [np.median(np.abs(np.log(new / old))) for old, new in zip(depths, depths[1:])]
        return np.mean(movements[5:]), np.abs(np.log(depths[-1] / DEPTH)).mean()

    steady, error = movements_and_errors()
    hasty, error_of_one = movements_and_errors(time_constant=0.0)
    assert steady < 0.2 * hasty
    assert error < 0.8 * error_of_one


def test_a_past_that_contradicts_the_present_is_forgotten():
    anchoring = Anchoring()
    for seed in range(5):
        anchoring(DEPTH, LABELS, anchors(50, seed), seed / 10)
    # The network sees nothing of the change.
    farther = anchors(50, 9, DEPTH * np.float32(1.35))
    found = anchoring(DEPTH, LABELS, farther, 0.5)
    assert anchoring.last.used == 50
    assert np.abs(np.log(found / (1.35 * 2.5))).mean() < 0.015
