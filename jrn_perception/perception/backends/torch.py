# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""PyTorch: devices and precisions."""

from __future__ import annotations

import torch

PRECISIONS = ('auto', 'fp32', 'fp16', 'bf16')
DTYPES = {'fp32': torch.float32, 'fp16': torch.float16, 'bf16': torch.bfloat16}


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
    """Return whether bfloat16 is faster than float32 there: CPUs that emulate it are slower."""
    return device.type == 'cuda' or torch.cpu._is_avx512_bf16_supported()
