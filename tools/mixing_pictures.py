#!/usr/bin/env python3
# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Draw AffineMix and ColorAug on drawn rooms: tools/mixing_pictures.py docs."""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
from jrn_perception.frame import Frame
from jrn_perception.labels import NYU40
from jrn_perception.rooms.scenes import Scene
from jrn_perception.training.mix import Annotated, Motion, movable, move_instances
from jrn_perception.training.unlabelled.colour import color_aug, colour_groups
import kornia.augmentation as augmentation
import numpy as np
import torch
from torch import Tensor

SIZE = (240, 320)
ROOMS = (3, 11)


def main() -> None:
    """Write both pictures to the folder that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('folder', type=Path)
    parser.add_argument('--seed', type=int, default=5, help='default: %(default)s')
    options = parser.parse_args()
    frames = [Scene(seed).render(0, *SIZE) for seed in ROOMS]
    views = Annotated(
        torch.stack([torch.from_numpy(frame.rgb).permute(2, 0, 1) for frame in frames]) / 255,
        torch.stack([torch.from_numpy(frame.depth) for frame in frames]),
        torch.stack([torch.from_numpy(frame.labels).long() for frame in frames]),
        torch.ones(len(frames), *SIZE))
    torch.manual_seed(options.seed)
    mixed = move_instances(views, centres(frames), Motion(movable(NYU40)), 1.)
    save(options.folder / 'affine_mix.jpg', [
        [picture(views.image[0]), picture(views.image[1]), picture(mixed.image[1])],
        [metres(views.depth[0]), metres(views.depth[1]), metres(mixed.depth[1])]])
    jitter = augmentation.ColorJiggle(0.4, 0.4, 0.4, 0.08, p=1.)
    changed = [color_aug(views.image[:1], views.labels[:1], colour_groups(NYU40), jitter)[0]
               for _ in range(2)]
    save(options.folder / 'color_aug.jpg', [
        [picture(views.image[0]), *map(picture, changed)]])


def centres(frames: list[Frame]) -> Tensor:
    """Return the principal points (B, 2), in pixels from the upper left corner."""
    return torch.tensor(np.array([frame.camera_matrix[:2, 2] + 0.5 for frame in frames]))


def picture(image: Tensor) -> np.ndarray:
    return (255 * image.clamp(0, 1)).byte().permute(1, 2, 0).numpy()[..., ::-1]


def metres(depth: Tensor) -> np.ndarray:
    near = (255 * (1 - depth / 6).clamp(0, 1)).byte().numpy()
    return cv2.applyColorMap(near, cv2.COLORMAP_VIRIDIS)


def save(path: Path, rows: list[list[np.ndarray]]) -> None:
    """Write pictures of equal size as one JPEG, 6 pixels apart."""
    pad = [np.pad(np.concatenate([np.pad(cell, ((0, 0), (3, 3), (0, 0)), constant_values=255)
                                  for cell in row], 1), ((3, 3), (0, 0), (0, 0)),
                  constant_values=255) for row in rows]
    cv2.imwrite(str(path), np.concatenate(pad), [cv2.IMWRITE_JPEG_QUALITY, 82])
    print(f'{path}: {path.stat().st_size / 1000:.0f} kB')


if __name__ == '__main__':
    main()
