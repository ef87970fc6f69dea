# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""ONNX Runtime on the CPU."""

from __future__ import annotations

from pathlib import Path

from jrn_perception.perception.backends.exported import Arrays, Session
import onnxruntime


class OnnxRuntime:
    """ONNX Runtime with ``threads`` threads."""

    name = 'onnxruntime'
    version = onnxruntime.__version__
    precision = 'fp32'

    def __init__(self, threads: int):
        self.threads = threads
        self._axes: dict[Path, dict[str, list[int | str]]] = {}

    def prepare(self, path: Path, shapes: dict[str, tuple[int, ...]]) -> Session:
        """Return the graph of a file, ready for inputs of these shapes."""
        if path not in self._axes:
            session = self._session(path, self._options())
            self._axes[path] = {node.name: node.shape for node in session.get_inputs()}
        options = self._options()
        for name, shape in shapes.items():
            for axis, length in zip(self._axes[path][name], shape):
                if isinstance(axis, str):
                    options.add_free_dimension_override_by_name(axis, length)
        session = self._session(path, options)
        outputs = [node.name for node in session.get_outputs()]

        def run(arrays: Arrays) -> Arrays:
            return dict(zip(outputs, session.run(outputs, arrays)))

        return run

    def _options(self) -> onnxruntime.SessionOptions:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        # Threads that spin while they wait slow down rclpy and OpenCV beside them.
        options.add_session_config_entry('session.intra_op.allow_spinning', '0')
        return options

    @staticmethod
    def _session(path: Path, options: onnxruntime.SessionOptions) -> onnxruntime.InferenceSession:
        return onnxruntime.InferenceSession(str(path), options,
                                            providers=['CPUExecutionProvider'])
