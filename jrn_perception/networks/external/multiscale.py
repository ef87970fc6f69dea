# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Eigen and Fergus's three-scale network on VGG-16, the depth input of the JRN paper.

The docstrings mark the source of each fact:
[paper] Eigen and Fergus, ICCV 2015, arXiv 1411.4734, as its public summaries give it;
[release] the authors' public model definition ``depthnormals_nyud_vgg``;
[ports] public re-implementations that read the released weights, which show the filter counts;
[ours] a decision of this package.
"""

from __future__ import annotations

import math

from jrn_perception.networks.external.fcn import (
    bilinear_kernel,
    check_rgb,
    Pixels,
    vgg16_convolutions,
    VGG16_STAGES,
)
from jrn_perception.networks.interface import Maps
import torch
from torch import nn, Tensor
from torch.nn import functional

NATIVE_SIZE = (228, 304)
"""Height and width that the fully connected layers fix [release]."""

OUTPUT_SIZE = (109, 147)
"""Height and width of the maps, about half of the native size [paper, release]."""

LOG_DEPTH_MEAN = 0.82473954
LOG_DEPTH_STD = 0.45723134
"""Mean and standard deviation of the natural logarithm of depth in metres over NYUv2 [release]."""

_GLOBAL = (64, 14, 19)
_SCALE2_SIZE = (55, 74)
_FINE_CHANNELS = 64

# A map pixel r sees the native input around pixel 2 r + 5 (9x9 stride 2 padding 1, then 3x3), so
# the maps cover [4.5, 222.5] x [4.5, 298.5] of it: 218 x 294 of 228 x 304 pixels.
_COVERED = tuple(2 * size for size in OUTPUT_SIZE)

VIEW_SCALE = math.sqrt(_COVERED[0] / 240 * _COVERED[1] / 320)
"""How much smaller ``forward`` shows the scene than the authors' 240x320 picture did [ours]."""


