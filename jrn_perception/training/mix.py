# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Views into which parts of other views are pasted: ClassMix and AffineMix.

ClassMix is Olsson et al., WACV 2021. AffineMix is of Bansal et al., "Semantics-Depth-Symbiosis"
(arXiv:2206.10562), whose abstract alone can be had.

- Established by the abstract: AffineMix augments semantic segmentation with predicted depth.
- Documented elsewhere: pasting where a pixel is nearer, with a margin (DepthMix of Hoyer et al.,
  CVPR 2021).
- Inferred: the affine map. Under a pinhole camera a thing that moves along its rays from depth z
  to z / s appears scaled by s about the principal point.
"""

from __future__ import annotations

from dataclasses import dataclass
import math
from typing import NamedTuple

import cv2
from jrn_perception.labels import LabelSet, UNLABELLED
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

# Classes of NYU-Depth v2, ScanNet and Cityscapes whose instances people move, or that move.
MOVABLE = frozenset((
    'chair', 'sofa', 'table', 'pillow', 'clothes', 'books', 'television', 'paper', 'towel', 'box',
    'person', 'night stand', 'lamp', 'bag', 'otherprop', 'rider', 'car', 'truck', 'bus', 'train',
    'motorcycle', 'bicycle'))


class Annotated(NamedTuple):
    """
    A batch of views: ``image`` (B, C, H, W), ``depth`` (B, H, W) in metres, ``labels`` (B, H, W).

    ``weight`` (B, H, W) says how much each pixel's label counts.
    """

    image: Tensor
    depth: Tensor
    labels: Tensor
    weight: Tensor


@dataclass(frozen=True)
class Motion:
    """
    How AffineMix moves instances.

    ``classes`` are the ids of the movable classes. An instance appears scaled by a random factor
    from ``zoom``. It covers what is farther by the share ``margin``. Instances of less than the
    share ``smallest`` of the view stay, and so do instances of which half would leave the view.
    """

    classes: tuple[int, ...]
    zoom: tuple[float, float] = (0.5, 2.0)
    margin: float = 0.03
    smallest: float = 0.002


def movable(labels: LabelSet) -> tuple[int, ...]:
    """Return the ids of the movable classes; all classes if no name is known (one's own)."""
    found = tuple(index for index, name in enumerate(labels.names) if name in MOVABLE)
    return found or tuple(range(len(labels)))


def affine_mix(image: Tensor, depth: Tensor, labels: Tensor, share: float
               ) -> tuple[Tensor, Tensor, Tensor]:
    """
    Return a batch in which some views show nearer objects of their neighbour.

    ``image`` is (B, C, H, W), ``depth`` (B, H, W) in metres, ``labels`` (B, H, W); the results
    have the same shapes. A ``share`` of the views takes half of the classes, chosen at random,
    from the view before it in the batch, wherever these pixels are nearer than its own; image,
    depth and label of a pixel move together. A pixel without depth neither moves nor is covered, a
    pixel without label does not move.

    This is the special case of ``move_instances`` for annotations: nothing is scaled, because each
    view already has its own zoom, by which its depth is divided; all pixels of a class count as
    one instance; all classes are movable; the margin is 0.
    """
    views = Annotated(image, depth, labels, labels)
    before = _before(views)
    moved = _half_of_the_classes(before.labels, share) & _nearer(before.depth, depth)
    return _paste(views, before, moved)[:3]


def class_mix(views: Annotated, share: float) -> Annotated:
    """
    Paste half of the classes of the view before into a ``share`` of the views (ClassMix).

    Olsson et al., WACV 2021: half of the classes that a picture shows, wherever they are in it.
    """
    before = _before(views)
    return _paste(views, before, _half_of_the_classes(before.labels, share))


def move_instances(views: Annotated, centre: Tensor, motion: Motion, share: float) -> Annotated:
    """
    Paste moved instances of the view before into a ``share`` of the views (AffineMix).

    Half of the movable instances are chosen, at random. ``centre`` (B, 2) is the principal point
    (x, y) of each view, in pixels from its upper left corner. A connected region of a movable
    class counts as an instance.
    """
    before, centre = _before(views), centre.roll(1, 0)
    batch, _, height, width = views.image.shape
    low, high = (math.log(value) for value in motion.zoom)
    draw = torch.rand(batch, 2).tolist()
    scales = [math.exp(low + (high - low) * first) for first, _ in draw]
    chosen = np.zeros((batch, height, width), bool)
    for index, labels in enumerate(before.labels.cpu().numpy()):
        if draw[index][1] < share:
            chosen[index] = _instances(labels, motion, scales[index],
                                       centre[index].cpu().numpy())
    mask = torch.from_numpy(chosen).to(views.image.device)
    scale = torch.tensor(scales, device=mask.device, dtype=views.image.dtype)
    grid = _grid(scale, centre, (height, width))
    moved = Annotated(
        functional.grid_sample(before.image, grid, padding_mode='border', align_corners=False),
        _nearest(before.depth, grid) / scale.view(-1, 1, 1), _nearest(before.labels, grid),
        _nearest(before.weight, grid))
    # Outside the source there is nothing to paste.
    inside = (grid.abs() < 1).all(3)
    visible = _nearest(mask, grid) & inside & _nearer(moved.depth, views.depth
                                                      * (1 - motion.margin))
    return _paste(views, moved, visible)


def _before(views: Annotated) -> Annotated:
    return Annotated(*(value.roll(1, 0) for value in views))


def _nearer(depth: Tensor, other: Tensor) -> Tensor:
    # Comparisons with NaN, no depth, are false.
    return depth < other


def _paste(views: Annotated, source: Annotated, mask: Tensor) -> Annotated:
    """Return the views with the pixels of ``source`` where ``mask`` (B, H, W) is true."""
    return Annotated(torch.where(mask[:, None], source.image, views.image),
                     *(torch.where(mask, new, old) for new, old in zip(source[1:], views[1:])))


def _half_of_the_classes(labels: Tensor, share: float) -> Tensor:
    """Return where half of the classes are, chosen for each view, in a ``share`` of the views."""
    classes = torch.rand(len(labels), UNLABELLED + 1, device=labels.device) < 0.5
    classes &= torch.rand(len(labels), 1, device=labels.device) < share
    classes[:, UNLABELLED] = False
    return classes.gather(1, labels.flatten(1)).view_as(labels)


def _instances(labels: np.ndarray, motion: Motion, scale: float, centre: np.ndarray
               ) -> np.ndarray:
    """Return where half of a view's movable instances are, chosen at random: (H, W) bool."""
    height, width = labels.shape
    mask = np.zeros(labels.shape, bool)
    for label in np.intersect1d(labels, motion.classes):
        count, regions = cv2.connectedComponents((labels == label).astype(np.uint8))
        wanted = torch.rand(count).tolist()
        for region in range(1, count):
            rows, columns = np.nonzero(regions == region)
            if wanted[region] < 0.5 or len(rows) < motion.smallest * labels.size:
                continue
            x = centre[0] + scale * (columns + 0.5 - centre[0])
            y = centre[1] + scale * (rows + 0.5 - centre[1])
            if ((0 <= x) & (x < width) & (0 <= y) & (y < height)).mean() >= 0.5:
                mask[rows, columns] = True
    return mask


def _grid(scale: Tensor, centre: Tensor, size: tuple[int, int]) -> Tensor:
    """Return for ``grid_sample`` where each pixel of a scaled view was before: (B, H, W, 2)."""
    places = [torch.arange(length, device=scale.device, dtype=scale.dtype) + 0.5
              for length in size]
    centre = centre.to(scale)
    y, x = ((place[None] - centre[:, axis, None]) / scale[:, None] + centre[:, axis, None]
            for place, axis in zip(places, (1, 0)))
    y, x = 2 * y / size[0] - 1, 2 * x / size[1] - 1
    return torch.stack((x[:, None].expand(-1, size[0], -1), y[:, :, None].expand(-1, -1, size[1])),
                       3)


def _nearest(maps: Tensor, grid: Tensor) -> Tensor:
    """Return maps (B, H, W) of any type at the places of a grid; far places see the border."""
    found = functional.grid_sample(maps[:, None].to(grid.dtype), grid, mode='nearest',
                                   padding_mode='border', align_corners=False)[:, 0]
    return found.to(maps.dtype)
