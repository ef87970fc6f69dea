# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Which runtime executes a network, and with how many threads. Imports none of them."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
import os
from pathlib import Path
import platform

from jrn_perception.perception.backends.exported import Runtime
from jrn_perception.weights.files import RANDOM
from jrn_perception.weights.onnx import SUFFIX

BACKENDS = ('auto', 'torch', 'onnxruntime', 'openvino')
CPUS = Path('/sys/devices/system/cpu')
CPUINFO = Path('/proc/cpuinfo')
# What Linux calls instructions for bfloat16 on x86-64 and on Arm.
BFLOAT16_FLAGS = {'avx512_bf16', 'amx_bf16', 'bf16'}


@dataclass(frozen=True)
class Options:
    """
    Where and how a network runs.

    ``device``: auto, cpu, cuda or cuda:N; ``precision``: auto, fp32, fp16 or bf16; ``backend``:
    a name of ``BACKENDS``; ``threads`` of the CPU: 0 for the physical cores. ``size`` (height,
    width) of the network's input: 0 for the size of training.
    """

    device: str = 'auto'
    precision: str = 'auto'
    backend: str = 'auto'
    threads: int = 0
    size: tuple[int, int] = (0, 0)


def candidates(options: Options, weights_file: str) -> tuple[str, ...]:
    """
    Return the backends to try for a weights file, best first; only ``auto`` has several.

    On the CPU ``auto`` is OpenVINO on x86-64, then ONNX Runtime, whichever is installed, then
    torch. It is torch alone on CUDA, in fp16, and for random weights, whose export would take
    longer than a test. Raises ValueError for an unknown backend, for one whose package is missing,
    for an ONNX file in torch, and for a precision that the backend does not have.
    """
    backend, exported = options.backend, Path(weights_file).suffix == SUFFIX
    if backend not in BACKENDS:
        raise ValueError(f'backend {backend!r}: choose from {", ".join(BACKENDS)}')
    if backend == 'auto':
        return _candidates(options, weights_file, exported)
    if backend == 'torch' and exported:
        raise ValueError(f'{weights_file}: torch cannot run an ONNX file; choose backend '
                         'auto, onnxruntime or openvino')
    if not _is_there(backend):
        raise ValueError(f'backend {backend!r}: the package {backend} is missing: '
                         f"pip install '.[{backend}]'")
    if backend != 'torch':
        check_runtime(backend, options)
    return (backend,)


def _candidates(options: Options, weights_file: str, exported: bool) -> tuple[str, ...]:
    """Return the backends that ``auto`` tries."""
    torch = not exported and _is_there('torch')
    if torch and (weights_file == RANDOM or _is_for_cuda(options)):
        return ('torch',)
    runtimes, reason = [], ''
    for name in installed():
        try:
            check_runtime(name, options)
            runtimes.append(name)
        except ValueError as error:
            reason = reason or str(error)
    if torch:
        return (*runtimes, 'torch')
    if not runtimes:
        raise ValueError(reason or (
            f'{weights_file}: an ONNX file needs a runtime: '
            "pip install '.[onnxruntime]' or '.[openvino]'" if exported else
            "no runtime is installed: pip install '.[torch]', '.[onnxruntime]' or '.[openvino]'"))
    return tuple(runtimes)


def _is_for_cuda(options: Options) -> bool:
    if options.device != 'auto':
        return options.device != 'cpu'
    try:
        if version('torch').endswith('+cpu'):  # Spares the import of torch.
            return False
    except PackageNotFoundError:  # A torch that no installer has noted.
        pass
    from jrn_perception.perception.backends.torch import select_device
    return select_device('auto').type == 'cuda'


def check_runtime(name: str, options: Options) -> None:
    """Raise ValueError if a runtime for exported networks cannot follow ``options``."""
    if options.device not in ('auto', 'cpu') and name != 'onnxruntime':
        raise ValueError(f'device {options.device!r}: backend {name} runs on the CPU; choose '
                         'device auto or cpu, or backend torch or onnxruntime')
    if options.precision == 'bf16' and name == 'openvino':
        if not cpu_knows_bfloat16():
            raise ValueError("precision 'bf16': this CPU has no instructions for it; choose "
                             'precision auto or fp32')
    elif options.precision not in ('auto', 'fp32'):
        raise ValueError(f'precision {options.precision!r}: backend {name} computes in '
                         f'{"fp32 or bf16" if name == "openvino" else "fp32"}; choose precision '
                         'auto or fp32, or backend torch')


def runtime_precision(name: str, wanted: str, card: str) -> str:
    """
    Return in which precision a runtime computes: fp32 or bf16.

    ``auto`` is fp32, but bf16 for a ``card`` that jrn_export --bf16 wrote, where the runtime and
    the CPU have it. Raises ValueError for another precision than ``auto`` of an int8 file.
    """
    if card == 'int8' and wanted != 'auto':
        raise ValueError(f'precision {wanted!r}: the file is in int8; choose precision auto, or '
                         'export the weights again without --int8')
    if wanted == 'auto':
        asked = card == 'bf16' and name == 'openvino' and cpu_knows_bfloat16()
        return 'bf16' if asked else 'fp32'
    return wanted


def cpu_knows_bfloat16() -> bool:
    """Return whether Linux lists bfloat16 among this CPU's instructions; elsewhere False."""
    try:
        lines = CPUINFO.read_text().splitlines()
    except OSError:
        return False
    flags = next((line for line in lines if line.startswith(('flags', 'Features'))), '')
    return bool(BFLOAT16_FLAGS & set(flags.split()))


def installed() -> tuple[str, ...]:
    """Return the runtimes for exported networks that are installed, usually fastest first."""
    x86 = platform.machine().lower() in ('x86_64', 'amd64')
    return tuple(name for name in ('openvino', 'onnxruntime')
                 if _is_there(name) and (x86 or name != 'openvino'))


def _is_there(package: str) -> bool:
    return find_spec(package) is not None


def start(name: str, threads: int, cache: Path, precision: str = 'fp32', device: str = 'auto'
          ) -> Runtime:
    """
    Return the runtime called ``name``; 0 ``threads`` are as many as physical cores.

    ``auto`` as ``device`` is the CPU. ValueError for threads or a device that are not there.
    """
    if threads < 0:
        raise ValueError(f'threads {threads}: 0 (the physical cores) or positive')
    threads = threads or physical_cores()
    if name == 'onnxruntime':
        from jrn_perception.perception.backends.onnxruntime import OnnxRuntime
        return OnnxRuntime(threads, 'cpu' if device == 'auto' else device, cache)
    from jrn_perception.perception.backends.openvino import OpenVino
    return OpenVino(threads, cache / 'openvino', precision)


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
