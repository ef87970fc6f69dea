# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Networks as ONNX graphs.

A graph takes uint8 pictures (B, h, w, 3) and normalises them itself. Its maps are channels last,
as in ``perception.backends.interface.ArrayMaps``. Rows and columns are multiples of ``MULTIPLE``;
otherwise they and the batch have any size. A modular network becomes two graphs: one for the
single-task networks, and one that refines their maps.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import copy
import logging
from typing import Any
import warnings

from jrn_perception.networks.interface import Maps, NotExportableError, TASKS
from jrn_perception.networks.jrn import JointRefinementNetwork, ModularNetwork
import torch
from torch import nn, Tensor
from torch.export import Dim

OPSET = 18
# The coarsest stride of the encoders. No row and no column of such a picture is padding.
MULTIPLE = 32
LARGEST = 4096


class _FromPictures(nn.Module):
    """The maps of uint8 pictures, normalised by ``mean`` and ``std`` (3, 1, 1) of 0..255."""

    def __init__(self, network: nn.Module, mean: Tensor, std: Tensor):
        super().__init__()
        self.network = network
        self.register_buffer('mean', mean)
        self.register_buffer('std', std)

    def forward(self, pictures: Tensor) -> tuple[Tensor, ...]:
        image = (pictures.permute(0, 3, 1, 2) - self.mean) / self.std
        if isinstance(self.network, ModularNetwork):
            return _channels_last(self.network.predict_inputs(image))
        return _channels_last(self.network(image))


class _Refinement(nn.Module):
    """The refined maps of depth (B, h, w) and probabilities (B, h, w, K), muted or not."""

    def __init__(self, refine: JointRefinementNetwork, stride: int):
        super().__init__()
        self.refine, self.stride = refine, stride

    def forward(self, depth: Tensor, probabilities: Tensor) -> tuple[Tensor, ...]:
        size = self.stride * depth.shape[1], self.stride * depth.shape[2]
        return _channels_last(
            self.refine(depth[:, None], probabilities.permute(0, 3, 1, 2), size))


def _channels_last(maps: Maps) -> tuple[Tensor, ...]:
    """Return the maps of the tasks that the network has, in the order of ``outputs``."""
    result = []
    for task in TASKS:
        value = getattr(maps, task)
        if value is not None:
            result.append(value[:, 0] if task == 'depth' else value.permute(0, 2, 3, 1))
    return tuple(result)


def require_exportable(network: nn.Module) -> None:
    """Raise NotExportableError if it is known, before any work, that a network has no graph."""
    modular = isinstance(network, ModularNetwork)
    for part in (network.depth, network.semantics) if modular else (network,):
        if not hasattr(part, 'encoder'):
            raise NotExportableError(
                f'{type(part).__name__} cannot be exported: its maps do not follow the size of '
                'the picture')
    if not modular:
        return
    if network.refine.options.semantics_input == 'one_hot':
        raise NotExportableError(
            'a JRN with the option semantics_input one_hot cannot be exported: its graph cannot '
            'know which input is muted')
    if network.refine.options.validity or network.refine.options.geometry:
        raise NotExportableError(
            'a JRN with the options validity or geometry cannot be exported: its graph would need '
            'more inputs than depth and probabilities')
    if network.depth.output_stride != network.semantics.output_stride:
        raise NotExportableError('a JRN whose inputs differ in size cannot be exported')


def export_pictures(network: nn.Module, tasks: tuple[str, ...], mean: Tensor, std: Tensor) -> Any:
    """
    Return the graph of a network with ``tasks``, of a modular network that of its inputs.

    The result is an ``onnx_ir`` program with ``save`` and ``model``. Raises NotExportableError
    as ``require_exportable``.
    """
    require_exportable(network)
    rows, columns = _lengths(MULTIPLE)
    return _export(
        _FromPictures(network, mean, std),
        {'pictures': torch.zeros(2, 2 * MULTIPLE, 3 * MULTIPLE, 3, dtype=torch.uint8)},
        {0: Dim('batch'), 1: MULTIPLE * rows, 2: MULTIPLE * columns},
        [task for task in TASKS if task in tasks])


def export_refinement(network: ModularNetwork) -> Any:
    """
    Return the graph from ``depth`` and ``probabilities`` to refined maps; NotExportableError.

    Muting is left to the caller: it replaces the graph's inputs.
    """
    require_exportable(network)
    stride = network.semantics.output_stride
    step = MULTIPLE // stride
    rows, columns = _lengths(MULTIPLE)
    classes = len(network.fold)
    return _export(
        _Refinement(network.refine, stride),
        {'depth': torch.ones(2, 2 * step, 3 * step),
         'probabilities': torch.full((2, 2 * step, 3 * step, classes), 1 / classes)},
        {0: Dim('batch'), 1: step * rows, 2: step * columns},
        ['refined_semantics', 'refined_depth'])


def _lengths(multiple: int) -> tuple[Any, Any]:
    return (Dim('rows', min=1, max=LARGEST // multiple),
            Dim('columns', min=1, max=LARGEST // multiple))


def _export(module: nn.Module, inputs: dict[str, Tensor], sizes: dict[int, Any],
            outputs: list[str]) -> Any:
    module = copy.deepcopy(module).to(memory_format=torch.contiguous_format).eval()
    try:
        with torch.no_grad(), _silence():
            program = torch.export.export(module, tuple(inputs.values()),
                                          dynamic_shapes=tuple(sizes for _ in inputs))
            _clamp(program)
            return torch.onnx.export(
                program, (), dynamo=True, opset_version=OPSET, input_names=list(inputs),
                output_names=outputs, verbose=False)
    except ImportError as error:
        raise ModuleNotFoundError(
            f"exporting a network needs the package {error.name}: pip install '.[export]'",
            name=error.name) from error
    except Exception as error:  # noqa: B902 the exporter has many, and old ones lack arguments
        reason = ' '.join(str(error).split())[:200] or type(error).__name__
        raise NotExportableError(
            f'torch {torch.__version__} cannot export this network: {reason}') from error


def _clamp(program: torch.export.ExportedProgram) -> None:
    """Replace ReLU6, which the exporter takes half its time to take apart, by its equal."""
    operators = torch.ops.aten
    for node in program.graph_module.graph.nodes:
        if node.target in (operators.relu6.default, operators.relu6_.default):
            node.target, node.args = operators.clamp.default, (node.args[0], 0., 6.)
        elif node.target in (operators.hardtanh.default, operators.hardtanh_.default):
            node.target = operators.clamp.default


@contextmanager
def _silence() -> Iterator[None]:
    """Keep back notes of torch's exporter about itself: missing torchvision, names of axes."""
    logger = logging.getLogger('torch.onnx._internal.exporter')
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        logger.setLevel(level)
