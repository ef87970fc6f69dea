# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The plots of Fig. 7 exist, are pictures, and show what is in the document."""

import cv2
from jrn_perception.evaluation.measures import paper
from jrn_perception.evaluation.reports.plots import PANELS, plot, upper_bound
import numpy as np
import pytest


def found(value, radius=0.1):
    return {'value': value, 'interval': [value - radius, value + radius]}


def document(shift=0.):
    """Return an influence document with the paper's own numbers, moved by ``shift``."""
    return {'source': {'reader': 'scenes', 'frames': 3}, 'variants': {
        name: {'computation': 'coupled' if name in paper.COUPLED else 'loose',
               'mean_iou': found(row.mean_iou), 'minus_rel_sqr': found(row.minus_rel_sqr),
               'depth_to_semantics': {'zero': {'total': found(row.depth_to_semantics + shift)}},
               'semantics_to_depth': {'zero': {'total': found(row.semantics_to_depth + shift)}}}
        for name, row in paper.FIGURE_7.items()}}


@pytest.mark.parametrize('direction', [panel[0] for panel in PANELS])
def test_a_plot_is_a_picture_that_follows_the_numbers(tmp_path, direction):
    pytest.importorskip('matplotlib')
    files = [tmp_path / 'new' / f'{name}.png' for name in 'abc']
    for path, shift in zip(files, (0., 0., 0.5)):
        plot(document(shift), direction, path)
    pictures = [cv2.imread(str(path)).astype(int) for path in files]
    assert pictures[0].shape[0] > 400
    np.testing.assert_array_equal(files[0].read_bytes(), files[1].read_bytes())
    assert (pictures[0] != pictures[2]).any()
    blue, green, red = np.moveaxis(pictures[0], -1, 0)
    assert ((red > 180) & (green < 80) & (blue < 80)).sum() > 50  # loose
    assert ((green > 130) & (red < 80) & (blue < 80)).sum() > 50  # coupled


def test_a_plot_of_one_variant(tmp_path):
    pytest.importorskip('matplotlib')
    one = document()
    one['variants'] = {'sum60': one['variants']['sum60']}
    plot(one, 'depth_to_semantics', tmp_path / 'one.png')
    assert cv2.imread(str(tmp_path / 'one.png')) is not None


def test_the_bound_is_concave_and_above_all_points():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=30), rng.normal(size=30)
    bound = upper_bound(x, y)
    assert (np.interp(x, *bound.T) >= y - 1e-12).all()
    slopes = np.diff(bound[:, 1]) / np.diff(bound[:, 0])
    assert (np.diff(slopes) < 0).all()
    assert {tuple(point) for point in bound} <= set(zip(x, y))


def test_the_bound_by_hand():
    x, y = np.array([0., 1, 2, 1, 0]), np.array([0., 2, 1, 0, -1])
    np.testing.assert_array_equal(upper_bound(x, y), ((0, 0), (1, 2), (2, 1)))
    np.testing.assert_array_equal(upper_bound(x[:1], y[:1]), ((0, 0),))
    # In the left panel of Fig. 7 the bound has its peak, the equilibrium of Fig. 8, at Cat60.
    rows = paper.FIGURE_7
    bound = upper_bound(np.array([row.depth_to_semantics for row in rows.values()]),
                        np.array([row.mean_iou for row in rows.values()]))
    assert tuple(bound[bound[:, 1].argmax()]) == (0.94, 54.206)
