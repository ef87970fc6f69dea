# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Predictions as pictures: exact pixels where there is a right one."""

import cv2
from jrn_perception import drawing
from jrn_perception.labels import LABEL_SETS
from jrn_perception.networks.interface import Maps
from jrn_perception.perception import Prediction
from jrn_perception.perception.backends.torch import to_arrays
import numpy as np
import pytest
import torch

KITTI6, NYU5, NYU40 = (LABEL_SETS[name] for name in ('kitti6', 'nyu5', 'nyu40'))


def scene(height=48, width=64, label_set=NYU5, depth=True, semantics=True):
    """Return a picture, and a prediction of left to right depths and upright stripes of class."""
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (height, width, 3), np.uint8)
    maps = Maps()
    if depth:
        maps = maps._replace(depth=torch.linspace(1, 4, width).expand(1, 1, height, width))
    if semantics:
        ids = torch.arange(width) * len(label_set) // width
        logits = 9.0 * torch.nn.functional.one_hot(ids, len(label_set)).T[None, :, None]
        maps = maps._replace(semantics=logits.expand(1, -1, height, width))
    return rgb, Prediction(to_arrays(maps), (height, width), label_set if semantics else None)


@pytest.mark.parametrize('name', drawing.COLORMAPS)
def test_depth_runs_through_the_colour_map(name):
    depth = np.linspace(2, 6, 256, dtype=np.float32)[None]
    rgb = drawing.colourise_depth(depth, 2, 6, name)
    assert rgb.dtype == np.uint8
    ramp = np.arange(256, dtype=np.uint8)[None]
    expected = cv2.applyColorMap(ramp, drawing.COLORMAPS[name])[..., ::-1]
    # 255 steps instead of 256: a neighbouring colour at most.
    assert np.abs(rgb.astype(int) - expected).max() < 12
    np.testing.assert_array_equal(rgb[0, [0, -1]], expected[0, [0, -1]])


def test_depth_beyond_the_range_and_invalid_depth():
    depth = np.array([[1, 2, 6, 7, 1e30, np.nan, np.inf, -np.inf, -1]], np.float32)
    rgb = drawing.colourise_depth(depth, 2, 6)[0]
    first, last = rgb[1], rgb[2]
    assert (first != last).any()
    for index, expected in enumerate([first, first, last, last, last, 0 * first, 0 * first,
                                      0 * first, first]):
        np.testing.assert_array_equal(rgb[index], expected)
    with pytest.raises(ValueError, match="unknown colour map 'grey': choose from turbo, "):
        drawing.colourise_depth(depth, 2, 6, 'grey')
    with pytest.raises(ValueError, match='depth from 6 to 6 m'):
        drawing.colourise_depth(depth, 6, 6)


def test_labels_get_their_colours():
    labels = np.array([[0, 1, 4, 5, 254, 255]], np.uint8)
    np.testing.assert_array_equal(drawing.colourise_labels(labels, NYU5), NYU5.palette()[labels])


@pytest.mark.parametrize('alpha', [0, 0.25, 1])
def test_overlay(alpha):
    rgb = np.random.default_rng(1).integers(0, 256, (1, 7, 3), np.uint8)
    before = rgb.copy()
    labels = np.array([[0, 1, 2, 5, 6, 254, 255]], np.uint8)
    mixed = drawing.overlay(rgb, labels, KITTI6, alpha)
    expected = (1 - alpha) * rgb[:, :4] + alpha * KITTI6.palette()[labels[:, :4]]
    assert np.abs(mixed[:, :4] - expected).max() <= 0.5
    np.testing.assert_array_equal(mixed[:, 4:], rgb[:, 4:])
    np.testing.assert_array_equal(rgb, before)


@pytest.mark.parametrize('alpha', [-0.1, 1.1, float('nan')])
def test_overlay_refuses_other_shares(alpha):
    with pytest.raises(ValueError, match='choose from 0'):
        drawing.overlay(np.zeros((1, 1, 3), np.uint8), np.zeros((1, 1), np.uint8), NYU5, alpha)


def boxes(strip, colour):
    """Return the places (y, x) of the swatches of a colour."""
    mask = (strip == colour).all(-1).astype(np.uint8)
    statistics = cv2.connectedComponentsWithStats(mask)[2]
    return [tuple(row[[1, 0]]) for row in statistics[1:] if row[4] >= 100]


def test_legend_lists_what_occurs_by_size():
    labels = np.full((10, 10), 255, np.uint8)
    labels[:2], labels[2:8] = 3, 1
    strip = drawing.legend(labels, NYU5, 700)
    assert strip.shape == (22, 700, 3)
    (_, first), = boxes(strip, NYU5.colours[1])
    (_, second), = boxes(strip, NYU5.colours[3])
    assert first < second
    for absent in (0, 2, 4):
        assert not boxes(strip, NYU5.colours[absent])
    assert drawing.legend(labels, NYU5, 100).shape == (44, 100, 3)
    assert drawing.legend(np.full((2, 2), 255, np.uint8), NYU5, 100).shape == (22, 100, 3)


