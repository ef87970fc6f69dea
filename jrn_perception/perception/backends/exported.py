# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""An exported network in a runtime other than torch, checked when it is loaded."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from jrn_perception.perception.backends.interface import ArrayMaps, SetUp
from jrn_perception.perception.backends.parity import compare
from jrn_perception.perception.backends.refinement import run_refinement, Statistics
from jrn_perception.weights.onnx import Content, inputs_path
import numpy as np

Arrays = dict[str, np.ndarray]
Session = Callable[[Arrays], Arrays]
# The sizes of input for which a compiled graph is kept: batches, set-ups, aspects.
SIZES = 8
# As ``networks.exporting``, which needs torch.
MULTIPLE = 32


@dataclass(frozen=True)
class Device:
    """The device of a runtime: cpu, cuda or cuda:N; ``type`` is as that of a ``torch.device``."""

    name: str = 'cpu'

    @property
    def type(self) -> str:  # noqa: A003
        return self.name.partition(':')[0]

    def __str__(self) -> str:
        return self.name


class Runtime(Protocol):
    """A program that executes ONNX graphs."""

    name: str
    version: str
    precision: str
    device: str

    def prepare(self, path: Path, shapes: dict[str, tuple[int, ...]]) -> Session:
        """Return the graph of a file, ready for inputs of these shapes."""


class BackendFault(ValueError):
    """A runtime does not compute what torch computes; one line."""


class Graph:
    """The graph of a file, compiled for each shape of its inputs: fixed shapes run faster."""

    def __init__(self, runtime: Runtime, path: Path):
        self.runtime, self.path = runtime, path
        self._sessions: OrderedDict[tuple, Session] = OrderedDict()

    def __call__(self, **arrays: np.ndarray) -> Arrays:
        shapes = {name: array.shape for name, array in arrays.items()}
        key = tuple(shapes.items())
        if key not in self._sessions:
            self._sessions[key] = self.runtime.prepare(self.path, shapes)
        self._sessions.move_to_end(key)
        if len(self._sessions) > SIZES:
            self._sessions.popitem(last=False)
        return self._sessions[key]({name: np.ascontiguousarray(array)
                                    for name, array in arrays.items()})


class ExportedBackend:
    """
    The network of an ONNX file of ``jrn_export`` in ``runtime``.

    ``precision`` is int8 for a file of ``jrn_export --int8``, else the runtime's: fp32 or bf16.

    Raises BackendFault if it does not compute the stored maps of the stored picture.
    """

    can_mute: bool

    def __init__(self, path: Path, content: Content, runtime: Runtime):
        quantised = content.card.get('precision') == 'int8'
        self.device = Device(runtime.device)
        self.precision = 'int8' if quantised else runtime.precision
        self.name, self.version = runtime.name, runtime.version
        self.can_mute = content.statistics is not None
        self._network = Graph(runtime, path)
        if content.statistics is not None:
            self._inputs = Graph(runtime, inputs_path(path))
            self._statistics = Statistics.from_json(content.statistics)
        self._check(path, content)

    def _check(self, path: Path, content: Content) -> None:
        try:
            maps = self.run(content.check['pictures'], SetUp())
        except Exception as error:  # noqa: B902 each runtime has its own exceptions
            reason = ' '.join(str(error).split()) or type(error).__name__
            raise BackendFault(f'{path}: {self.name} {self.version} cannot run it: '
                               f'{reason}') from error
        expected = ArrayMaps(content.check.get('depth'), content.check.get('semantics'))
        parity = compare(maps, expected)
        fault = parity.fault if self.precision == 'fp32' else parity.reduced_fault
        if fault:
            raise BackendFault(f'{path}: {self.name} {self.version} is not used: on the stored '
                               f'picture {fault}')

    def run(self, pictures: np.ndarray, set_up: SetUp, inputs: ArrayMaps | None = None
            ) -> ArrayMaps:
        """Return the maps of ``pictures``: see ``interface.Backend.run``; ValueError."""
        if any(length % MULTIPLE for length in pictures.shape[1:3]):
            raise ValueError(
                f'inference size {pictures.shape[1]}x{pictures.shape[2]}: an exported network '
                f'takes multiples of {MULTIPLE}; the backend torch takes any')
        if not self.can_mute:
            return _maps(self._network(pictures=pictures))
        if inputs is None:
            inputs = _maps(self._inputs(pictures=pictures))
        return run_refinement(self._refine, inputs, set_up, self._statistics)

    def _refine(self, depth: np.ndarray, probabilities: np.ndarray) -> ArrayMaps:
        maps = self._network(depth=depth, probabilities=probabilities)
        return ArrayMaps(maps['refined_depth'], maps['refined_semantics'])

    def memory_mb(self) -> float:
        """Return 0: nothing is held on a GPU, or ONNX Runtime does not tell how much."""
        return 0.0


def _maps(arrays: Arrays) -> ArrayMaps:
    return ArrayMaps(arrays.get('depth'), arrays.get('semantics'), arrays.get('normals'))
