# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""TensorFlow Lite files with a MobileNet-v2 of random weights, and a way to run such graphs."""

from dataclasses import dataclass

import flatbuffers
import numpy as np
import tflite
import torch
from torch.nn import functional

OPS, TYPES = tflite.BuiltinOperator, tflite.TensorType
KINDS = {np.dtype(np.int8): TYPES.INT8, np.dtype(np.uint8): TYPES.UINT8,
         np.dtype(np.int32): TYPES.INT32, np.dtype(np.float32): TYPES.FLOAT32}
# (expansion, channels, blocks, stride of the first block).
SETTING = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
           (6, 160, 3, 2), (6, 320, 1, 1))
# Of the stem's 17 blocks, those behind which the encoder has an output.
TAPS = (2, 5, 9, 12, 15, 16)


@dataclass
class Constant:
    """Numbers as the file holds them: the real value is (numbers - zero) * scale."""

    numbers: np.ndarray
    scale: np.ndarray | None = None
    zero: np.ndarray | None = None
    axis: int = 0

    def real(self):
        if self.scale is None:
            return self.numbers
        shape = [1] * self.numbers.ndim
        shape[self.axis] = len(self.scale)
        return ((self.numbers.astype(np.float64) - self.zero.reshape(shape))
                * self.scale.astype(np.float64).reshape(shape)).astype(np.float32)


@dataclass
class Layer:
    """A convolution; ``residual`` tells that the input of its block is added to its output."""

    weight: Constant
    bias: Constant
    depthwise: bool = False
    stride: int = 1
    relu6: bool = True
    residual: bool = False
    # What a batch norm became behind the convolution: a factor and a summand per channel.
    behind: tuple = ()


def mobilenet(kind, seed=0):
    """Return random layers: weights int8 per channel, uint8 per tensor, float32 or 'split'."""
    random = np.random.default_rng(seed)

    def layer(inputs, outputs, size=1, depthwise=False, **options):
        shape = (1, size, size, outputs) if depthwise else (outputs, size, size, inputs)
        fan_in = size * size * (1 if depthwise else inputs)
        # Such that neither values nor rounding errors grow from layer to layer.
        relu6 = options.get('relu6', True)
        spread, low, high = ((2 / fan_in) ** 0.5, 0, 1) if relu6 else (0.5 / fan_in ** 0.5, -1, 1)
        if kind in ('float32', 'split'):
            weight = Constant(random.normal(0, spread, shape).astype(np.float32))
            bias = Constant(random.uniform(low, high, outputs).astype(np.float32))
            if kind == 'split':
                bias = Constant(np.zeros(outputs, np.float32))
                options['behind'] = tuple(random.uniform(begin, 1.5, outputs).astype(np.float32)
                                          for begin in (0.5, -0.5))
            return Layer(weight, bias, depthwise, **options)
        count = outputs if kind == 'int8' else 1
        least, most, middle = (-127, 127, 0) if kind == 'int8' else (0, 255, 131)
        scale = (spread / 73 * random.uniform(0.7, 1.4, count)).astype(np.float32)
        weight = Constant(random.integers(least, most, shape, kind, True), scale,
                          np.full(count, middle), 3 if depthwise else 0)
        scale = (scale * np.float32(6 / 255)).astype(np.float32)
        bias = Constant((random.uniform(low, high, outputs) / scale).astype(np.int32), scale,
                        np.zeros(count, int))
        return Layer(weight, bias, depthwise, **options)

    layers, inputs = [layer(3, 32, 3, stride=2)], 32
    for factor, outputs, count, stride in SETTING:
        for index in range(count):
            hidden = factor * inputs
            layers += [layer(inputs, hidden)] * (factor > 1)
            layers.append(layer(hidden, hidden, 3, True, stride=1 if index else stride))
            layers.append(layer(hidden, outputs, relu6=False, residual=index > 0))
            inputs = outputs
    # The decoder: what else comes is not the encoder's.
    return [*layers, layer(320, 21, relu6=False)]


def real_values(layers):
    """Return (weight, bias) of each layer, as torch has them."""
    found = []
    for layer in layers:
        weight = layer.weight.real().transpose((3, 0, 1, 2) if layer.depthwise else (0, 3, 1, 2))
        bias = layer.bias.real()
        if layer.behind:
            factor, summand = layer.behind
            weight, bias = weight * factor[:, None, None, None], bias * factor + summand
        found.append((weight, bias))
    return found


