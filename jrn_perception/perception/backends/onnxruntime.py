# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""ONNX Runtime on the CPU, and on CUDA with the package onnxruntime-gpu."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from jrn_perception.perception.backends.exported import Arrays, Session
import onnxruntime

CPU, CUDA, TENSORRT = (f'{name}ExecutionProvider' for name in ('CPU', 'CUDA', 'Tensorrt'))
# A provider's name and its options.
Provider = tuple[str, dict[str, str]]


class OnnxRuntime:
    """
    ONNX Runtime with ``threads`` threads, on the ``device`` cpu, cuda or cuda:N.

    TensorRT keeps its engines in the folder ``cache``. Raises ValueError for a device that this
    installation does not have.
    """

    name = 'onnxruntime'
    version = onnxruntime.__version__
    precision = 'fp32'

    def __init__(self, threads: int, device: str = 'cpu', cache: Path | None = None):
        self.threads, self.device = threads, device
        self.providers = providers(device, cache)
        self._axes: dict[Path, dict[str, list[int | str]]] = {}

    def prepare(self, path: Path, shapes: dict[str, tuple[int, ...]]) -> Session:
        """Return the graph of a file, ready for inputs of these shapes."""
        if path not in self._axes:
            self._axes[path] = axes_of(path)
        options = self._options()
        for name, shape in shapes.items():
            for axis, length in zip(self._axes[path][name], shape):
                if isinstance(axis, str):
                    options.add_free_dimension_override_by_name(axis, length)
        session = onnxruntime.InferenceSession(str(path), options, providers=self.providers)
        # ONNX Runtime goes on without a provider whose libraries it cannot load.
        wanted, found = self.providers[0][0], session.get_providers()[0]
        if found != wanted:
            raise ValueError(f'device {self.device!r}: {wanted} did not start, only {found}; ONNX '
                             'Runtime has printed why')
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


def axes_of(path: Path) -> dict[str, list[int | str]]:
    """Return the axes of each input of a graph: a length, or a name if the length is free."""
    session = onnxruntime.InferenceSession(str(path), providers=[CPU])
    return {node.name: node.shape for node in session.get_inputs()}


def providers(device: str, cache: Path | None = None) -> list[Provider]:
    """
    Return the execution providers for a device, the one to use first.

    On CUDA this is TensorRT where its Python package is installed, else CUDA; both compute in
    fp32, as the parity gate demands, and leave to the CPU what they cannot do. Raises ValueError
    for an unknown device, and for CUDA in an installation without it.
    """
    kind, _, index = device.partition(':')
    if kind not in ('cpu', 'cuda') or (index and not (kind == 'cuda' and index.isdigit())):
        raise ValueError(f'device {device!r}: ONNX Runtime has cpu, cuda and cuda:N')
    if kind == 'cpu':
        return [(CPU, {})]
    if CUDA not in onnxruntime.get_available_providers():
        raise ValueError(f'device {device!r}: this ONNX Runtime has no CUDA: pip uninstall '
                         "onnxruntime, then pip install '.[onnxruntime-gpu]'")
    if hasattr(onnxruntime, 'preload_dlls'):  # Finds the CUDA libraries of pip's packages.
        onnxruntime.preload_dlls()
    number = {'device_id': index or '0'}
    # By default convolutions are computed in TF32, with 10 bits.
    chosen = [(CUDA, {**number, 'use_tf32': '0'}), (CPU, {})]
    if TENSORRT in onnxruntime.get_available_providers() and find_spec('tensorrt') is not None:
        engines = {'trt_engine_cache_enable': 'True',
                   'trt_engine_cache_path': str(cache / 'tensorrt')} if cache else {}
        chosen.insert(0, (TENSORRT, {**number, **engines}))
    return chosen
