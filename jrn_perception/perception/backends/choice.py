# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Which runtime executes a network, and with how many threads. Imports none of them."""

from __future__ import annotations

from importlib.util import find_spec
import os
from pathlib import Path
import platform

from jrn_perception.perception.backends.exported import Runtime
from jrn_perception.weights.onnx import SUFFIX

BACKENDS = ('auto', 'torch', 'onnxruntime', 'openvino')
CPUS = Path('/sys/devices/system/cpu')


def candidates(backend: str, weights_file: str) -> tuple[str, ...]:
    """
    Return the backends to try for a weights file, best first; only ``auto`` has several.

    ``auto`` runs an ONNX file in OpenVINO on x86-64 and in ONNX Runtime, whichever is installed,
    and other weights in torch; without torch it runs all weights as an ONNX file. Raises
    ValueError for an unknown backend, for one whose package is missing, and for an ONNX file in
    torch.
    """
    if backend not in BACKENDS:
        raise ValueError(f'backend {backend!r}: choose from {", ".join(BACKENDS)}')
    exported = Path(weights_file).suffix == SUFFIX
    if backend == 'auto' and (exported or not _is_there('torch')):
        found = installed()
        if not found:
            raise ValueError(f'{weights_file}: an ONNX file needs a runtime: '
                             "pip install '.[onnxruntime]' or '.[openvino]'" if exported else
                             "no runtime is installed: pip install '.[torch]', '.[onnxruntime]' "
                             "or '.[openvino]'")
        return found
    if backend in ('auto', 'torch') and exported:
        raise ValueError(f'{weights_file}: torch cannot run an ONNX file; choose backend '
                         'auto, onnxruntime or openvino')
    if backend == 'auto':
        return ('torch',)
    if not _is_there(backend):
        raise ValueError(f'backend {backend!r}: the package {backend} is missing: '
                         f"pip install '.[{backend}]'")
    return (backend,)


def installed() -> tuple[str, ...]:
    """Return the runtimes for exported networks that are installed, usually fastest first."""
    x86 = platform.machine().lower() in ('x86_64', 'amd64')
    return tuple(name for name in ('openvino', 'onnxruntime')
                 if _is_there(name) and (x86 or name != 'openvino'))


def _is_there(package: str) -> bool:
    return find_spec(package) is not None


def start(name: str, threads: int, cache: Path) -> Runtime:
    """Return the runtime called ``name``; 0 ``threads`` are as many as physical cores."""
    if threads < 0:
        raise ValueError(f'threads {threads}: 0 (the physical cores) or positive')
    threads = threads or physical_cores()
    if name == 'onnxruntime':
        from jrn_perception.perception.backends.onnxruntime import OnnxRuntime
        return OnnxRuntime(threads)
    from jrn_perception.perception.backends.openvino import OpenVino
    return OpenVino(threads, cache / 'openvino')


def physical_cores() -> int:
    """Return the cores that this process may use; two threads of one core count once."""
    allowed = os.sched_getaffinity(0) if hasattr(os, 'sched_getaffinity') else range(
        os.cpu_count() or 1)
    cores = set()
    for cpu in allowed:
        try:
            cores.add((CPUS / f'cpu{cpu}/topology/thread_siblings_list').read_text())
        except OSError:  # Not Linux, or a container without /sys.
            cores.add(str(cpu))
    return len(cores)