class Writer:
    """Collects tensors and operators, and makes the file of them."""

    CODES = (OPS.CONV_2D, OPS.DEPTHWISE_CONV_2D, OPS.ADD, OPS.MUL, OPS.BATCH_TO_SPACE_ND)

    def __init__(self):
        self.builder = flatbuffers.Builder(1 << 20)
        self.tensors, self.buffers, self.operators = [], [self._buffer(None)], []

    def _vector(self, offsets):
        self.builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self.builder.PrependUOffsetTRelative(offset)
        return self.builder.EndVector()

    def _buffer(self, numbers):
        data = None if numbers is None else self.builder.CreateNumpyVector(
            np.frombuffer(numbers.tobytes(), np.uint8))
        tflite.BufferStart(self.builder)
        if data is not None:
            tflite.BufferAddData(self.builder, data)
        return tflite.BufferEnd(self.builder)

    def tensor(self, constant=None):
        """Add a tensor, by default the result of an operator; return its number."""
        builder, quantisation, buffer, kind = self.builder, None, 0, TYPES.INT8
        if constant is not None:
            buffer, kind = len(self.buffers), KINDS[constant.numbers.dtype]
            self.buffers.append(self._buffer(constant.numbers))
            if constant.scale is not None:
                scale = builder.CreateNumpyVector(constant.scale)
                zero = builder.CreateNumpyVector(constant.zero.astype(np.int64))
                tflite.QuantizationParametersStart(builder)
                tflite.QuantizationParametersAddScale(builder, scale)
                tflite.QuantizationParametersAddZeroPoint(builder, zero)
                tflite.QuantizationParametersAddQuantizedDimension(builder, constant.axis)
                quantisation = tflite.QuantizationParametersEnd(builder)
        shape = builder.CreateNumpyVector(
            np.array(constant.numbers.shape if constant else (1, 1, 1, 1), np.int32))
        tflite.TensorStart(builder)
        tflite.TensorAddShape(builder, shape)
        tflite.TensorAddType(builder, kind)
        tflite.TensorAddBuffer(builder, buffer)
        if quantisation is not None:
            tflite.TensorAddQuantization(builder, quantisation)
        self.tensors.append(tflite.TensorEnd(builder))
        return len(self.tensors) - 1

    def operator(self, code, inputs, stride=1, relu6=False):
        """Add an operator; return the number of its result."""
        builder, options, kind = self.builder, None, tflite.BuiltinOptions.NONE
        activation = tflite.ActivationFunctionType.RELU6 if relu6 else (
            tflite.ActivationFunctionType.NONE)
        if code in (OPS.CONV_2D, OPS.DEPTHWISE_CONV_2D):
            name = 'Conv2DOptions' if code == OPS.CONV_2D else 'DepthwiseConv2DOptions'
            kind = getattr(tflite.BuiltinOptions, name)
            getattr(tflite, f'{name}Start')(builder)
            getattr(tflite, f'{name}AddStrideW')(builder, stride)
            getattr(tflite, f'{name}AddStrideH')(builder, stride)
            getattr(tflite, f'{name}AddFusedActivationFunction')(builder, activation)
            options = getattr(tflite, f'{name}End')(builder)
        output = self.tensor()
        vectors = [builder.CreateNumpyVector(np.array(numbers, np.int32))
                   for numbers in (inputs, [output])]
        tflite.OperatorStart(builder)
        tflite.OperatorAddOpcodeIndex(builder, self.CODES.index(code))
        tflite.OperatorAddInputs(builder, vectors[0])
        tflite.OperatorAddOutputs(builder, vectors[1])
        if options is not None:
            tflite.OperatorAddBuiltinOptionsType(builder, kind)
            tflite.OperatorAddBuiltinOptions(builder, options)
        self.operators.append(tflite.OperatorEnd(builder))
        return output

    def file(self):
        """Return the bytes of the file."""
        builder, codes = self.builder, []
        for code in self.CODES:
            tflite.OperatorCodeStart(builder)
            tflite.OperatorCodeAddDeprecatedBuiltinCode(builder, code)
            tflite.OperatorCodeAddBuiltinCode(builder, code)
            codes.append(tflite.OperatorCodeEnd(builder))
        tensors, operators = self._vector(self.tensors), self._vector(self.operators)
        tflite.SubGraphStart(builder)
        tflite.SubGraphAddTensors(builder, tensors)
        tflite.SubGraphAddOperators(builder, operators)
        graphs = self._vector([tflite.SubGraphEnd(builder)])
        codes, buffers = self._vector(codes), self._vector(self.buffers)
        tflite.ModelStart(builder)
        tflite.ModelAddVersion(builder, 3)
        tflite.ModelAddOperatorCodes(builder, codes)
        tflite.ModelAddSubgraphs(builder, graphs)
        tflite.ModelAddBuffers(builder, buffers)
        builder.Finish(tflite.ModelEnd(builder), b'TFL3')
        return bytes(builder.Output())


