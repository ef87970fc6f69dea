# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The interface of all runtimes: arrays in, arrays out. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

PRECISIONS = ('auto', 'fp32', 'fp16', 'bf16')


@dataclass(frozen=True)
class SetUp:
    """
    How a JRN runs: one of the three set-ups of the influence test (paper, Sec. III-D, Fig. 4).

    ``mute`` names the input that is replaced: none, depth or semantics; ``mute_value`` the
    replacement: zero, mean or noise. With ``influence`` the maps also tell how far muting each
    modality moves the other modality's output.
    """

    mute: str = 'none'
    mute_value: str = 'zero'
    influence: bool = False


@dataclass(frozen=True)
class InfluenceMaps:
    """``networks.interface.Influence`` as arrays: ``depth`` and ``semantics`` (B, h, w)."""

    depth: np.ndarray
    semantics: np.ndarray


@dataclass(frozen=True)
class ArrayMaps:
    """
    The dense outputs of a network for a batch, float32, at the network's own output resolution.

    ``depth`` is (B, h, w), metres along the optical axis. ``semantics`` is (B, h, w, K), logits
    over the K classes. ``normals`` is (B, h, w, 3). An output that the network does not have is
    None. ``inputs`` are the maps that a refinement network was given, ``influence`` how far each
    modality moves the other's output, where the set-up asked for it. ``validity`` (B, h, w), 0..1,
    of a JRN's inputs is the part of each pixel whose depth a sensor measured, None without one.
    """

    depth: np.ndarray | None = None
    semantics: np.ndarray | None = None
    normals: np.ndarray | None = None
    inputs: ArrayMaps | None = None
    influence: InfluenceMaps | None = None
    validity: np.ndarray | None = None

    def at(self, index: int) -> ArrayMaps:
        """Return the maps of one picture, a batch of one; no value is copied."""
        def one(array: np.ndarray | None) -> np.ndarray | None:
            return None if array is None else array[index:index + 1]

        return ArrayMaps(
            one(self.depth), one(self.semantics), one(self.normals),
            None if self.inputs is None else self.inputs.at(index),
            None if self.influence is None else InfluenceMaps(
                self.influence.depth[index:index + 1], self.influence.semantics[index:index + 1]),
            one(self.validity))


def join(maps: Sequence[ArrayMaps | None]) -> ArrayMaps | None:
    """Return the inputs of several pictures as one batch; None if they have none."""
    given = [one for one in maps if one is not None]
    if not given:
        return None

    def all_of(name: str) -> np.ndarray | None:
        arrays = [getattr(one, name) for one in given]
        return None if arrays[0] is None else np.concatenate(arrays)

    return ArrayMaps(all_of('depth'), all_of('semantics'), validity=all_of('validity'))


class Backend(Protocol):
    """
    A network that is ready to run in some runtime.

    ``name`` and ``version`` are those of the runtime. ``device`` and ``precision`` name where and
    how it computes, for logs and diagnostics. ``can_mute`` tells whether the network has
    modalities at its input, as a JRN has.
    """

    name: str
    version: str
    device: Any
    precision: str
    can_mute: bool

    def run(self, pictures: np.ndarray, set_up: SetUp, inputs: ArrayMaps | None = None
            ) -> ArrayMaps:
        """
        Return the maps of uint8 RGB ``pictures`` (B, h, w, 3), which have the network's size.

        ``inputs``, for a JRN: the ``inputs`` of its maps for the same pictures, so that the
        single-task networks need not run again.
        """

    def memory_mb(self) -> float:
        """Return the megabytes that are held on a GPU; 0 on a CPU."""
