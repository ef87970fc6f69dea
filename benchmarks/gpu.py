# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Compare the ways to run the shipped networks on a CUDA GPU: agreement with the CPU, and time.

For HydraNet and the default JRN the script prints a row for each way: torch in fp32 and fp16,
with each call launched by Python, through CUDA graphs (as the node does), and through
torch.compile; ONNX Runtime with its CUDA and TensorRT providers, where onnxruntime-gpu and
tensorrt are installed. A time is the median from uint8 pictures on the CPU to maps on the CPU, all
ways in alternation. Agreement is with torch in fp32 on the CPU, on drawn rooms. Then the node runs
beside a camera process. Nobody has run this script on a GPU yet.

    python benchmarks/gpu.py [--rounds 50] [--device cuda]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
import statistics
import subprocess
import sys
import time

from jrn_perception import networks, weights
from jrn_perception.perception import Perception, SetUp
from jrn_perception.perception.backends.exported import ExportedBackend
from jrn_perception.perception.backends.interface import Backend
from jrn_perception.perception.backends.parity import compare
from jrn_perception.perception.backends.torch import Graphs
from jrn_perception.perception.loading import cache_folder, cached_export
from jrn_perception.rooms.scenes import Scene
from jrn_perception.weights.onnx import read_content, SUFFIX
import numpy as np
import torch

BATCHES = (1, 4)
# torch.compile compiles in the first runs, CUDA graphs are recorded in the second.
WARM_UPS = 4


def in_torch(architecture: str, device: str) -> Iterator[tuple[str, Backend]]:
    """Yield torch's ways."""
    for precision in ('fp32', 'fp16'):
        for way in ('eager', 'CUDA graphs', 'torch.compile'):
            backend = Perception.load(architecture, device=device, precision=precision,
                                      backend='torch').backend
            backend.graphs = Graphs() if way == 'CUDA graphs' else None
            if way == 'torch.compile':
                backend.network = torch.compile(backend.network, mode='max-autotune')
            yield f'torch {precision}, {way}', backend


def in_onnxruntime(architecture: str, device: str) -> Iterator[tuple[str, Backend]]:
    """Yield the providers that are installed; those that cannot run are named and left out."""
    try:
        from jrn_perception.perception.backends.onnxruntime import OnnxRuntime
        found = OnnxRuntime(1, device, cache_folder()).providers
    except (ImportError, ValueError) as error:
        print(f'without ONNX Runtime: {error}')
        return
    path = weights.with_graph(weights.resolve('', architecture))
    if path.suffix != SUFFIX:
        path = cached_export(networks.find(architecture), path)
    for index, (name, _) in enumerate(found[:-1]):
        runtime = OnnxRuntime(1, device, cache_folder())
        runtime.providers = runtime.providers[index:]
        try:
            yield f'onnxruntime fp32, {name}', ExportedBackend(path, read_content(path), runtime)
        except ValueError as error:
            print(f'left out: {error}')


def measure(backends: dict[str, Backend], pictures: np.ndarray, rounds: int) -> dict[str, float]:
    """Return the median milliseconds of a batch, by name; the backends take turns."""
    times: dict[str, list[float]] = {name: [] for name in backends}
    for turn in range(WARM_UPS + rounds):
        for name, backend in backends.items():
            begin = time.perf_counter()
            backend.run(pictures, SetUp())
            if turn >= WARM_UPS:
                times[name].append(1e3 * (time.perf_counter() - begin))
    return {name: statistics.median(values) for name, values in times.items()}


def table(architecture: str, arguments: argparse.Namespace) -> None:
    """Print the rows of one network."""
    cpu = Perception.load(architecture, device='cpu', precision='fp32', backend='torch')
    rooms = [Scene(seed).render(height=480, width=640).rgb for seed in range(max(BATCHES))]
    pictures = np.stack([cpu.preprocess(rgb) for rgb in rooms])
    expected = cpu.infer(pictures)
    backends = {**dict(in_torch(architecture, arguments.device)),
                **dict(in_onnxruntime(architecture, arguments.device))}
    parity = {name: compare(backend.run(pictures, SetUp()), expected)
              for name, backend in backends.items()}
    times = [measure(backends, pictures[:batch], arguments.rounds) for batch in BATCHES]
    print(f'\n| {architecture} | depth differs by at most, mm | equal labels % | '
          + ' | '.join(f'ms, batch {batch}' for batch in BATCHES)
          + ' |\n| --- | ---: | ---: | ---: | ---: |')
    for name, found in parity.items():
        print(f'| {name} | {1000 * found.depth_m:.3g} | {100 * found.labels:.2f} | '
              + ' | '.join(f'{column[name]:.2f}' for column in times) + ' |', flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument('--rounds', type=int, default=50, help='default: %(default)s')
    parser.add_argument('--device', default='cuda', help='cuda or cuda:N; default: %(default)s')
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        print('no CUDA device: nothing to measure')
        return
    print(f'{torch.cuda.get_device_name(arguments.device)}, torch {torch.__version__}')
    for architecture in ('hydranet', 'jrn'):
        table(architecture, arguments)
    print(flush=True)
    subprocess.run([sys.executable, str(Path(__file__).with_name('node.py')), '--backends',
                    'torch', '--device', arguments.device], check=True)


if __name__ == '__main__':
    main()
