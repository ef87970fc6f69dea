# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""OpenVINO on the CPU."""

from __future__ import annotations

from pathlib import Path

from jrn_perception.perception.backends.exported import Arrays, Session
import numpy as np
import openvino

_HINTS = {'fp32': 'f32', 'bf16': 'bf16'}


class OpenVino:
    """
    OpenVINO with ``threads`` threads, in fp32 or bf16.

    Compiled graphs are kept in the folder ``cache``: a graph that is there is not compiled again.
    """

    name = 'openvino'
    version = openvino.__version__.split('-')[0]
    device = 'cpu'

    def __init__(self, threads: int, cache: Path, precision: str = 'fp32'):
        self.precision = precision
        # Graphs that were compiled here, not read from the cache.
        self.compiled = 0
        self._core = openvino.Core()
        self._settings = {
            # By default OpenVINO computes in bfloat16 where the CPU can.
            'INFERENCE_PRECISION_HINT': _HINTS[precision],
            'INFERENCE_NUM_THREADS': threads,
            'PERFORMANCE_HINT': 'LATENCY',
            'CACHE_DIR': str(cache)}

    def prepare(self, path: Path, shapes: dict[str, tuple[int, ...]]) -> Session:
        """Return the graph of a file, ready for inputs of these shapes."""
        model = self._core.read_model(path)
        model.reshape({name: list(shape) for name, shape in shapes.items()})
        compiled = self._core.compile_model(model, 'CPU', self._settings)
        self.compiled += not compiled.get_property('LOADED_FROM_CACHE')
        request = compiled.create_infer_request()
        names = [output.get_any_name() for output in compiled.outputs]

        def run(arrays: Arrays) -> Arrays:
            results = request.infer(arrays)
            # The request uses its own arrays again for the next picture.
            return {name: np.array(results[index]) for index, name in enumerate(names)}

        return run
