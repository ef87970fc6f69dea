# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Surface normals and the height over the floor, from depth and the camera's focal length."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

# Normals (3) and height (1).
CHANNELS = 4
# Degrees within which a surface counts as horizontal or vertical, in the order of the passes.
ANGLES = (45., 15.)
PASSES = 3
# The floor is not the lowest point, which may be an error.
FLOOR = 0.99
TALLEST = 5.0


@torch.no_grad()
def geometry(depth: Tensor, focal_length: Tensor, size: tuple[int, int]) -> Tensor:
    """
    Return normals, of length 1, and the height over the floor in metres, (B, 4, h, w).

    ``depth`` (B, 1, h, w) are metres, ``focal_length`` (2) is in pixels of the image of
    (height, width) ``size``, whose centre is the optical axis. Gravity is estimated as by Gupta et
    al., "Perceptual Organization and Recognition of Indoor Scenes from RGB-D Images", CVPR 2013,
    Sec. 4; the camera's vertical axis is the start. Where depth is 0 everything is 0.
    """
    points = back_project(depth.float(), focal_length.float(), size)
    normals = _normals(points)
    down = _gravity(normals)
    lowness = torch.einsum('bchw,bc->bhw', points, down)[:, None]
    floor = lowness.flatten(1).quantile(FLOOR, dim=1).view(-1, 1, 1, 1)
    known = (depth > 0).float()
    height = (floor - lowness).clamp(0, TALLEST)
    return (torch.cat((normals, height), 1) * known).to(depth.dtype)


def back_project(depth: Tensor, focal_length: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the points (B, 3, h, w), x to the right, y down, z forward, in metres."""
    rows, columns = depth.shape[-2:]

    def axis(count: int, length: int) -> Tensor:
        return (torch.arange(count, device=depth.device) + 0.5) * (length / count) - length / 2

    x = axis(columns, size[1]) / focal_length[0]
    y = axis(rows, size[0]) / focal_length[1]
    return torch.cat((depth * x, depth * y[:, None], depth), 1)


def _normals(points: Tensor) -> Tensor:
    """Return normals that face the camera, (B, 3, h, w)."""
    padded = functional.pad(points, (1, 1, 1, 1), mode='replicate')
    along = padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]
    down = padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]
    normals = functional.normalize(torch.linalg.cross(down, along, dim=1), dim=1)
    away = (normals * points).sum(1, keepdim=True) > 0
    return torch.where(away, -normals, normals)


def _gravity(normals: Tensor) -> Tensor:
    """Return the direction down (B, 3), of length 1."""
    flat = normals.flatten(2)
    start = torch.tensor((0., 1., 0.), device=normals.device)
    down = start.expand(len(flat), 3)
    for angle in ANGLES:
        parallel, across = (math.cos(math.radians(angle)), math.sin(math.radians(angle)))
        for _ in range(PASSES):
            alike = torch.einsum('bcn,bc->bn', flat, down).abs()
            weights = (alike < across).float() - (alike > parallel).float()
            # Pixels without a normal are across to everything and add nothing to the sum.
            scatter = torch.einsum('bcn,bn,bdn->bcd', flat, weights, flat)
            down = torch.linalg.eigh(scatter).eigenvectors[..., 0]
            down = torch.where((down @ start)[:, None] < 0, -down, down)
    return down
