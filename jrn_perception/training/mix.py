# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Views into which nearer objects of other views are pasted (AffineMix)."""

from __future__ import annotations

from jrn_perception.labels import UNLABELLED
import torch
from torch import Tensor


def affine_mix(image: Tensor, depth: Tensor, labels: Tensor, share: float
               ) -> tuple[Tensor, Tensor, Tensor]:
    """
    Return a batch in which some views show nearer objects of their neighbour.

    ``image`` is (B, C, H, W), ``depth`` (B, H, W) in metres, ``labels`` (B, H, W); the results
    have the same shapes. A ``share`` of the views takes half of the classes, chosen at random,
    from the view before it in the batch, wherever these pixels are nearer than its own; image,
    depth and label of a pixel move together. A pixel without depth neither moves nor is covered, a
    pixel without label does not move.

    Choosing by class is ClassMix (Olsson et al., WACV 2021), the order in depth is AffineMix
    (Bansal et al., "Semantics-Depth-Symbiosis", WACV 2023). AffineMix's affine map is already in
    the views: each has its own zoom, by which its depth is divided. This follows the paper's
    abstract alone, because its code is not public; the paper pastes by predictions, this function
    by annotations.
    """
    classes = torch.rand(len(labels), UNLABELLED + 1, device=labels.device) < 0.5
    classes &= torch.rand(len(labels), 1, device=labels.device) < share
    classes[:, UNLABELLED] = False
    image_before, depth_before, labels_before = (x.roll(1, 0) for x in (image, depth, labels))
    # Comparisons with NaN, no depth, are false.
    nearer = depth_before < depth
    moved = classes.gather(1, labels_before.flatten(1)).view_as(labels) & nearer
    return (torch.where(moved[:, None], image_before, image),
            torch.where(moved, depth_before, depth), torch.where(moved, labels_before, labels))
