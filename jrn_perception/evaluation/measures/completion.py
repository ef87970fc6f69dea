# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""How well depth is completed where a sensor measured nothing, beside two simple methods."""

from __future__ import annotations

from dataclasses import dataclass, field
import math

import cv2
from jrn_perception.evaluation.measures.bootstrap import (
    Estimate,
    estimate,
    gains,
    pooled,
    resamplings,
)
from jrn_perception.evaluation.measures.metrics import Crop, Table, Truth
from jrn_perception.frame import Frame
from jrn_perception.perception import Prediction
from jrn_perception.perception.inputs.measured import nearest
import numpy as np

# The network's depth times a smooth field of ratios, which is what the JRN is given, and the
# nearest measured pixel.
SMOOTH, NEAREST = 'smooth field of ratios', 'nearest neighbour'
METRICS = ('rms', 'rel')


@dataclass
class Completion:
    """
    The errors in the holes of all images: of the ``output``, and of each of the ``baselines``.

    Pixels count inside ``crop`` and up to ``max_depth`` metres. An image counts if something was
    measured in it; its holes are the pixels with true depth that were not.
    """

    crop: Crop | None = None
    max_depth: float = math.inf
    output: Table = field(default_factory=lambda: Table(0))
    baselines: dict[str, Table] = field(
        default_factory=lambda: {name: Table(0) for name in (SMOOTH, NEAREST)})

    def add(self, frame: Frame, prediction: Prediction, clamp: tuple[float, float]) -> None:
        """Append an image; nothing happens for an image without measured or true depth."""
        measured, true = frame.measured, frame.depth
        if measured is None or true is None or not np.isfinite(measured).any():
            return
        size = true.shape
        known = np.where(measured > 0, measured, np.float32(np.nan))
        if known.shape != size:
            known = cv2.resize(known, size[::-1], interpolation=cv2.INTER_NEAREST)
        holes = np.where(np.isfinite(known), np.float32(np.nan), true)
        if not np.isfinite(holes).any():
            return
        truth = Truth(size, holes, None, 0, self.crop, self.max_depth)
        assert prediction.inputs is not None
        for table, depth in ((self.output, prediction.depth),
                             (self.baselines[SMOOTH], prediction.inputs.depth),
                             (self.baselines[NEAREST], nearest(known))):
            table.add(frame.name, truth, np.clip(depth, *clamp), None)

    def summary(self) -> dict[str, dict[str, Estimate]]:
        """Return each method's metrics, and output minus baseline with paired intervals."""
        if not len(self.output):
            return {}
        drawings = resamplings(len(self.output))
        found = {name: {metric: estimate(pooled(table, metric), drawings) for metric in METRICS}
                 for name, table in (('output', self.output), *self.baselines.items())}
        for name, table in self.baselines.items():
            gain = gains(self.output, table)
            found[f'output minus {name}'] = {metric: gain[metric] for metric in METRICS}
        return found
