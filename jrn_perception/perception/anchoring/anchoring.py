# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The correction of predicted depth by anchors, over time, for one camera."""

from __future__ import annotations

from dataclasses import dataclass

from jrn_perception.perception.anchoring.anchors import Anchors
import numpy as np


@dataclass(frozen=True)
class AnchoringSettings:
    """
    How anchors correct depth.

    ``time_constant`` (s): how slowly scale and shift follow small changes; 0: at once.
    ``memory`` (s): without points, the correction decays to none within this time.
    ``mode``: the richest correction that may be used: scale, scale_shift or field.
    """

    time_constant: float = 0.5
    memory: float = 2.0
    mode: str = 'field'


@dataclass(frozen=True)
class Report:
    """
    What the last picture's anchors have done.

    ``mode`` is none, scale, scale_shift or field; ``scale`` the median factor on the depth.
    """

    used: int = 0
    rejected: int = 0
    mode: str = 'none'
    scale: float = 1.0


class Anchoring:
    """The anchoring of one camera, which keeps its state over time."""

    def __init__(self, settings: AnchoringSettings = AnchoringSettings()):
        self.settings = settings
        self.last = Report()

    def __call__(self, depth: np.ndarray, labels: np.ndarray | None, anchors: Anchors,
                 seconds: float) -> np.ndarray:
        """
        Return ``depth`` (H, W), metres, corrected by ``anchors``, float32 (H, W).

        ``labels`` (H, W) are class ids that keep the correction of an object on the object, None
        without semantics. ``seconds`` is the picture's stamp; a stamp before the last one starts
        anew.
        """
        raise NotImplementedError