def graph(layers):
    """Return the bytes of a file with these layers."""
    writer = Writer()
    begin = x = writer.tensor()
    for layer in layers:
        code = OPS.DEPTHWISE_CONV_2D if layer.depthwise else OPS.CONV_2D
        numbers = [writer.tensor(layer.weight), writer.tensor(layer.bias)]
        x = writer.operator(code, [x, *numbers], layer.stride, layer.relu6)
        if layer.behind:
            x = writer.operator(OPS.BATCH_TO_SPACE_ND, [x])
            factor, summand = (writer.tensor(Constant(values)) for values in layer.behind)
            # A constant may be either operand.
            x = writer.operator(OPS.ADD, [writer.operator(OPS.MUL, [factor, x]), summand])
        if layer.residual:
            x = writer.operator(OPS.ADD, [x, begin])
        if not layer.relu6:
            begin = x
    return writer.file()


def run(content, image, border=(0., 0., 0.)):
    """
    Return (number of the tensor, value) of each block of a graph's MobileNet-v2, in float32.

    ``image`` (1, 3, H, W) is in -1..1, ``border`` is the colour around it. Padding is SAME, as
    TensorFlow has it: where it is uneven, the larger half is behind.
    """
    model = tflite.Model.GetRootAsModel(content, 0)
    subgraph, blocks, values = model.Subgraphs(0), [], {}
    stem = True
    for index in range(subgraph.OperatorsLength()):
        operator = subgraph.Operators(index)
        code = model.OperatorCodes(operator.OpcodeIndex()).DeprecatedBuiltinCode()
        inputs, output = operator.InputsAsNumpy().tolist(), operator.Outputs(0)
        if code == OPS.ADD:
            values[output] = values[inputs[0]] + values[inputs[1]]
            blocks[-1] = output, values[output]
        elif code in (OPS.CONV_2D, OPS.DEPTHWISE_CONV_2D):
            if len(blocks) == 17:
                break
            x = (image - torch.tensor(border).view(3, 1, 1)) if stem else values[inputs[0]]
            weight, bias = (_real(model, subgraph, number) for number in inputs[1:])
            depthwise = code == OPS.DEPTHWISE_CONV_2D
            weight = weight.permute((3, 0, 1, 2) if depthwise else (0, 3, 1, 2))
            options = tflite.DepthwiseConv2DOptions() if depthwise else tflite.Conv2DOptions()
            table = operator.BuiltinOptions()
            options.Init(table.Bytes, table.Pos)
            stride, dilation = options.StrideH(), options.DilationHFactor()
            if stem:
                # Zeros now are the border's colour.
                bias = bias + (weight * torch.tensor(border).view(3, 1, 1)).sum((1, 2, 3))
            y = functional.conv2d(_padded(x, weight, stride, dilation), weight, bias, stride,
                                  dilation=dilation, groups=len(weight) if depthwise else 1)
            if options.FusedActivationFunction() == tflite.ActivationFunctionType.RELU6:
                y = y.clamp(0, 6)
            else:
                blocks.append((output, y))
            values[output], stem = y, False
    return blocks


def _padded(x, weight, stride, dilation):
    pad = []
    for size, kernel in zip(x.shape[:1:-1], weight.shape[:1:-1]):
        total = max(0, (-(-size // stride) - 1) * stride + (kernel - 1) * dilation + 1 - size)
        pad += [total // 2, total - total // 2]
    return functional.pad(x, pad)


def _real(model, subgraph, number):
    tensor = subgraph.Tensors(number)
    kind = next(name for name, code in KINDS.items() if code == tensor.Type())
    numbers = np.frombuffer(model.Buffers(tensor.Buffer()).DataAsNumpy().tobytes(), kind)
    numbers = numbers.reshape(tensor.ShapeAsNumpy())
    found = tensor.Quantization()
    if found is None or not found.ScaleLength():
        return torch.from_numpy(numbers.copy())
    return torch.from_numpy(Constant(numbers, found.ScaleAsNumpy(), found.ZeroPointAsNumpy(),
                                     found.QuantizedDimension()).real())
