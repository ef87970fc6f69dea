# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""PyTorch on a CPU or on CUDA."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any
import warnings

from jrn_perception.networks.interface import Maps
from jrn_perception.networks.layers import fold_batch_norms
from jrn_perception.perception.backends.choice import cpu_knows_bfloat16
from jrn_perception.perception.backends.interface import (
    ArrayMaps,
    InfluenceMaps,
    PRECISIONS,
    SetUp,
)
from jrn_perception.weights.card import Preprocessing
import numpy as np
import torch
from torch import nn, Tensor

DTYPES = {'fp32': torch.float32, 'fp16': torch.float16, 'bf16': torch.bfloat16}
# CUDA graphs that are kept: for sizes of input, batches and set-ups.
GRAPHS = 8
# Runs before a graph is recorded, in which cuDNN and the allocator make their choices.
WARM_UPS = 3

Function = Callable[..., Maps]


@dataclass(frozen=True)
class Recording:
    """A recorded run: ``replay`` computes ``outputs`` from ``inputs``, at the same addresses."""

    inputs: tuple[Tensor, ...]
    outputs: Maps
    replay: Callable[[], None]


def record(function: Function, inputs: tuple[Tensor, ...]) -> Recording:
    """Return ``function`` on ``inputs`` as a CUDA graph; RuntimeError if CUDA cannot record it."""
    with torch.cuda.device(inputs[0].device):
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UPS):
                function(*inputs)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        # Another thread may run another network meanwhile.
        with torch.cuda.graph(graph, capture_error_mode='thread_local'):
            outputs = function(*inputs)
    return Recording(inputs, outputs, graph.replay)


class Graphs:
    """
    Runs functions through recordings, one for each key and shapes of the inputs.

    A network of a hundred small layers keeps a GPU waiting for Python; a recording is one call.
    Inputs are recorded when they come for the second time, so that pictures that all differ in
    size are not. Where recording fails, a warning says so, and all functions run as they are.
    """

    def __init__(self, recorder: Callable[[Function, tuple[Tensor, ...]], Recording] = record):
        self._recorder = recorder
        # None for inputs that have come once.
        self._recordings: OrderedDict[Hashable, Recording | None] = OrderedDict()
        self.works = True

    def run(self, key: Hashable, function: Function, inputs: tuple[Tensor, ...],
            device: torch.device) -> Maps:
        """Return ``function(*inputs)`` on ``device``; the next run overwrites the result."""
        key = key, tuple(tensor.shape for tensor in inputs)
        if self.works and key in self._recordings:
            recording = self._recordings[key]
            if recording is None:
                recording = self._record(function, tuple(x.to(device, copy=True) for x in inputs))
            if recording is not None:
                self._keep(key, recording)
                for static, tensor in zip(recording.inputs, inputs):
                    static.copy_(tensor)
                recording.replay()
                return recording.outputs
        elif self.works:
            self._keep(key, None)
        return function(*(tensor.to(device) for tensor in inputs))

    def _record(self, function: Function, inputs: tuple[Tensor, ...]) -> Recording | None:
        try:
            return self._recorder(function, inputs)
        except RuntimeError as error:
            self.works = False
            self._recordings.clear()
            warnings.warn(f'CUDA cannot record the network, which therefore runs slower: {error}',
                          RuntimeWarning, stacklevel=2)
            return None

    def _keep(self, key: Hashable, recording: Recording | None) -> None:
        self._recordings[key] = recording
        self._recordings.move_to_end(key)
        if len(self._recordings) > GRAPHS:
            self._recordings.popitem(last=False)


