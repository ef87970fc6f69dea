# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The convolutions of a TensorFlow Lite graph, dequantised. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
import struct
from types import ModuleType
from typing import Any

import numpy as np

SUFFIX = '.tflite'
# Bytes 4 to 8 of each file.
IDENTIFIER = b'TFL3'


@dataclass(frozen=True)
class Convolution:
    """``weight`` (out, in / groups, height, width) and ``bias`` (out,) of a layer, float32."""

    weight: np.ndarray
    bias: np.ndarray


def read_convolutions(path: Path) -> list[Convolution]:
    """
    Return the convolutions of a TensorFlow Lite graph in the order in which the graph runs them.

    Quantised weights and biases, per tensor or per channel, become real values: (q - zero point) *
    scale. Products and sums with constants right behind a convolution, which some converters make
    of batch norms, become part of it. Raises OSError, ModuleNotFoundError without the package
    ``tflite``, and ValueError, one line, if the file is damaged or a convolution has no constant
    weight and bias.
    """
    import tflite
    content = path.read_bytes()
    if content[4:8] != IDENTIFIER:
        raise ValueError('no TensorFlow Lite file')
    try:
        return _Graph(tflite, content).convolutions()
    except (struct.error, AttributeError, IndexError, KeyError, OverflowError, TypeError,
            ValueError) as error:
        # A damaged flatbuffer leads anywhere in the file.
        raise ValueError(f'damaged, or no graph of plain convolutions: {error}') from error


class _Graph:
    """The first subgraph of a model."""

    def __init__(self, tflite: ModuleType, content: bytes):
        types, kinds = tflite.TensorType, tflite.BuiltinOperator
        self._types = {types.FLOAT32: np.float32, types.INT8: np.int8, types.UINT8: np.uint8,
                       types.INT32: np.int32}
        # TensorFlow Lite has (out, height, width, in), depthwise (1, height, width, out).
        self._axes = {kinds.CONV_2D: (0, 3, 1, 2), kinds.DEPTHWISE_CONV_2D: (3, 0, 1, 2)}
        self._kinds = kinds
        self._model = tflite.Model.GetRootAsModel(content, 0)
        self._graph = self._model.Subgraphs(0)

    def convolutions(self) -> list[Convolution]:
        found: list[Convolution] = []
        behind: dict[int, int] = {}  # From a tensor to the convolution that it comes from.
        for index in range(self._graph.OperatorsLength()):
            operator = self._graph.Operators(index)
            code = self._model.OperatorCodes(operator.OpcodeIndex())
            # Older files have only the deprecated entry, newer files both where the code fits.
            kind = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
            inputs, output = operator.InputsAsNumpy().tolist(), operator.Outputs(0)
            if kind in self._axes:
                if len(inputs) != 3 or min(inputs) < 0:
                    raise ValueError(f'operator {index} has no bias')
                weight, bias = (self._constant(number) for number in inputs[1:])
                behind[output] = len(found)
                found.append(Convolution(weight.transpose(self._axes[kind]).copy(), bias))
            elif kind == self._kinds.BATCH_TO_SPACE_ND and inputs[0] in behind:
                behind[output] = behind[inputs[0]]  # Dilation, as older converters write it.
            elif kind in (self._kinds.MUL, self._kinds.ADD):
                for value, other in (inputs, inputs[::-1]):
                    if value in behind and self._is_constant(other):
                        behind[output] = number = behind[value]
                        found[number] = self._joined(found[number], kind, self._constant(other))
        return found

    def _joined(self, layer: Convolution, kind: int, constant: np.ndarray) -> Convolution:
        """Return a convolution with the product or sum behind it."""
        constant = np.broadcast_to(constant.squeeze(), layer.bias.shape)
        if kind == self._kinds.ADD:
            return Convolution(layer.weight, layer.bias + constant)
        return Convolution(layer.weight * constant[:, None, None, None], layer.bias * constant)

    def _is_constant(self, number: int) -> bool:
        return self._model.Buffers(self._graph.Tensors(number).Buffer()).DataLength() > 0

    def _constant(self, number: int) -> np.ndarray:
        """Return the real values of a tensor that the file holds."""
        tensor: Any = self._graph.Tensors(number)
        if not self._is_constant(number):
            raise ValueError(f'tensor {number} is no constant')
        data = self._model.Buffers(tensor.Buffer()).DataAsNumpy().tobytes()
        values = np.frombuffer(data, self._types[tensor.Type()]).reshape(tensor.ShapeAsNumpy())
        if values.dtype == np.float32:
            return values.copy()
        quantisation = tensor.Quantization()
        if quantisation is None or not quantisation.ScaleLength():
            raise ValueError(f'tensor {number} has integers without a scale')
        shape = [1] * values.ndim
        if quantisation.ScaleLength() > 1:
            shape[quantisation.QuantizedDimension()] = -1
        scale = quantisation.ScaleAsNumpy().reshape(shape)
        # A bias of 32 bits does not fit a float32.
        zero = np.zeros(1)
        if quantisation.ZeroPointLength():
            zero = quantisation.ZeroPointAsNumpy().reshape(shape).astype(np.float64)
        return ((values - zero) * scale).astype(np.float32)
