# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Sources that are models of somebody else, and which model a name means."""

from __future__ import annotations

from collections.abc import Sequence
import math

from jrn_perception.labels import LabelSet
from jrn_perception.perception.inputs.classes import class_map
from jrn_perception.perception.inputs.description import describe, Description
from jrn_perception.perception.inputs.interface import Model, SourceError, UNSCALED
from jrn_perception.perception.inputs.measured import scaled, shrink
from jrn_perception.perception.preprocessing import focal_ratio
import numpy as np


class ModelDepth:
    """A depth model; its values become metres."""

    def __init__(self, model: Model, unit: str, description: Description):
        self.origin, self._model, self.unit = model.origin, model, unit
        self._factor = description.factor
        self.needs_measured = unit in UNSCALED
        self.focal_length, self.size = description.focal_length, description.size

    def scale(self, size: tuple[int, int], focal_length: tuple[float, float] | None) -> float:
        """
        Return the factor on the metres for a picture (height, width) of a camera.

        1 unless both ``focal_length`` (x, y), in pixels of the picture, and the model's are known.
        """
        if self.focal_length is None or self.size is None or focal_length is None:
            return 1.0
        # Of a picture with as many pixels as the model's own.
        enlarged = math.sqrt(self.size[0] * self.size[1] / (size[0] * size[1]))
        return focal_ratio((enlarged * focal_length[0], enlarged * focal_length[1]),
                           self.focal_length)

    def raw(self, rgb: np.ndarray) -> np.ndarray:
        """Return the model's values (h, w); SourceError for another shape."""
        values = self._model.run(rgb)
        if values.ndim == 3 and values.shape[2] == 1:
            values = values[..., 0]
        if values.ndim != 2:
            raise SourceError(f'{self.origin.name}: its output has {values.shape[2]} channels, '
                              'depth has one')
        return values

    def depth(self, rgb: np.ndarray, measured: np.ndarray | None) -> np.ndarray:
        """Return metres (h, w): see ``interface.DepthSource``."""
        values = self.raw(rgb)
        if self.needs_measured:
            return scaled(values, self.unit,
                          None if measured is None else shrink(measured, values.shape))
        if self.unit == 'inverse':
            values = 1 / np.maximum(values, 1e-3)
        return np.maximum(np.float32(self._factor) * values, np.float32(1e-3))


class ModelSemantics:
    """A semantic segmentation model; its classes become those of ``target``."""

    def __init__(self, model: Model, classes: Sequence[str], target: LabelSet,
                 description: Description):
        self.origin, self._model, self._classes = model.origin, model, tuple(classes)
        try:
            self._map = class_map(classes, description.counterparts, target)
        except SourceError as error:
            raise SourceError(f'{model.origin.name}: {error}') from error
        self.missing = self._map.missing

    def probabilities(self, rgb: np.ndarray) -> np.ndarray:
        """Return how probable each wanted class is, (h, w, K)."""
        found = self._model.run(rgb)
        if found.ndim != 3 or found.shape[2] != len(self._classes):
            channels = found.shape[2] if found.ndim == 3 else 1
            raise SourceError(f'{self.origin.name}: its output has {channels} channels, its '
                              f'classes are {len(self._classes)}')
        if found.min() < -1e-3 or not np.allclose(found.sum(-1), 1, atol=1e-2):
            found = np.exp(found - found.max(-1, keepdims=True))
            found /= found.sum(-1, keepdims=True)
        return self._map(found)


def task_of(name: str) -> str:
    """Return the task of the model of that name, depth or semantics; SourceError."""
    description = describe(name)
    if description.is_onnx:
        return 'depth' if description.unit else 'semantics'
    from jrn_perception.perception.inputs import transformers
    return transformers.task_of(description.model) or 'semantics'


def depth_source(name: str, device: str, threads: int) -> ModelDepth:
    """Return the depth source of that name; SourceError."""
    description = describe(name)
    if description.is_onnx:
        from jrn_perception.perception.inputs.onnx import OnnxModel
        if not description.unit:
            raise SourceError(f'{name}: its yaml file lacks unit: metres, inverse, relative or '
                              'disparity')
        source = ModelDepth(OnnxModel(description, threads), description.unit, description)
    else:
        from jrn_perception.perception.inputs.transformers import depth_unit, TransformersModel
        model = TransformersModel(description, 'depth', device)
        source = ModelDepth(model, description.unit or depth_unit(model), model.description)
    if source.focal_length and not source.size:
        raise SourceError(f'{name}: focal_length needs size, the picture whose pixels it counts')
    # A model of another task shows here, not at the first picture.
    source.raw(np.zeros((*(source.size or (64, 64)), 3), np.uint8))
    return source


def semantics_source(name: str, target: LabelSet, device: str, threads: int) -> ModelSemantics:
    """Return the semantics source of that name, in the classes of ``target``; SourceError."""
    description = describe(name)
    if description.is_onnx:
        from jrn_perception.perception.inputs.onnx import OnnxModel
        if not description.classes:
            raise SourceError(f'{name}: its yaml file lacks classes: the names of its channels in '
                              'their order')
        model: Model = OnnxModel(description, threads)
        classes = description.classes
    else:
        from jrn_perception.perception.inputs.transformers import TransformersModel
        other = TransformersModel(description, 'semantics', device)
        model, description = other, other.description
        classes = description.classes or other.classes
    source = ModelSemantics(model, classes, target, description)
    source.probabilities(np.zeros((*(description.size or (64, 64)), 3), np.uint8))
    return source
