# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
The numbers of the JRN paper (arXiv:1702.08009): NYU-Depth v2, 654 test images, five classes.

Table I and Table III disagree on Sum60. Table I prints mean IoU 54.184 and pixel accuracy 72.967,
Table III prints 54.267 (the mean of its five classes) and 73.035. Both tables are kept as printed;
comparisons of variants use Table I, which has all five variants.
"""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """A row of Table I; IoU and accuracy in percent, the errors as in ``DepthMetrics``."""

    rel: float
    rel_sqr: float
    log10: float
    rms: float
    rms_log: float
    delta1: float
    delta2: float
    delta3: float
    mean_iou: float
    pixel_accuracy: float


class Influence(NamedTuple):
    """
    A row of the table in Fig. 7 and the heights of its points.

    ``depth_to_semantics`` is in points of mean IoU, ``semantics_to_depth`` in rel(sqr) * 100.
    ``minus_rel_sqr`` is read off the axis of Fig. 7; the heights are assigned to the variants by
    the order of the variants in Table I.
    """

    depth_to_semantics: float
    semantics_to_depth: float
    mean_iou: float
    minus_rel_sqr: float


class SegmentationRow(NamedTuple):
    """A row of Table III in percent; ``iou`` in the class order of the label set nyu5."""

    iou: tuple[float, float, float, float, float]
    mean_iou: float
    pixel_accuracy: float


TABLE_1 = {
    'input': Row(.158, .125, .070, .687, .221, .751, .946, .987, 53.284, 72.268),
    'cat60': Row(.158, .124, .0686, .678, .218, .760, .947, .987, 54.206, 72.957),
    'sum60': Row(.157, .123, .068, .673, .216, .762, .948, .988, 54.184, 72.967),
    'cat10': Row(.158, .125, .069, .681, .219, .756, .946, .987, 54.080, 72.953),
    'cat5': Row(.160, .125, .068, .670, .218, .762, .946, .986, 54.120, 72.952),
    'cat1': Row(.161, .126, .069, .669, .219, .759, .946, .987, 53.989, 72.864),
}

TABLE_3 = {
    'input': SegmentationRow((66.578, 67.354, 46.351, 35.71, 50.429), 53.284, 72.268),
    'sum60': SegmentationRow((67.87, 68.707, 48.166, 35.82, 50.770), 54.267, 73.035),
}

FIGURE_7 = {
    'cat60': Influence(0.94, 4.9, 54.206, -12.44),
    'cat10': Influence(0.39, 4.93, 54.080, -12.54),
    'cat5': Influence(0.10, -0.24, 54.120, -12.58),
    'sum60': Influence(0.32, 1.11, 54.184, -12.37),
    'cat1': Influence(7.59, -0.40, 53.989, -12.66),
}

# Sec. III-B: coupled variants force a joint representation on the two modalities, loose variants
# keep separate channels for each.
COUPLED = ('sum60', 'cat5', 'cat1')
LOOSE = ('cat60', 'cat10')
