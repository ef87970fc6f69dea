# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The sources of a perception: what a JRN is given in place of its own networks' predictions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
from jrn_perception.labels import LabelSet
from jrn_perception.perception.backends.exported import Device
from jrn_perception.perception.backends.interface import ArrayMaps, SetUp
from jrn_perception.perception.inputs.interface import (
    DepthSource,
    NETWORK,
    SemanticsSource,
    SENSOR,
    Sources,
)
from jrn_perception.perception.inputs.measured import complete, shrink
from jrn_perception.perception.inputs.models import depth_source, semantics_source
import numpy as np

# Maps have ceil(1/4) of the network's rows and columns, as those of the package's networks.
STRIDE = 4
# Metres of a warm-up, whose picture shows nothing.
SOMEWHERE = np.float32(2)


@dataclass(frozen=True)
class Seen:
    """
    One picture for the sources.

    ``rgb`` (H, W, 3) as the camera took it; ``picture`` (h, w, 3) as the network gets it.
    ``measured`` (H', W') metres, NaN or 0 in holes, in the units of the network (see
    ``Perception.depth_scale``); None without a measurement.
    """

    rgb: np.ndarray
    picture: np.ndarray
    measured: np.ndarray | None = None


class Inputs:
    """
    Depth and semantics from ``sources``, at least one of which is not the network.

    ``predict`` returns the maps of the JRN's own networks for pictures (B, h, w, 3), None where
    there are none (``external``).
    """

    def __init__(self, sources: Sources, label_set: LabelSet, device: str, threads: int,
                 predict: Callable[[np.ndarray], ArrayMaps] | None):
        self.sources, self._predict = sources, predict
        self.depth_model: DepthSource | None = None
        self.semantics_model: SemanticsSource | None = None
        if sources.depth not in (NETWORK, SENSOR):
            self.depth_model = depth_source(sources.depth, device, threads)
        if sources.semantics != NETWORK:
            self.semantics_model = semantics_source(sources.semantics, label_set, device, threads)

    @property
    def reads_measured(self) -> bool:
        """Return whether measured depth changes the result."""
        return self.sources.depth == SENSOR or self.needs_measured

    @property
    def needs_measured(self) -> bool:
        """Return whether there is no result without measured depth."""
        return self.depth_model is not None and self.depth_model.needs_measured

    def describe(self) -> dict[str, str]:
        """Return both sources as text: their name, and licence and digest of models."""
        return {task: str(model.origin) if model is not None else name for task, model, name in (
            ('depth', self.depth_model, self.sources.depth),
            ('semantics', self.semantics_model, self.sources.semantics))}

    def warnings(self) -> tuple[str, ...]:
        """Return what the user should know of the models."""
        found = []
        for model in (self.depth_model, self.semantics_model):
            if model is not None and not model.origin.licence:
                found.append(f'{model.origin.name}: its files state no licence; find out whether '
                             'you may use it')
        if self.semantics_model is not None and self.semantics_model.missing:
            found.append(f'{self.semantics_model.origin.name}: never predicts '
                         f'{", ".join(self.semantics_model.missing)}')
        return tuple(found)

    def maps(self, seen: Seen) -> ArrayMaps:
        """
        Return depth (1, h, w), log probabilities (1, h, w, K) and, with a sensor, validity.

        Raises Unmeasured for a picture without the measured depth that a model needs.
        """
        own = self._own(seen)
        maps = self._depth(seen, own)
        return replace(maps, semantics=self._semantics(seen, own))

    def depth_scale(self, size: tuple[int, int],
                    focal_length: tuple[float, float] | None) -> float:
        """Return the factor on a depth model's metres: see ``Perception.depth_scale``."""
        return 1.0 if self.depth_model is None else self.depth_model.scale(size, focal_length)

    def warm_up(self, picture: np.ndarray) -> ArrayMaps:
        """Return maps like those of a picture, also where there is no scale yet."""
        seen = Seen(picture, picture)
        if not self.needs_measured:
            return self.maps(seen)
        # A depth model has run once when it was loaded.
        return ArrayMaps(np.full((1, *_size(seen)), SOMEWHERE),
                         self._semantics(seen, self._own(seen)))

    def _own(self, seen: Seen) -> ArrayMaps:
        """Return the maps of the JRN's own networks if a source needs them."""
        if self._predict is None or None not in (self.depth_model, self.semantics_model):
            return ArrayMaps()
        return self._predict(seen.picture[None])

    def _depth(self, seen: Seen, own: ArrayMaps) -> ArrayMaps:
        if self.depth_model is not None:
            depth = self.depth_model.depth(seen.rgb, seen.measured)
            return ArrayMaps(resize_map(depth, _size(seen))[None])
        if self.sources.depth != SENSOR:
            return ArrayMaps(own.depth)
        assert own.depth is not None
        size = own.depth.shape[1:]
        measured = shrink(np.full(size, np.nan, np.float32) if seen.measured is None
                          else seen.measured, size)
        return ArrayMaps(complete(measured, own.depth[0])[None],
                         validity=measured.validity[None])

    def _semantics(self, seen: Seen, own: ArrayMaps) -> np.ndarray | None:
        if self.semantics_model is None:
            return own.semantics
        found = resize_map(self.semantics_model.probabilities(seen.rgb), _size(seen))
        return np.log(np.maximum(found, np.float32(1e-8)))[None]


def _size(seen: Seen) -> tuple[int, ...]:
    return tuple(-(-length // STRIDE) for length in seen.picture.shape[:2])


def resize_map(array: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Return a float32 map (h, w) or (h, w, K) at (height, width) ``size``."""
    if array.shape[:2] == size:
        return array
    smaller = size[0] * size[1] < array.shape[0] * array.shape[1]
    # OpenCV resizes any number of channels only by planes.
    kind = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    planes = array.reshape(*array.shape[:2], -1)
    resized = np.stack([cv2.resize(np.ascontiguousarray(planes[..., channel]), size[::-1],
                                   interpolation=kind)
                        for channel in range(planes.shape[2])], axis=-1)
    return resized.reshape(*size, *array.shape[2:])


class ExternalBackend:
    """
    Models of somebody else alone, as a backend: its maps are those that it is given.

    ``Perception`` gives it the maps of ``Inputs``; nothing refines them.
    """

    name, version, precision, can_mute = 'external', '1', 'fp32', False

    def __init__(self) -> None:
        self.device = Device('external')

    def run(self, pictures: np.ndarray, set_up: SetUp, inputs: ArrayMaps | None = None
            ) -> ArrayMaps:
        """Return the given maps: see ``backends.interface.Backend.run``."""
        assert inputs is not None, 'Perception gives the maps of its sources'
        return ArrayMaps(inputs.depth, inputs.semantics)

    def memory_mb(self) -> float:
        """Return 0: what the models hold is not known."""
        return 0.0
