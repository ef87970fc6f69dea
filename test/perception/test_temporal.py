# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Maps averaged over time: what stands still gets steady, and what moves is followed at once."""

import math

from jrn_perception.perception import ArrayMaps
from jrn_perception.perception.temporal import DEPTH_JUMP, LARGEST_JUMP, TemporalFilter
import numpy as np
import pytest

# Cells of the maps, and pixels of the picture for each.
SIZE, CELL = (48, 64), 4
PERIOD, CONSTANT = 1 / 30, 0.2
KEEP = math.exp(-PERIOD / CONSTANT)


def picture(cells):
    """Return RGB (H, W, 3) whose cells have these levels (h, w)."""
    return np.repeat(cells.astype(np.uint8).repeat(CELL, 0).repeat(CELL, 1)[..., None], 3, 2)


def textured(seed=0):
    return np.random.default_rng(seed).integers(0, 256, SIZE)


def maps_of(depth, logits=None):
    return ArrayMaps(depth[None].astype(np.float32),
                     None if logits is None else logits[None].astype(np.float32))


class Video:
    """A filter at 30 Hz: `show` returns filtered depth (h, w)."""

    def __init__(self, **options):
        self.filter, self.seconds = TemporalFilter(), 100.0
        self.options = {'time_constant': CONSTANT, **options}

    def maps(self, maps, cells, **options):
        self.seconds += PERIOD
        rgb = cells if cells.ndim == 3 else picture(cells)
        return self.filter(maps, rgb, self.seconds, **{**self.options, **options})

    def show(self, depth, cells, **options):
        return self.maps(maps_of(depth), cells, **options).depth[0]


def flat(metres):
    return np.full(SIZE, metres, np.float32)


def test_a_noisy_still_scene_gets_as_steady_as_theory_says():
    random, video, cells = np.random.default_rng(0), Video(), textured()
    found = np.stack([video.show(2 + 0.03 * random.standard_normal(SIZE), cells)
                      for _ in range(150)])[50:]
    # An average whose weights fall by the factor a from picture to picture.
    factor = math.sqrt((1 - KEEP) / (1 + KEEP))
    assert factor == pytest.approx(0.288, abs=0.001)
    assert found.std(0).mean() / 0.03 == pytest.approx(factor, rel=0.1)
    assert found.mean() == pytest.approx(2, abs=0.001)


def test_the_noise_of_a_camera_is_no_motion():
    random, video, cells = np.random.default_rng(0), Video(), textured()
    clean = picture(cells).astype(float)
    found = []
    for _ in range(120):
        noisy = np.clip(clean + 5 * random.standard_normal(clean.shape), 0, 255).astype(np.uint8)
        found.append(video.show(2 + 0.03 * random.standard_normal(SIZE), noisy))
    assert np.stack(found[40:]).std(0).mean() / 0.03 == pytest.approx(0.288, rel=0.12)


def test_the_first_pictures_count_alike():
    video, cells = Video(time_constant=1e6), textured()
    values = [video.show(flat(metres), cells).mean() for metres in (2.0, 2.06, 2.03)]
    assert values == pytest.approx([2.0, 2.03, 2.03], abs=1e-5)


def test_confident_pictures_count_more():
    logits = np.zeros((*SIZE, 2), np.float32)
    video, cells = Video(time_constant=1e6), textured()
    sure = logits.copy()
    sure[..., 0] = math.log(9)  # Probability 0.9, against 0.5.
    video.maps(maps_of(flat(2.0), sure), cells)
    found = video.maps(maps_of(flat(2.1), logits), cells)
    np.testing.assert_allclose(found.depth, (0.9 * 2.0 + 0.5 * 2.1) / 1.4, rtol=1e-5)
    # The logits have the same weights.
    np.testing.assert_allclose(found.semantics[0][..., 0], 0.9 * math.log(9) / 1.4, rtol=1e-5)


def test_classes_that_flicker_become_those_that_are_seen_most():
    video, cells, random = Video(), textured(), np.random.default_rng(0)
    found, given = [], []
    for _ in range(100):
        logits = random.standard_normal((*SIZE, 3))
        logits[..., 1] += 1.0
        given.append(logits.argmax(2))
        found.append(video.maps(maps_of(flat(2.0), logits), cells).semantics[0].argmax(2))
    assert (np.stack(given[30:]) == 1).mean() < 0.65
    assert (np.stack(found[30:]) == 1).mean() > 0.97


