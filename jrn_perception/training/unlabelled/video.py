# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Depth that learns from video: a picture must be what its neighbours show through the depth.

Documented: Godard et al., "Digging into self-supervised monocular depth estimation", ICCV 2019
(photometric error, minimum over frames, automasking), on which Hoyer et al., CVPR 2021, and by its
abstract the semi-supervised setting of arXiv:2206.10562 build. Ours: one scale, and a smaller pose
network.
"""

from __future__ import annotations

import kornia
import torch
from torch import nn, Tensor
from torch.nn import functional

# Godard et al.: the share of SSIM in the photometric error, and the size of its window.
SSIM_SHARE, SSIM_WINDOW = 0.85, 3
# Motions between neighbouring pictures are small; the factor is Godard et al.'s.
MOTION_SCALE = 0.01


class PoseNetwork(nn.Module):
    """
    The motion of the camera between two pictures.

    Five convolutions with stride 2 and the mean over the picture, after Zhou et al., "Unsupervised
    learning of depth and ego-motion from video", CVPR 2017; the sizes are ours. The camera does
    not move while the last layer is at its start.
    """

    def __init__(self, channels: tuple[int, ...] = (16, 32, 64, 128, 256)):
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 6
        for outputs in channels:
            layers += [nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), nn.ReLU()]
            inputs = outputs
        self.layers = nn.Sequential(*layers)
        self.predict = nn.Conv2d(inputs, 6, 1)
        nn.init.zeros_(self.predict.weight)
        nn.init.zeros_(self.predict.bias)

    def forward(self, image: Tensor, other: Tensor) -> Tensor:
        """
        Return the matrices (B, 4, 4) from the camera's coordinates at ``image`` to ``other``.

        Both pictures are (B, 3, h, w), normalised for the networks.
        """
        motion = self.predict(self.layers(torch.cat((image, other), 1))).mean((2, 3)).float()
        motion = MOTION_SCALE * motion
        rotation = kornia.geometry.conversions.axis_angle_to_rotation_matrix(motion[:, :3])
        upper = torch.cat((rotation, motion[:, 3:, None]), 2)
        lowest = upper.new_tensor((0., 0., 0., 1.)).expand(len(upper), 1, 4)
        return torch.cat((upper, lowest), 1)


def warp(other: Tensor, depth: Tensor, projection: Tensor, transform: Tensor
         ) -> tuple[Tensor, Tensor]:
    """
    Return the picture as ``other`` (B, 3, h, w) shows it, and where it does (B, h, w).

    ``depth`` (B, h, w) is the picture's, ``projection`` (B, 3, 3) maps its camera's coordinates to
    pixels from the upper left corner, ``transform`` (B, 4, 4) to the other camera's coordinates.
    """
    height, width = depth.shape[-2:]
    rows = torch.arange(height, device=depth.device, dtype=depth.dtype) + 0.5
    columns = torch.arange(width, device=depth.device, dtype=depth.dtype) + 0.5
    y, x = torch.meshgrid(rows, columns, indexing='ij')
    pixels = torch.stack((x, y, torch.ones_like(x))).flatten(1)
    points = torch.linalg.inv(projection) @ pixels * depth.flatten(1)[:, None]
    points = transform[:, :3, :3] @ points + transform[:, :3, 3:]
    seen = projection @ points
    z = seen[:, 2].clamp(min=1e-3)
    grid = torch.stack((2 * seen[:, 0] / (z * width) - 1, 2 * seen[:, 1] / (z * height) - 1), 2)
    visible = (seen[:, 2] > 1e-3) & (grid.abs() < 1).all(2)
    warped = functional.grid_sample(other, grid.view(-1, height, width, 2),
                                    padding_mode='border', align_corners=False)
    return warped, visible.view(-1, height, width)


def photometric(picture: Tensor, other: Tensor) -> Tensor:
    """Return the error (B, h, w) of RGB pictures in 0..1: 0.85 (1 - SSIM) / 2 + 0.15 L1."""
    dissimilar = (1 - kornia.metrics.ssim(picture, other, SSIM_WINDOW)).mean(1) / 2
    return (SSIM_SHARE * dissimilar.clamp(0, 1)
            + (1 - SSIM_SHARE) * (picture - other).abs().mean(1))


def video_loss(depth: Tensor, picture: Tensor, others: Tensor, known: Tensor,
               projection: Tensor, transforms: Tensor) -> Tensor:
    """
    Return the mean photometric error over the pixels that the neighbours explain.

    ``depth`` (B, h, w); ``picture`` (B, 3, h, w) and its neighbours ``others`` (B, N, 3, h, w),
    RGB in 0..1, the colours of the camera; ``known`` (B, N) says which neighbours exist. Each
    pixel counts the neighbour that explains it best. A pixel that a neighbour without any motion
    explains better does not count (automasking): it moves with the camera, or has no texture.
    Frames without neighbours have the loss 0.
    """
    errors, still = [], []
    for index in range(others.shape[1]):
        # A frame without a camera or a neighbour must not spread its NaN.
        there = known[:, index].view(-1, 1, 1)
        identity = torch.eye(4, device=depth.device)
        matrix = torch.where(there, projection, identity[:3, :3])
        transform = torch.where(there, transforms[:, index], identity)
        warped, visible = warp(others[:, index], depth, matrix, transform)
        errors.append(photometric(warped, picture).masked_fill(~(visible & there), torch.inf))
        still.append(photometric(others[:, index], picture).masked_fill(~there, torch.inf))
    best, unmoved = torch.stack(errors).amin(0), torch.stack(still).amin(0)
    counts = best < unmoved
    return torch.where(counts, best, 0.).sum() / counts.sum().clamp(min=1)


def smoothness(depth: Tensor, picture: Tensor) -> Tensor:
    """Return how much 1 / ``depth`` (B, h, w) varies where ``picture`` (B, 3, h, w) does not."""
    inverse = 1 / depth[:, None].clamp(min=0.1)
    inverse = inverse / inverse.mean((2, 3), keepdim=True)
    return kornia.losses.inverse_depth_smoothness_loss(inverse, picture)