class MultiScaleDepth(nn.Module):
    """
    Depth from one image by three networks, each refining the one before [paper].

    Scale 1 sees all of the image: VGG-16 to pool5 (the first two convolutions without padding
    [ports]), times 0.01 [release], then two fully connected layers [paper] of 4096 and 64x14x19
    [release, ports], upsampled bilinearly by 4. Scale 2 joins 96 features of the image (9x9
    stride 2, pool 3 stride 2) and predicts at 55x74 by three 5x5 convolutions of 64 channels and
    a 5x5 transposed one [release, ports], plus a learned bias per pixel [release]. Scale 3 joins
    that prediction, doubled by repetition, with features of the image at stride 2 (9x9, pool 3
    stride 1), 64 channels together, and predicts at 109x147 by three 5x5 layers [release, ports].

    The output is ln(depth in metres) / ``LOG_DEPTH_STD`` [release]; ``forward`` returns metres.

    ``normals=False`` is the paper's network for depth alone; its scale 3 joins 63 image features
    with one prediction, which is inferred from the release. ``normals=True`` is the released
    network, which also predicts normals and feeds them to scale 3. Layers have the names of the
    release. The release computes 64 filters in ``conv_s3_1`` and discards the first four; here
    these four do not exist. Theano's convolutions flip their kernels.

    An untrained network is He-normal and predicts about the mean depth of NYUv2 [ours]. Gradients
    pass between the scales; the authors train scale 3 with 1 and 2 held fixed [paper].
    """

    output_stride = 2
    """At the native size; the maps have ``OUTPUT_SIZE`` whatever the size of the image."""

    minimum_size = OUTPUT_SIZE
    """Smallest (height, width): an image with as many pixels as the depth map."""

    def __init__(self, *, normals: bool = False) -> None:
        super().__init__()
        self.tasks = {'depths': 1, 'normals': 3} if normals else {'depths': 1}
        predictions = sum(self.tasks.values())
        self.vgg_pixels = Pixels((123.68, 116.779, 103.939))
        self.image_pixels = Pixels((109.31410628,) * 3, 76.18328376)
        for name, convolution in vgg16_convolutions({'conv1_1': 0, 'conv1_2': 0}):
            self.add_module(f'imnet_{name}', convolution)
        self.full1 = nn.Linear(512 * 7 * 9, 4096)
        self.dropout = nn.Dropout(0.5)
        self.full2 = nn.Linear(4096, math.prod(_GLOBAL))
        self.register_buffer('upsample4', bilinear_kernel(7)[None, None], persistent=False)
        self.conv_s2_1 = nn.Conv2d(3, 96, 9, stride=2, padding=1)
        self.conv_s3_1 = nn.Conv2d(3, _FINE_CHANNELS - predictions, 9, stride=2, padding=1)
        self.depths_bias = nn.Parameter(
            torch.full((1, *_SCALE2_SIZE), LOG_DEPTH_MEAN / LOG_DEPTH_STD))
        for task, channels in self.tasks.items():
            self._add_stack(f'{task}_conv_s2', 96 + _GLOBAL[0], channels, layers=4)
            self._add_stack(f'{task}_conv_s3', _FINE_CHANNELS, channels, layers=3)
        self._initialise()

    def _add_stack(self, name: str, inputs: int, outputs: int, layers: int) -> None:
        for index in range(2, layers + 1):
            self.add_module(f'{name}_{index}', nn.Conv2d(inputs, 64, 5, padding=2))
            inputs = 64
        self.add_module(f'{name}_{layers + 1}', nn.ConvTranspose2d(64, outputs, 5, padding=2))

    def _initialise(self) -> None:
        for layer in self.modules():
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(layer.weight, nonlinearity='relu')
                nn.init.zeros_(layer.bias)
            elif isinstance(layer, nn.ConvTranspose2d):
                nn.init.normal_(layer.weight, std=0.01)
                nn.init.zeros_(layer.bias)
        nn.init.constant_(self.depths_conv_s3_4.bias, LOG_DEPTH_MEAN / LOG_DEPTH_STD)

    def forward(self, rgb: Tensor) -> Maps:
        """
        Return ``depth`` (B, 1, 109, 147) in metres over the whole field of view of the image.

        ``rgb`` is float (B, 3, H, W), normalised with the ImageNet mean and standard deviation, at
        least ``minimum_size``; other tensors raise ValueError. The image is resampled so that the
        maps cover all of it, pixel areas aligned (``align_corners=False``); the authors instead
        crop the centre and leave a margin of 5 % without depth. The resampled scene appears at
        ``VIEW_SCALE`` of its size in the authors' training, as if 1 / VIEW_SCALE times as far
        away, so the depth is multiplied by ``VIEW_SCALE`` [ours]. With ``normals=True`` also
        ``normals`` (B, 3, 109, 147), of about unit length.
        """
        check_rgb(rgb, self.minimum_size, type(self).__name__)
        maps = self.forward_native(self.to_native(rgb))
        assert maps.depth is not None
        return maps._replace(depth=VIEW_SCALE * maps.depth)

    def to_native(self, rgb: Tensor) -> Tensor:
        """
        Return the image resampled to (B, 3, 228, 304) so that the maps cover all of it.

        The image fills the 218x294 pixels that the maps cover, 4.5 pixels from the top left; its
        border pixels are repeated around it. Resampling at twice the size makes the half pixel.
        """
        doubled = functional.interpolate(
            rgb, tuple(2 * size for size in _COVERED), mode='bilinear', antialias=True)
        return functional.avg_pool2d(functional.pad(doubled, (9, 11, 9, 11), 'replicate'), 2)

    def forward_native(self, rgb: Tensor) -> Maps:
        """
        Return the maps of an image of the native size, (B, 3, 228, 304).

        The authors' protocol is to pass rows 6 to 233 and columns 8 to 311 of a 240x320 picture;
        the map pixel (r, c) then is the picture's pixel (11 + 2 r, 13 + 2 c).
        """
        if tuple(rgb.shape[2:]) != NATIVE_SIZE:
            raise ValueError(
                f'forward_native needs an image of {NATIVE_SIZE[0]}x{NATIVE_SIZE[1]} (height x '
                f'width); it got {tuple(rgb.shape[2:])}: call the network, which resamples')
        image = self.image_pixels(rgb)
        middle = functional.max_pool2d(functional.relu(self.conv_s2_1(image)), 3, stride=2)
        fine = functional.max_pool2d(functional.relu(self.conv_s3_1(image)), 3, stride=1)
        coarse = self._predict(2, torch.cat((self._scale1(rgb), middle), 1))
        coarse['depths'] = coarse['depths'] + self.depths_bias
        doubled = functional.interpolate(torch.cat(list(coarse.values()), 1), scale_factor=2)
        predictions = self._predict(
            3, torch.cat((doubled[:, :, :OUTPUT_SIZE[0], :OUTPUT_SIZE[1]], fine), 1))
        depth = torch.exp(LOG_DEPTH_STD * predictions['depths'])
        return Maps(depth=depth, normals=predictions.get('normals'))

    def _scale1(self, rgb: Tensor) -> Tensor:
        features = self.vgg_pixels(rgb)
        for stage, (_, depth) in enumerate(VGG16_STAGES, start=1):
            for index in range(1, depth + 1):
                features = functional.relu(getattr(self, f'imnet_conv{stage}_{index}')(features))
            features = functional.max_pool2d(features, 2)
        hidden = functional.relu(self.full1(0.01 * features.flatten(1)))
        # The authors drop without rescaling and halve at prediction; torch's dropout doubles.
        hidden = functional.relu(self.full2(0.5 * self.dropout(hidden)))
        return self.upsample(hidden.view(-1, *_GLOBAL))

    def upsample(self, features: Tensor) -> Tensor:
        """Return (B, C, 14, 19) upsampled bilinearly by 4, cropped to 55x74 as by the authors."""
        batch, channels, height, width = features.shape
        single = features.reshape(batch * channels, 1, height, width)
        upsampled = functional.conv_transpose2d(single, self.upsample4, stride=4)
        return upsampled[:, :, 2:-2, 2:-3].reshape(batch, channels, *_SCALE2_SIZE)

    def _predict(self, scale: int, features: Tensor) -> dict[str, Tensor]:
        last = {2: 5, 3: 4}[scale]
        predictions = {}
        for task in self.tasks:
            hidden = features
            for index in range(2, last):
                hidden = functional.relu(getattr(self, f'{task}_conv_s{scale}_{index}')(hidden))
            predictions[task] = getattr(self, f'{task}_conv_s{scale}_{last}')(hidden)
        if 'normals' in predictions:
            normals = predictions['normals']
            length = (normals.square().sum(1, keepdim=True) + 1e-4).sqrt()
            predictions['normals'] = normals / length
        return predictions
