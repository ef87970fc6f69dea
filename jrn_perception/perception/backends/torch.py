# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""PyTorch on a CPU or on CUDA."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from jrn_perception.networks.interface import Maps
from jrn_perception.networks.layers import fold_batch_norms
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
CPUINFO = Path('/proc/cpuinfo')
# What Linux calls instructions for bfloat16 on x86-64 and on Arm.
BFLOAT16_FLAGS = {'avx512_bf16', 'amx_bf16', 'bf16'}


class TorchBackend:
    """
    A network of ``weights.load``, its batch norms folded, ready on its device.

    ``can_mute``: the network has the arguments of a JRN. Raises ValueError for a device or a
    precision that this machine does not have. ``threads`` above 0 are set for all of torch in
    this process; 0 leaves torch's own number, the physical cores.
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

    def normalise(self, pictures: np.ndarray) -> Tensor:
        """Return uint8 pictures (B, h, w, 3) as the network takes them, (B, 3, h, w)."""
        # (B, h, w, 3) seen as (B, 3, h, w) is what channels_last means: nothing is moved.
        image = torch.from_numpy(pictures).to(self.device).permute(0, 3, 1, 2)
        return (image - self.mean) / self.std

    @torch.inference_mode()
    def run(self, pictures: np.ndarray, set_up: SetUp, inputs: ArrayMaps | None = None
            ) -> ArrayMaps:
        """Return the maps of ``pictures``: see ``interface.Backend.run``."""
        arguments = {}
        if self.can_mute:
            arguments = {'mute': set_up.mute, 'mute_value': set_up.mute_value,
                         'influence': set_up.influence}
            if inputs is not None:
                arguments['inputs'] = self._to_tensors(inputs)
        with self._autocast():
            maps = self.network(self.normalise(pictures), **arguments)
        return to_arrays(maps)

    @torch.inference_mode()
    def predict_inputs(self, pictures: np.ndarray) -> ArrayMaps:
        """Return what the JRN of ``networks.jrn.ModularNetwork`` would be given."""
        with self._autocast():
            return to_arrays(self.network.predict_inputs(self.normalise(pictures)))

    def memory_mb(self) -> float:
        """Return the megabytes that tensors hold on the GPU; 0 on a CPU."""
        if self.device.type != 'cuda':
            return 0.0
        return torch.cuda.memory_allocated(self.device) / 2 ** 20

    def _autocast(self) -> AbstractContextManager:
        return nullcontext() if self.precision == 'fp32' else torch.autocast(
            self.device.type, DTYPES[self.precision])

    def _to_tensors(self, maps: ArrayMaps) -> Maps:
        depth, semantics = (torch.from_numpy(array).to(self.device)
                            for array in (maps.depth, maps.semantics))
        validity = None
        if maps.validity is not None:
            validity = torch.from_numpy(maps.validity).to(self.device)[:, None]
        return Maps(depth[:, None], semantics.permute(0, 3, 1, 2), validity=validity)


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
            _array(influence.depth[:, 0]), _array(influence.semantics[:, 0])),
        channel(maps.validity))


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

    Every GPU counts. A CPU counts if Linux lists the instructions; on other systems none does.
    """
    if device.type == 'cuda':
        return True
    try:
        lines = CPUINFO.read_text().splitlines()
    except OSError:
        return False
    flags = next((line for line in lines if line.startswith(('flags', 'Features'))), '')
    return bool(BFLOAT16_FLAGS & set(flags.split()))
