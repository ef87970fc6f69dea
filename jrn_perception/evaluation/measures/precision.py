# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The accuracy that a network loses in a lower precision, and how much of it may be lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import math

from jrn_perception.evaluation.measures.bootstrap import pooled
from jrn_perception.evaluation.measures.comparison import evaluate, Protocol
from jrn_perception.frame import Frame
from jrn_perception.perception import Perception
from jrn_perception.perception.stream import Track, untracked
import numpy as np

# Points of mean IoU, and the share of the rms error of depth.
MEAN_IOU_LIMIT = 0.2
RMS_LIMIT = 0.01


@dataclass(frozen=True)
class Accuracy:
    """The mean IoU in percent and the rms error of depth in metres; NaN if it is not known."""

    mean_iou: float
    rms: float

    def fact(self) -> dict[str, float]:
        """Return the entry of a card."""
        return {name: round(value, 4) for name, value in vars(self).items()
                if math.isfinite(value)}

    def loss_from(self, before: Accuracy) -> str:
        """Return in one line which limit is exceeded on the way from ``before``, '' if none is."""
        lost, grown = before.mean_iou - self.mean_iou, self.rms / before.rms - 1
        # A NaN passes no limit, but a network without depth or without labels has no such limit.
        if math.isfinite(before.mean_iou) and not lost <= MEAN_IOU_LIMIT:
            return (f'mean IoU falls from {before.mean_iou:.2f} to {self.mean_iou:.2f} %, allowed '
                    f'are {MEAN_IOU_LIMIT:g} points')
        if math.isfinite(before.rms) and not grown <= RMS_LIMIT:
            return (f'rms of depth grows from {before.rms:.4f} to {self.rms:.4f} m, allowed are '
                    f'{100 * RMS_LIMIT:g} %')
        return ''


def measure(perception: Perception, frames: Sequence[Frame], protocol: Protocol,
            track: Track = untracked) -> Accuracy:
    """Return the accuracy on all pixels of ``frames``; ValueError if nothing can be compared."""
    table = evaluate(perception, frames, protocol, track=track).output
    once = np.ones((1, len(table)))
    return Accuracy(*(float(pooled(table, name)(once)[0]) for name in ('mean_iou', 'rms')))
