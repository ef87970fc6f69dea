# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Random networks of a small input size, and pictures for them."""

import cv2
from jrn_perception import weights
from jrn_perception.perception import Perception
import numpy as np
import torch

SMALL = {'height': 96, 'width': 128}


def load(architecture, variant='', seed=0, liven=True, **options):
    """Return a network whose random weights say different things of different pixels."""
    loaded = weights.load(architecture, variant, 'random', seed)
    if liven:
        generator = torch.Generator().manual_seed(seed)
        for name, parameter in loaded.network.named_parameters():
            if name.endswith('predict.weight'):
                parameter.data.normal_(0, 0.2, generator=generator)
    return Perception(loaded, device='cpu', **options)


def picture(height=120, width=160, seed=0):
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 256, (6, 8, 3), np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def blocks(channels, height=6, width=8, seed=0):
    return torch.randn(1, channels, height, width, generator=torch.Generator().manual_seed(seed))
