# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
HydraNet: one encoder, one light-weight decoder, a head per task.

Nekrasov et al., "Real-Time Joint Semantic Segmentation and Depth Estimation Using Asymmetric
Annotations", ICRA 2019 (arXiv:1809.04766), Fig. 1: MobileNet-v2, light-weight RefineNet, and task
heads that differ only in their last convolution. Layer sizes follow the authors' published
checkpoints, which ``conversion.convert_published`` reads.
"""

from __future__ import annotations

from collections.abc import Mapping

from jrn_perception.networks.decoders.refinenet import Decoder, Head
from jrn_perception.networks.encoders import ENCODERS
from jrn_perception.networks.interface import Maps, TASKS
import torch
from torch import nn, Tensor
from torch.nn import functional

# The authors' head is linear and their evaluation takes the absolute value. Softplus has the same
# range without the change of sign, and without the dead gradient of the ReLU in the authors' loss.
DEPTH_ACTIVATIONS = {'abs': torch.abs, 'softplus': functional.softplus}


class HydraNet(nn.Module):
    """
    Joint semantic segmentation and depth estimation (and surface normals) in one pass.

    ``heads`` maps tasks to output channels, a subset of ``{'semantics': K, 'depth': 1, 'normals':
    3}``. ``forward`` takes RGB (B, 3, H, W) normalised with the ImageNet mean and standard
    deviation, any size from 32x32, and returns ``Maps`` at ceil(H/4) x ceil(W/4): logits, metres
    (>= 0) and normals of any length. ``encoder`` is a key of ``ENCODERS`` and ``encoder_stride``
    the stride of its coarsest features; for ``dropout`` see ``Decoder``. Raises ValueError, which
    lists the choices, for unknown heads, names or strides.
    """

    def __init__(self, heads: Mapping[str, int], depth_activation: str = 'softplus',
                 encoder: str = 'mobilenetv2', dropout: float = 0., encoder_stride: int = 32):
        super().__init__()
        unknown = set(heads) - set(TASKS)
        if unknown or not heads:
            raise ValueError(f'heads: {sorted(unknown) or "none"}; choose from {", ".join(TASKS)}')
        if depth_activation not in DEPTH_ACTIVATIONS:
            raise ValueError(f'depth_activation {depth_activation!r}: choose from '
                             f'{", ".join(DEPTH_ACTIVATIONS)}')
        if encoder not in ENCODERS:
            raise ValueError(f'encoder {encoder!r}: choose from {", ".join(ENCODERS)}')
        self.depth_activation = depth_activation
        self.encoder = ENCODERS[encoder](encoder_stride)
        self.decoder = Decoder(self.encoder.channels, self.encoder.levels, dropout)
        self.heads = nn.ModuleDict(
            {task: Head(outputs, exact=task == 'depth') for task, outputs in heads.items()})
        self._initialise()

    @property
    def output_stride(self) -> int:
        return min(self.encoder.strides)

    def _initialise(self) -> None:
        # He initialisation: under the authors' normal(0, 0.01) activations vanish to 1e-29.
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity='relu')
        for name, head in self.heads.items():
            nn.init.ones_(head.scale.weight)
            nn.init.normal_(head.predict.weight, std=0.01)
            # Depth starts at a room's usual distance, which saves the first epoch.
            nn.init.constant_(head.predict.bias, 2.5 if name == 'depth' else 0.)
        # Residual pooling starts as a small correction: four larger ones in a row would blow up.
        for block in self.decoder.pooling:
            for projection in block.projections:
                nn.init.normal_(projection.weight, std=0.01)

    def calibrate(self, image: Tensor) -> None:
        """Fit a randomly initialised decoder to the encoder, on typical images (B, 3, H, W)."""
        training = self.training
        with torch.no_grad():
            self.decoder.calibrate(self.eval().encoder(image))
        self.train(training)

    def forward(self, image: Tensor) -> Maps:
        features = self.decoder(self.encoder(image))
        outputs = {task: head(features) for task, head in self.heads.items()}
        if 'depth' in outputs:
            outputs['depth'] = DEPTH_ACTIVATIONS[self.depth_activation](outputs['depth'])
        return Maps(**outputs)
