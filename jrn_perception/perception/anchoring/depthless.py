# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The rule for depth that is not known: of windows, mirrors and sky, and out of range."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import math

import numpy as np

# Names of classes, in any label set: light comes from behind them, or from nowhere near.
DEPTHLESS_CLASSES = ('window', 'windowpane', 'mirror', 'sky')
VALUES = ('nan', 'inf', 'cap')
OUT_OF_RANGE = ('nan', 'rep117')


@dataclass(frozen=True)
class DepthlessRule:
    """
    What depth becomes where it is not known.

    ``classes`` are the class ids without depth. ``value`` is what their pixels get: nan, inf, or
    cap, the largest valid depth. ``out_of_range`` is what values outside the limits become: nan,
    or with rep117 +Inf beyond them and -Inf before them, as REP 117 asks. Raises ValueError for
    another choice.
    """

    classes: tuple[int, ...] = ()
    value: str = 'nan'
    out_of_range: str = 'nan'

    def __post_init__(self) -> None:
        if self.value not in VALUES:
            raise ValueError(f'depth of depthless classes {self.value!r}: choose from '
                             f'{", ".join(VALUES)}')
        if self.out_of_range not in OUT_OF_RANGE:
            raise ValueError(f'depth out of range {self.out_of_range!r}: choose from '
                             f'{", ".join(OUT_OF_RANGE)}')


def depthless_ids(names: Sequence[str], wanted: Sequence[str] = DEPTHLESS_CLASSES
                  ) -> tuple[int, ...]:
    """Return the ids of the ``wanted`` classes among the class ``names`` of a label set."""
    return tuple(index for index, name in enumerate(names) if name in wanted)


def without_depth(depth: np.ndarray, labels: np.ndarray | None, limits: tuple[float, float],
                  rule: DepthlessRule) -> np.ndarray:
    """
    Return ``depth`` (H, W), metres, as the rule wants it, float32.

    ``labels`` (H, W) are class ids, None without semantics: then no pixel is of a depthless class.
    ``limits`` (low, high) are the valid metres. NaN stays NaN.
    """
    low, high = limits
    far, near = (math.inf, -math.inf) if rule.out_of_range == 'rep117' else (math.nan, math.nan)
    found = np.where(depth > high, np.float32(far), depth).astype(np.float32, copy=False)
    found = np.where(depth < low, np.float32(near), found)
    if labels is not None and rule.classes:
        table = np.zeros(256, bool)
        table[list(rule.classes)] = True
        value = {'nan': math.nan, 'inf': math.inf, 'cap': high}[rule.value]
        found = np.where(table[labels], np.float32(value), found)
    return found