class TorchBackend:
    """
    A network of ``weights.load``, its batch norms folded, ready on its device.

    ``can_mute``: the network has the arguments of a JRN. Raises ValueError for a device or a
    precision that this machine does not have. ``threads`` above 0 are set for all of torch in
    this process; 0 leaves torch's own number, the physical cores. On CUDA the network is recorded
    as CUDA graphs.
    """

    name = 'torch'
    version = torch.__version__

    def __init__(self, network: nn.Module, preprocessing: Preprocessing, can_mute: bool,
                 device: str = 'auto', precision: str = 'auto', threads: int = 0):
        if threads < 0:
            raise ValueError(f'threads {threads}: 0 (the physical cores) or positive')
        if threads:
            torch.set_num_threads(threads)
        self.device = select_device(device)
        self.precision = select_precision(precision, self.device)
        self.can_mute = can_mute
        self.network: nn.Module = fold_batch_norms(network).to(
            self.device, memory_format=torch.channels_last)
        low, high = preprocessing.value_range
        gain = 255 / (high - low)
        mean, std = (torch.tensor(values, device=self.device).view(3, 1, 1)
                     for values in (preprocessing.mean, preprocessing.std))
        self.mean, self.std = gain * (mean - low), gain * std
        self.graphs = Graphs() if self.device.type == 'cuda' else None

    def normalise(self, pictures: np.ndarray) -> Tensor:
        """Return uint8 pictures (B, h, w, 3) as the network takes them, (B, 3, h, w)."""
        return self._normalise(torch.from_numpy(pictures).to(self.device))

    def _normalise(self, pictures: Tensor) -> Tensor:
        # (B, h, w, 3) seen as (B, 3, h, w) is what channels_last means: nothing is moved.
        return (pictures.permute(0, 3, 1, 2) - self.mean) / self.std

    @torch.inference_mode()
    def run(self, pictures: np.ndarray, set_up: SetUp, inputs: ArrayMaps | None = None
            ) -> ArrayMaps:
        """Return the maps of ``pictures``: see ``interface.Backend.run``."""
        arrays = [pictures]
        if self.can_mute and inputs is not None:
            assert inputs.depth is not None and inputs.semantics is not None
            arrays += [inputs.depth, inputs.semantics]
        tensors = tuple(torch.from_numpy(array) for array in arrays)
        function = partial(self._forward, set_up)
        if self.graphs is None or _draws_noise(set_up):
            return to_arrays(function(*(tensor.to(self.device) for tensor in tensors)))
        return to_arrays(self.graphs.run(set_up, function, tensors, self.device))

    def _forward(self, set_up: SetUp, pictures: Tensor, *given: Tensor) -> Maps:
        """Return the maps of pictures, and of a JRN's inputs if they are given."""
        arguments: dict[str, Any] = {}
        if self.can_mute:
            arguments = {'mute': set_up.mute, 'mute_value': set_up.mute_value,
                         'influence': set_up.influence}
        if given:
            depth, semantics = given
            arguments['inputs'] = Maps(depth[:, None], semantics.permute(0, 3, 1, 2))
        autocast = nullcontext() if self.precision == 'fp32' else torch.autocast(
            self.device.type, DTYPES[self.precision])
        with autocast:
            return self.network(self._normalise(pictures), **arguments)

    def memory_mb(self) -> float:
        """Return the megabytes that tensors hold on the GPU; 0 on a CPU."""
        if self.device.type != 'cuda':
            return 0.0
        return torch.cuda.memory_allocated(self.device) / 2 ** 20


def _draws_noise(set_up: SetUp) -> bool:
    """Return whether a run draws random numbers, which a CUDA graph would not draw again."""
    return set_up.mute_value == 'noise' and (set_up.mute != 'none' or set_up.influence)


def to_arrays(maps: Maps) -> ArrayMaps:
    """Return maps on the CPU, channels last; of a channels_last network they are views."""
    def channel(tensor: Tensor | None) -> np.ndarray | None:
        return None if tensor is None else _array(tensor[:, 0])

    def channels(tensor: Tensor | None) -> np.ndarray | None:
        return None if tensor is None else _array(tensor.permute(0, 2, 3, 1))

    influence = maps.influence
    return ArrayMaps(
        channel(maps.depth), channels(maps.semantics), channels(maps.normals),
        None if maps.inputs is None else to_arrays(maps.inputs),
        None if influence is None else InfluenceMaps(
            _array(influence.depth[:, 0]), _array(influence.semantics[:, 0])))


def _array(tensor: Tensor) -> np.ndarray:
    # Waits for a GPU to finish.
    return tensor.float().cpu().contiguous().numpy()


def select_device(name: str) -> torch.device:
    """
    Return the device for ``auto`` (CUDA if there is one, else the CPU), cpu, cuda or cuda:N.

    Raises ValueError for a device that is not there: an explicit wish is never replaced.
    """
    if name == 'auto':
        return torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ('cpu', 'cuda'):
        raise ValueError(f'device {name!r}: choose from auto, cpu, cuda, cuda:N')
    count = torch.cuda.device_count()
    if device.type == 'cuda' and (device.index or 0) >= count:
        raise ValueError(f'device {name!r} is not there: torch {torch.__version__} sees {count} '
                         'CUDA devices; use device:=auto or cpu, or install a CUDA build of torch')
    return device


def select_precision(name: str, device: torch.device) -> str:
    """Return fp32, fp16 or bf16; ``auto`` is fp16 on CUDA and fp32 on a CPU. ValueError."""
    if name not in PRECISIONS:
        raise ValueError(f'precision {name!r}: choose from {", ".join(PRECISIONS)}')
    if name == 'auto':
        return 'fp16' if device.type == 'cuda' else 'fp32'
    if name == 'fp16' and device.type == 'cpu':
        raise ValueError("precision 'fp16' needs a CUDA device; on a CPU choose fp32 or bf16")
    return name


def knows_bfloat16(device: torch.device) -> bool:
    """
    Return whether ``device`` computes in bfloat16 by itself; a CPU that emulates it is slower.

    Every GPU counts.
    """
    return device.type == 'cuda' or cpu_knows_bfloat16()
