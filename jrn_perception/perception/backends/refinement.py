# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
A JRN's set-ups in numpy, for runtimes that hold only the graph of the refinement.

The values are those of ``networks.jrn``: muting replaces the refinement's inputs, so that the same
graph serves all set-ups, and influence compares the maps of all set-ups.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from jrn_perception.networks.interface import MUTE, MUTE_VALUES
from jrn_perception.perception.backends.interface import ArrayMaps, InfluenceMaps, SetUp
import numpy as np

# (depth (B, h, w), probabilities (B, h, w, K)) -> refined maps.
Refine = Callable[[np.ndarray, np.ndarray], ArrayMaps]
# Normal numbers are made in groups of so many uniform ones.
_GROUP = 16


@dataclass(frozen=True)
class Statistics:
    """The training set's mean and spread of depth, in metres, and mean class probabilities."""

    depth_mean: float
    depth_std: float
    class_mean: tuple[float, ...]

    @classmethod
    def from_json(cls, entries: Mapping[str, Any]) -> Statistics:
        return cls(entries['depth_mean'], entries['depth_std'], tuple(entries['class_mean']))


def run_refinement(refine: Refine, inputs: ArrayMaps, set_up: SetUp, statistics: Statistics
                   ) -> ArrayMaps:
    """Return the refined maps of unrefined ``inputs``; ValueError for an unknown set-up."""
    assert inputs.depth is not None and inputs.semantics is not None
    given = inputs.depth, np.exp(inputs.semantics)
    if not set_up.influence:
        maps = refine(*muted(*given, set_up, statistics))
        return ArrayMaps(maps.depth, maps.semantics, inputs=inputs)
    # All set-ups of Fig. 4 as one batch.
    chosen = muted(*given, set_up, statistics) and MUTE.index(set_up.mute)
    pairs = [muted(*given, SetUp(mute, set_up.mute_value), statistics) for mute in MUTE]
    depth, semantics = (np.concatenate(arrays) for arrays in zip(*pairs))
    maps = refine(depth, semantics)
    assert maps.depth is not None and maps.semantics is not None
    depths, logits = np.split(maps.depth, len(MUTE)), np.split(maps.semantics, len(MUTE))
    both, without_depth, without_semantics = range(len(MUTE))
    decided = logits[both].argmax(3)[..., None]
    probability = [np.take_along_axis(_softmax(logits[index]), decided, 3)[..., 0]
                   for index in (both, without_depth)]
    return ArrayMaps(depths[chosen], logits[chosen], inputs=inputs, influence=InfluenceMaps(
        depths[both] - depths[without_semantics], probability[0] - probability[1]))


def muted(depth: np.ndarray, probabilities: np.ndarray, set_up: SetUp, statistics: Statistics
          ) -> tuple[np.ndarray, np.ndarray]:
    """Return both inputs after replacing the input that ``set_up`` mutes; ValueError."""
    mute, value = set_up.mute, set_up.mute_value
    if mute not in MUTE:
        raise ValueError(f'mute {mute!r}: choose from {", ".join(MUTE)}')
    if value not in MUTE_VALUES:
        raise ValueError(f'mute_value {value!r}: choose from {", ".join(MUTE_VALUES)}')
    if mute == 'depth':
        depth = _replace_depth(depth, value, statistics)
    elif mute == 'semantics':
        probabilities = _replace_semantics(probabilities, value, statistics)
    return depth, probabilities


def _replace_depth(depth: np.ndarray, value: str, statistics: Statistics) -> np.ndarray:
    if value == 'zero':
        return np.zeros_like(depth)
    mean = np.float32(statistics.depth_mean)
    if value == 'mean':
        return np.full_like(depth, mean)
    noisy = mean + np.float32(statistics.depth_std) * noise(depth.shape)
    return np.maximum(noisy, np.float32(0))


def _replace_semantics(probabilities: np.ndarray, value: str, statistics: Statistics
                       ) -> np.ndarray:
    if value == 'zero':
        return np.zeros_like(probabilities)
    if value == 'mean':
        mean = np.asarray(statistics.class_mean, np.float32)
        return np.broadcast_to(mean, probabilities.shape).copy()
    batch, rows, columns, classes = probabilities.shape
    return _softmax(noise((batch, classes, rows, columns)).transpose(0, 2, 3, 1))


def noise(shape: tuple[int, ...]) -> np.ndarray:
    """
    Return the normal noise that torch draws on a CPU with seed 0, for at least 16 numbers.

    Torch takes 24 bits of each number of the Mersenne Twister, and makes two normal numbers of
    each two uniform ones that are eight apart (Box and Muller, 1958).
    """
    count = int(np.prod(shape))
    twister = np.random.RandomState(0)
    values = _uniform(twister, count)
    whole = count - count % _GROUP
    values[:whole] = _normal(values[:whole])
    if whole < count:
        # Torch draws the last group again, so that it is whole.
        values[-_GROUP:] = _normal(_uniform(twister, _GROUP))
    return values.reshape(shape)


def _uniform(twister: np.random.RandomState, count: int) -> np.ndarray:
    bits = twister.randint(0, 2 ** 32, count, dtype=np.uint32) & np.uint32(2 ** 24 - 1)
    return bits.astype(np.float32) * np.float32(2 ** -24)


def _normal(uniform: np.ndarray) -> np.ndarray:
    first, second = uniform.reshape(-1, 2, _GROUP // 2).swapaxes(0, 1)
    radius, angle = np.sqrt(-2 * np.log(1 - first)), np.float32(2 * np.pi) * second
    return np.stack((radius * np.cos(angle), radius * np.sin(angle)), 1).ravel()


def _softmax(logits: np.ndarray) -> np.ndarray:
    exponentials = np.exp(logits - logits.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)
