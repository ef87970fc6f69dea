# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Signs that recorded true depth was read wrongly: other units, or the other order of bytes."""

from __future__ import annotations

from typing import Any

from jrn_perception.messages.images import BadImage
from jrn_perception.messages.maps import DEPTH, to_depth
import numpy as np

# Judged by so many maps from the first.
MAPS = 20
# Neighbouring pixels differ so many times more in the wrong order of bytes.
ROUGHER = 8
SCALES = (0.001, 0.01, 0.1, 10, 100, 1000)


class DepthSigns:
    """Collects the signs from the first maps of a topic; threads may add maps."""

    def __init__(self):
        self._medians: list[float] = []
        self._swapped: list[bool] = []

    def add(self, msg: Any, depth: np.ndarray) -> None:
        """Take a message and its depth, (H, W) metres, NaN = invalid."""
        if len(self._medians) < MAPS and np.isfinite(depth).any():
            self._swapped.append(is_swapped(msg))
            self._medians.append(float(np.nanmedian(depth)))

    def notes(self, topic: str, limits: tuple[float, float]) -> list[str]:
        """Return what is odd about the depth of a topic; ``limits`` are plausible metres."""
        if not self._medians:
            return []
        if np.mean(self._swapped) > 0.5:
            return [f'{topic}: its is_bigendian seems wrong: depth is smooth in the other order '
                    'of bytes']
        median, (low, high) = float(np.median(self._medians)), limits
        if low <= median <= high:
            return []
        fitting = [scale for scale in SCALES if low <= median * scale <= high]
        # The middle of the range, on the scale of ratios.
        fitting.sort(key=lambda scale: abs(np.log(median * scale / np.sqrt(low * high))))
        cure = [f'--depth-scale {scale:g} makes it {median * scale:.3g} m'
                for scale in fitting[:1]]
        return [f'{topic}: the median of the true depth is {median:.4g} m, outside the {low:g} to '
                f'{high:g} m of the network: {"; ".join(["is it in other units?", *cure])}']


def is_swapped(msg: Any) -> bool:
    """Return whether a raw depth message looks like depth in the other order of bytes alone."""
    if getattr(msg, 'encoding', '') not in DEPTH:
        return False
    try:
        own = to_depth(msg)
        other = to_depth(_Swapped(msg))
    except BadImage:
        return False
    if DEPTH[msg.encoding] == np.float32:
        return _plausible(own) < 0.1 and _plausible(other) > 0.5
    # A constant map is smooth in either order.
    return _roughness(own) > ROUGHER * _roughness(other)


class _Swapped:
    """A message with the other order of bytes."""

    def __init__(self, msg: Any):
        self._msg = msg
        self.is_bigendian = not msg.is_bigendian

    def __getattr__(self, name: str) -> Any:
        return getattr(self._msg, name)


def _plausible(depth: np.ndarray) -> float:
    return float(np.mean((depth > 0.01) & (depth < 1e5)))


def _roughness(depth: np.ndarray) -> float:
    """Return the mean step between neighbouring valid pixels."""
    steps = np.abs(np.diff(depth, axis=1))
    return float(np.nanmean(steps)) if np.isfinite(steps).any() else 0.0
