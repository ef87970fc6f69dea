# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Fixed shares of the labels of NYU-Depth v2's split ``fit``: names of frames, the same for everyone.

``nyuv2_fractions.json`` lists the names by fraction. Each list is part of the next larger one. The
shares are those of Hoyer et al., CVPR 2021, for Cityscapes; that the paper of arXiv:2206.10562
uses the same shares is inferred.
"""

from __future__ import annotations

from collections.abc import Sequence
import json
from pathlib import Path

import numpy as np

LISTS = Path(__file__).with_name('nyuv2_fractions.json')
FRACTIONS = ('1/30', '1/8', '1/4', '1/2')
SEED = 0


def labelled_names(fraction: str) -> list[str]:
    """Return the names of the frames that keep their labels; ValueError lists the fractions."""
    if fraction not in FRACTIONS:
        raise ValueError(f'fraction {fraction!r}: choose from {", ".join(FRACTIONS)}')
    return json.loads(LISTS.read_text())[fraction]


def draw(names: Sequence[str]) -> dict[str, list[str]]:
    """
    Return lists for all fractions, drawn from ``names`` with a fixed seed, each list sorted.

    The names of NYU-Depth v2 are sorted by scene. Each list takes its share of every run of
    neighbouring frames, so that it shows as many kinds of rooms as possible.
    """
    rng = np.random.default_rng(SEED)
    # A random start, then steps of the golden ratio: every beginning is spread evenly.
    places = (rng.random() + np.arange(len(names)) * (5 ** 0.5 - 1) / 2) % 1
    order = []
    left = np.ones(len(names), bool)
    for place in (places * len(names)).astype(int):
        free = np.flatnonzero(left)
        index = free[np.abs(free - place).argmin()]
        left[index] = False
        order.append(names[index])
    return {fraction: sorted(order[:round(len(names) / int(fraction[2:]))])
            for fraction in FRACTIONS}