def test_legend_counts_what_does_not_fit():
    labels = np.arange(40, dtype=np.uint8).repeat(3)[None]
    strip = drawing.legend(labels, NYU40, 600, rows=2)
    fields = 2 * (600 // drawing._legend_column(NYU40, 22))
    drawn = sum(bool(boxes(strip, colour)) for colour in NYU40.colours)
    assert drawn == fields - 1
    whole = drawing.legend(labels, NYU40, 600)
    assert sum(bool(boxes(whole, colour)) for colour in NYU40.colours) == 40


def test_scale_shows_the_colours_of_the_depths():
    strip = drawing.depth_scale(1, 3, 644)
    np.testing.assert_array_equal(
        strip[0, [22, -23]], drawing.colourise_depth(np.array([[1, 3]], np.float32), 1, 3)[0])
    # A tick at each half metre, below the bar.
    ticks, = np.nonzero((strip[12] == drawing.INK).all(-1))
    assert len(ticks) == 5
    np.testing.assert_allclose(np.diff(ticks), 150, atol=1)


@pytest.mark.parametrize('depth, expected', [
    (np.linspace(1.2, 3.7, 1000), (1, 4)), (np.full(9, 2.0), (2, 2.5)),
    (np.array([np.nan, 1.4]), (1, 1.5)), (np.full(9, np.nan), (0, 10))])
def test_limits_hold_the_depths(depth, expected):
    assert drawing.depth_limits(depth) == expected


def test_the_sheet_holds_picture_depth_classes_and_both():
    rgb, prediction = scene(320, 480)
    sheet = drawing.panel(rgb, prediction, limits=(0, 5), colormap='viridis', alpha=0.3)
    parts = [rgb, drawing.colourise_depth(prediction.depth, 0, 5, 'viridis'),
             drawing.colourise_labels(prediction.labels, NYU5),
             drawing.overlay(rgb, prediction.labels, NYU5, 0.3)]
    places = []
    for part in parts:
        distance = cv2.matchTemplate(sheet, part, cv2.TM_SQDIFF)
        lowest, _, place, _ = cv2.minMaxLoc(distance)
        assert np.array_equal(sheet[place[1]:place[1] + 320, place[0]:place[0] + 480], part)
        places.append(place)
    picture, depth, semantics, both = places
    assert picture[1] == depth[1] < semantics[1] == both[1]
    assert picture[0] == semantics[0] < depth[0] == both[0]
    wide = drawing.panel(rgb, prediction, columns=4)
    assert wide.shape[1] > 4 * 480 > sheet.shape[1] > 2 * 480
    with pytest.raises(ValueError, match='2 or 4 columns, not 3'):
        drawing.panel(rgb, prediction, columns=3)


@pytest.mark.parametrize('size', [(31, 33), (48, 64), (479, 641), (720, 1280), (1, 1)])
@pytest.mark.parametrize('columns', [2, 4])
def test_sheets_of_a_video_have_one_even_size(size, columns):
    rgb, prediction = scene(*size, label_set=NYU40)
    sheet = drawing.panel(rgb, prediction, columns=columns)
    assert sheet.shape[0] % 2 == sheet.shape[1] % 2 == 0
    empty = Prediction(to_arrays(Maps(torch.full((1, 1, *size), torch.nan),
                                      torch.zeros(1, 40, *size))), size, NYU40)
    assert drawing.panel(rgb, empty, columns=columns).shape == sheet.shape


@pytest.mark.parametrize('absent', ['depth', 'semantics'])
def test_what_is_not_predicted_is_left_out(absent):
    rgb, whole = scene()
    rgb, part = scene(**{absent: False})
    assert drawing.panel(rgb, part).shape[0] < drawing.panel(rgb, whole).shape[0]


@pytest.mark.parametrize('size', [(1, 1), (1, 2), (2, 1)])
def test_the_smallest_pictures_have_an_overlay(size):
    rgb = np.full((*size, 3), 100, np.uint8)
    labelled = drawing.overlay(rgb, np.zeros(size, np.uint8), NYU5, 1.0)
    np.testing.assert_array_equal(labelled, np.broadcast_to(NYU5.colours[0], (*size, 3)))
    np.testing.assert_array_equal(drawing.overlay(rgb, np.full(size, 255, np.uint8), NYU5), rgb)


def test_signed_values_are_blue_white_and_red():
    values = np.array([[-2, -1, -0.5, 0, 0.5, 1, np.nan]], np.float32)
    assert drawing.colourise_signed(values, 1.0).tolist() == [[
        [0, 0, 255], [0, 0, 255], [128, 128, 255], [255, 255, 255], [255, 128, 128],
        [255, 0, 0], [0, 0, 0]]]
    with pytest.raises(ValueError, match='largest 0'):
        drawing.colourise_signed(values, 0)


def test_normals_have_the_colours_of_their_axes():
    normals = np.array([[[1, 0, 0], [0, 1, 0], [0, 0, -1], [np.nan] * 3]], np.float32)
    assert drawing.colourise_normals(normals).tolist() == [[
        [255, 128, 128], [128, 255, 128], [128, 128, 255], [0, 0, 0]]]
