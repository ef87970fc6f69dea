# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
FCN-16s on VGG-16, the semantic input of the JRN paper.

Sources: Long, Shelhamer and Darrell, CVPR 2015, with the layer table of their public
``voc-fcn16s/net.py`` (names, padding, crop offsets, learning-rate multipliers).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from jrn_perception.networks.interface import Maps, MEAN, STD
import torch
from torch import nn, Tensor
from torch.nn import functional

VGG16_STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
"""Channels and number of 3x3 convolutions of the five stages of VGG-16."""

CAFFE_MEAN_BGR = (104.00699, 116.66877, 122.67892)
"""Mean pixel (blue, green, red; 0..255) that Caffe's VGG-16 and the VOC models subtract."""


def vgg16_convolutions(padding: Mapping[str, int]) -> Iterator[tuple[str, nn.Conv2d]]:
    """
    Yield the thirteen convolutions of VGG-16 with their Caffe names, ``conv1_1`` to ``conv5_3``.

    The padding is 1 except for the layers named in ``padding``.
    """
    inputs = 3
    for stage, (channels, depth) in enumerate(VGG16_STAGES, start=1):
        for index in range(1, depth + 1):
            name = f'conv{stage}_{index}'
            yield name, nn.Conv2d(inputs, channels, 3, padding=padding.get(name, 1))
            inputs = channels


def check_rgb(rgb: Tensor, minimum: tuple[int, int], network: str) -> None:
    """Raise ValueError unless ``rgb`` is float (B, 3, H, W) with (H, W) at least ``minimum``."""
    if rgb.ndim != 4 or rgb.shape[1] != 3 or not rgb.is_floating_point():
        raise ValueError(
            f'{network} needs normalised RGB, float (B, 3, H, W); '
            f'it got {rgb.dtype} {tuple(rgb.shape)}')
    height, width = rgb.shape[2:]
    if height < minimum[0] or width < minimum[1]:
        raise ValueError(
            f'{network} needs an image of at least {minimum[0]}x{minimum[1]} (height x width); '
            f'it got {height}x{width}: resize the image before you normalise it')


def bilinear_kernel(size: int) -> Tensor:
    """Return the (size, size) kernel that interpolates bilinearly at stride (size + 1) // 2."""
    factor = (size + 1) // 2
    centre = factor - 1 if size % 2 else factor - 0.5
    line = 1 - (torch.arange(size) - centre).abs() / factor
    return line[:, None] * line[None, :]


class Pixels(nn.Module):
    """
    Map normalised RGB to ``(value - mean) / std`` on the 0..255 scale, in one affine step.

    ``mean`` (three values, in RGB order) and ``std`` are the statistics of the network's own
    training. The buffers are not part of the state dict.
    """

    def __init__(self, mean: Sequence[float], std: float = 1.0) -> None:
        super().__init__()
        double = {'dtype': torch.float64}
        scale = 255 * torch.tensor(STD, **double) / std
        offset = (255 * torch.tensor(MEAN, **double) - torch.tensor(mean, **double)) / std
        for name, value in (('scale', scale), ('offset', offset)):
            value = value.to(torch.get_default_dtype()).view(1, 3, 1, 1)
            self.register_buffer(name, value, persistent=False)

    def forward(self, rgb: Tensor) -> Tensor:
        """Return (B, 3, H, W) pixels, RGB, on the scale of the network."""
        return torch.addcmul(self.offset, rgb, self.scale)


class FCN16s(nn.Module):
    """
    FCN-16s: VGG-16 made convolutional, scores at stride 32 and 16, bilinear upsampling.

    Layer names are Caffe's, as in pytorch-fcn, so that converted weights of either project load.
    As published: 100 pixels of padding before the first convolution, pools that round up, dropout
    0.5, and deconvolutions ``upscore2`` and ``upscore16`` that are frozen bilinear kernels
    (learning rate multiplier 0). The crops 5 and 27 align both score maps with the pixels: score
    q of pool4 lies at pixel 16 q - 91.5, score q of fc7 at pixel 32 q + 12.5.

    Not as published: an untrained network has He-normal convolutions and score layers of standard
    deviation 0.01 (the authors fill the score layers with zeros and start the others from
    ImageNet).

    ``mean_bgr`` is the mean pixel (blue, green, red; 0..255) that was subtracted when the weights
    were trained; the authors' NYUD models use (116.190, 97.203, 92.318).
    """

    output_stride = 1
    minimum_size = (32, 32)
    """Smallest (height, width): one cell of the coarsest score map."""

    def __init__(
            self, num_classes: int = 40, *,
            mean_bgr: tuple[float, float, float] = CAFFE_MEAN_BGR) -> None:
        super().__init__()
        self.pixels = Pixels(mean_bgr[::-1])
        for name, convolution in vgg16_convolutions({'conv1_1': 100}):
            self.add_module(name, convolution)
        self.pool = nn.MaxPool2d(2, ceil_mode=True)
        self.fc6 = nn.Conv2d(512, 4096, 7)
        self.fc7 = nn.Conv2d(4096, 4096, 1)
        self.dropout = nn.Dropout(0.5)
        self.score_fr = nn.Conv2d(4096, num_classes, 1)
        self.score_pool4 = nn.Conv2d(512, num_classes, 1)
        self.upscore2 = nn.ConvTranspose2d(num_classes, num_classes, 4, stride=2, bias=False)
        self.upscore16 = nn.ConvTranspose2d(num_classes, num_classes, 32, stride=16, bias=False)
        self._initialise()

    def _initialise(self) -> None:
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity='relu')
                nn.init.zeros_(layer.bias)
        for score in (self.score_fr, self.score_pool4):
            nn.init.normal_(score.weight, std=0.01)
        for deconvolution in (self.upscore2, self.upscore16):
            classes, _, size, _ = deconvolution.weight.shape
            weight = torch.eye(classes)[:, :, None, None] * bilinear_kernel(size)
            deconvolution.weight.data.copy_(weight)
            deconvolution.weight.requires_grad_(False)

    def forward(self, rgb: Tensor) -> Maps:
        """
        Return ``semantics``, logits (B, K, H, W) at the size of the input.

        ``rgb`` is float (B, 3, H, W), normalised with the ImageNet mean and standard deviation, at
        least ``minimum_size``; other tensors raise ValueError.
        """
        check_rgb(rgb, self.minimum_size, type(self).__name__)
        features = self.to_caffe(rgb)
        pools = []
        for stage, (_, depth) in enumerate(VGG16_STAGES, start=1):
            for index in range(1, depth + 1):
                features = functional.relu(getattr(self, f'conv{stage}_{index}')(features))
            features = self.pool(features)
            pools.append(features)
        features = self.dropout(functional.relu(self.fc6(features)))
        features = self.dropout(functional.relu(self.fc7(features)))
        semantics = self.fuse(
            self.score_fr(features), self.score_pool4(pools[3]), rgb.shape[2:])
        return Maps(semantics=semantics)

    def to_caffe(self, rgb: Tensor) -> Tensor:
        """Return the pixels as Caffe's networks expect them: BGR, 0..255, minus the mean."""
        return self.pixels(rgb).flip(1)

    def fuse(self, score_fr: Tensor, score_pool4: Tensor, size: Sequence[int]) -> Tensor:
        """Return the sum of both score maps upsampled to the pixels, (B, K, *size)."""
        coarse = self.upscore2(score_fr)
        height, width = coarse.shape[2:]
        fused = coarse + score_pool4[:, :, 5:5 + height, 5:5 + width]
        return self.upscore16(fused)[:, :, 27:27 + size[0], 27:27 + size[1]].contiguous()
