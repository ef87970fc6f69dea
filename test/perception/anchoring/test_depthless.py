# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Windows, mirrors and sky have no depth; depth out of range follows the rule."""

from jrn_perception.labels import KITTI6, NYU40
from jrn_perception.perception.anchoring import depthless_ids, DepthlessRule, without_depth
import numpy as np
import pytest

DEPTH = np.array([[0.2, 1, 2, 20, np.nan]], np.float32)
LABELS = np.array([[0, 0, 3, 0, 0]], np.uint8)
NAN, INF = np.nan, np.inf


@pytest.mark.parametrize(('value', 'out_of_range', 'expected'), [
    ('nan', 'nan', (NAN, 1, NAN, NAN, NAN)),
    ('inf', 'nan', (NAN, 1, INF, NAN, NAN)),
    ('cap', 'rep117', (-INF, 1, 10, INF, NAN))])
def test_depth_that_is_not_known_becomes_as_the_rule_says(value, out_of_range, expected):
    found = without_depth(DEPTH, LABELS, (0.5, 10), DepthlessRule((3,), value, out_of_range))
    np.testing.assert_array_equal(found, np.array([expected], np.float32))
    assert found.dtype == np.float32


def test_without_semantics_no_pixel_is_of_a_class():
    found = without_depth(DEPTH, None, (0.5, 10), DepthlessRule((3,)))
    np.testing.assert_array_equal(found, np.array([[NAN, 1, 2, NAN, NAN]], np.float32))


def test_the_classes_are_found_by_name_in_each_label_set():
    assert [NYU40.names[index] for index in depthless_ids(NYU40.names)] == ['window', 'mirror']
    assert [KITTI6.names[index] for index in depthless_ids(KITTI6.names)] == [
        'sky']
    assert depthless_ids(NYU40.names, ['window']) == (8,)


def test_another_choice_is_refused():
    with pytest.raises(ValueError, match='choose from nan, inf, cap'):
        DepthlessRule(value='zero')
    with pytest.raises(ValueError, match='choose from nan, rep117'):
        DepthlessRule(out_of_range='inf')