def test_a_moving_thing_leaves_no_ghost():
    """A square at 1 m, before a wall at 3 m, moves by two cells for each picture."""
    video, wall = Video(), np.full(SIZE, 60)
    random, before = np.random.default_rng(0), np.zeros(SIZE, bool)
    for step in range(24):
        depth, cells = flat(3.0), wall.copy()
        inside = np.zeros(SIZE, bool)
        inside[16:30, 2 * step:2 * step + 12] = True
        depth[inside], cells[inside] = 1.0, 180
        noisy = depth * (1 + 0.01 * random.standard_normal(SIZE))
        found = video.show(noisy, cells)
        # What has moved is as the frame has it, to the last cell.
        assert np.abs(found - depth).max() < 0.15
        moved, before = inside != before, inside
        np.testing.assert_array_equal(found[moved], noisy.astype(np.float32)[moved])
    # Far from its way, the wall is averaged.
    assert np.std(found[:12]) < 0.5 * np.std(noisy[:12])


def test_a_thing_of_the_colour_of_its_background_is_followed_by_its_depth():
    video, cells = Video(), np.full(SIZE, 100)
    for step in range(20):
        depth = flat(3.0)
        depth[16:30, 2 * step:2 * step + 12] = 1.0
        np.testing.assert_allclose(video.show(depth, cells), depth, rtol=1e-6)


@pytest.mark.parametrize('noise, bound', [(0.01, DEPTH_JUMP), (0.3, LARGEST_JUMP)])
def test_depth_stays_near_that_of_the_frame_whatever_happens(noise, bound):
    random, video, cells = np.random.default_rng(0), Video(), textured()
    for step in range(100):
        depth = 3 * np.exp(noise * random.standard_normal(SIZE)).astype(np.float32)
        if step % 10 == 0:
            depth[:, :20] *= random.uniform(0.7, 1.4)
        found = video.show(depth, cells)
        assert (np.abs(found - depth) <= (bound + 1e-6) * depth).all()


def begin(**options):
    video = Video(**options)
    for _ in range(30):
        video.show(flat(2.0), textured())
    return video


def test_a_still_scene_is_averaged():
    assert begin().show(flat(2.1), textured()).mean() == pytest.approx(
        2.1 - 0.1 * KEEP, abs=1e-3)


def test_a_cut_is_followed_at_once():
    found = begin().show(flat(2.1), textured(seed=1))
    np.testing.assert_array_equal(found, flat(2.1))


def test_a_cut_resets_what_looks_the_same_too():
    cells = textured()
    cells[:20] = 100
    video = Video()
    for _ in range(30):
        video.show(flat(2.0), cells)
    other = textured(seed=1)
    other[:20] = 100
    np.testing.assert_array_equal(video.show(flat(2.1), other), flat(2.1))


@pytest.mark.parametrize('jump', [1.1, 3600.0, -0.5])
def test_a_stamp_that_jumps_begins_anew(jump):
    video = begin()
    video.seconds += jump
    np.testing.assert_array_equal(video.show(flat(2.1), textured()), flat(2.1))


def test_another_camera_begins_anew():
    video = begin(camera='wide')
    assert not (video.show(flat(2.1), textured()) == 2.1).any()
    np.testing.assert_array_equal(video.show(flat(2.1), textured(), camera='tele'), flat(2.1))


def test_another_size_begins_anew():
    video = begin()
    cells = textured()[:24]
    found = video.show(np.full((24, 64), 2.1), cells)
    np.testing.assert_array_equal(found, np.full((24, 64), np.float32(2.1)))


def test_forgetting_begins_anew():
    video = begin()
    video.filter.forget()
    np.testing.assert_array_equal(video.show(flat(2.1), textured()), flat(2.1))


def test_depth_is_missing_where_the_frame_has_none_and_nowhere_else():
    video, cells = Video(), textured()
    hole = np.zeros(SIZE, bool)
    hole[5:10, 5:10] = True
    for step in range(6):
        depth = flat(2.0 + 0.01 * step)
        depth[hole if step % 2 else np.roll(hole, 20, 1)] = np.nan
        found = video.show(depth, cells)
        np.testing.assert_array_equal(np.isnan(found), np.isnan(depth))
    # A cell that was a hole begins with the first value after it, others have a past.
    found = video.show(flat(2.1), cells)
    np.testing.assert_array_equal(found[hole], np.float32(2.1))
    assert (found[~hole] < 2.1).all()


def test_networks_with_one_output():
    video, cells = Video(), textured()
    logits = np.random.default_rng(0).standard_normal((1, *SIZE, 5)).astype(np.float32)
    for _ in range(3):
        found = video.maps(ArrayMaps(semantics=logits), cells)
    assert found.depth is None
    np.testing.assert_allclose(found.semantics, logits, atol=1e-6)


def test_the_maps_that_are_given_stay_as_they_are():
    video, cells = Video(), textured()
    first, second = maps_of(flat(2.0)), maps_of(flat(2.1))
    kept = video.maps(first, cells)
    video.maps(second, cells)
    assert (first.depth == 2.0).all() and (kept.depth == 2.0).all()
    assert (second.depth == np.float32(2.1)).all()
