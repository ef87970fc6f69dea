# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Any ONNX file with a yaml file that describes it, in ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import cv2
from jrn_perception.perception.inputs.description import Description
from jrn_perception.perception.inputs.interface import Origin, SourceError
from jrn_perception.perception.preprocessing import input_size_for
from jrn_perception.weights import sha256
import numpy as np


class OnnxModel:
    """The model of an ONNX file; ``run`` returns its map, channels last."""

    def __init__(self, description: Description, threads: int = 0):
        try:
            import onnxruntime
        except ImportError as error:
            raise SourceError(f'{description.model}: an ONNX file needs ONNX Runtime: pip install '
                              "'.[onnxruntime]'") from error
        self.path, self.description = Path(description.model), description
        needed = ('mean', 'std', 'size')
        missing = [name for name in needed if getattr(description, name) is None]
        if missing:
            raise SourceError(f'{self.path.with_suffix(".yaml")}: lacks {", ".join(missing)}')
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry('session.intra_op.allow_spinning', '0')
        try:
            self._session = onnxruntime.InferenceSession(
                str(self.path), options, providers=['CPUExecutionProvider'])
        except Exception as error:  # noqa: B902 its classes of errors have no common base
            raise SourceError(f'{self.path}: not a usable ONNX file: '
                              f'{" ".join(str(error).split())}') from error
        self._input = self._only_input()
        self._output = self._find_output()
        self.origin = Origin(self.path.name, description.licence, sha256(self.path))

    def _only_input(self) -> str:
        inputs = self._session.get_inputs()
        if len(inputs) != 1:
            raise SourceError(f'{self.path}: has the inputs '
                              f'{", ".join(node.name for node in inputs)}; a source has one, the '
                              'picture')
        if inputs[0].type != 'tensor(float)':
            raise SourceError(f'{self.path}: its input is {inputs[0].type}, expected '
                              'tensor(float)')
        return inputs[0].name

    def _find_output(self) -> str:
        names = [node.name for node in self._session.get_outputs()]
        wanted = self.description.output
        if wanted and wanted not in names:
            raise SourceError(f'{self.path}: has no output {wanted!r}; it has {", ".join(names)}')
        return wanted or names[0]

    def run(self, rgb: np.ndarray) -> np.ndarray:
        """Return the model's map (h, w) or (h, w, K) for uint8 RGB (H, W, 3)."""
        description = self.description
        assert description.size is not None
        size = description.size
        if description.multiple_of:
            size = input_size_for(size, rgb.shape[0], rgb.shape[1], description.multiple_of)
        picture = normalised(rgb, size, description)
        if description.layout == 'nchw':
            picture = picture.transpose(2, 0, 1)
        try:
            result, = self._session.run([self._output],
                                        {self._input: np.ascontiguousarray(picture[None])})
        except Exception as error:  # noqa: B902 its classes of errors have no common base
            raise SourceError(f'{self.path}: cannot run {size[0]}x{size[1]} in '
                              f'{description.layout}: {" ".join(str(error).split())}') from error
        return self._channels_last(np.asarray(result, np.float32))

    def _channels_last(self, array: np.ndarray) -> np.ndarray:
        shape = array.shape
        if array.ndim == 4 and shape[0] == 1:
            array = array[0]
            if self.description.layout == 'nchw':
                array = array.transpose(1, 2, 0)
        elif array.ndim == 3 and shape[0] == 1:
            array = array[0]
        if array.ndim not in (2, 3):
            raise SourceError(f'{self.path}: output {self._output} has the shape {shape}; '
                              'expected one map for one picture')
        return array


def normalised(rgb: np.ndarray, size: tuple[int, int], description: Description) -> np.ndarray:
    """Return uint8 RGB (H, W, 3) at ``size``, normalised, float32 (h, w, 3)."""
    shrinks = size[0] * size[1] < rgb.shape[0] * rgb.shape[1]
    picture = cv2.resize(rgb, size[::-1],
                         interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    mean, std = (np.asarray(values, np.float32) for values in (description.mean, description.std))
    return (picture.astype(np.float32) / 255 - mean) / std
