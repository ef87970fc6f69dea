# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""OpenVINO on the CPU."""

from __future__ import annotations

from pathlib import Path

from jrn_perception.perception.backends.exported import Arrays, Session
import numpy as np
import openvino


class OpenVino:
    """OpenVINO with ``threads`` threads; compiled graphs are kept in the folder ``cache``."""

    name = 'openvino'
    version = openvino.__version__.split('-')[0]

    def __init__(self, threads: int, cache: Path):
        self._core = openvino.Core()
        self._settings = {
            # By default OpenVINO computes in bfloat16 where the CPU can.
            'INFERENCE_PRECISION_HINT': 'f32',
            'INFERENCE_NUM_THREADS': threads,
            'PERFORMANCE_HINT': 'LATENCY',
            'CACHE_DIR': str(cache)}

    def prepare(self, path: Path, shapes: dict[str, tuple[int, ...]]) -> Session:
        """Return the graph of a file, ready for inputs of these shapes."""
        model = self._core.read_model(path)
        model.reshape({name: list(shape) for name, shape in shapes.items()})
        compiled = self._core.compile_model(model, 'CPU', self._settings)
        request = compiled.create_infer_request()
        names = [output.get_any_name() for output in compiled.outputs]

        def run(arrays: Arrays) -> Arrays:
            results = request.infer(arrays)
            # The request uses its own arrays again for the next picture.
            return {name: np.array(results[index]) for index, name in enumerate(names)}

        return run
