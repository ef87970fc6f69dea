# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Views mixed by what stands in front of what."""

from __future__ import annotations

from jrn_perception.labels import UNLABELLED
import torch
from torch import Tensor


def affine_mix(image: Tensor, depth: Tensor, labels: Tensor, share: float
               ) -> tuple[Tensor, Tensor, Tensor]:
    """
    Return a batch in which things of one view stand in front of those of another.

    ``image`` is (B, C, H, W), ``depth`` (B, H, W) in metres, ``labels`` (B, H, W); what comes
    back is of the same kind. A ``share`` of the views takes half of the classes of the view before
    it, at random, wherever they are nearer than what it shows itself; image, depth and labels go
    together. A pixel without depth neither moves nor is covered, one without label does not move.

    The classes are ClassMix's (Olsson et al., WACV 2021), the order in depth is that of AffineMix
    (Bansal et al., "Semantics-Depth-Symbiosis", WACV 2023), whose affine map the views have had:
    each has a zoom of its own, by which its depth is divided. As in that paper's abstract only;
    its code is not public. Here the annotations are used, there predictions of them.
    """
    classes = torch.rand(len(labels), UNLABELLED + 1, device=labels.device) < 0.5
    classes &= torch.rand(len(labels), 1, device=labels.device) < share
    classes[:, UNLABELLED] = False
    image_before, depth_before, labels_before = (x.roll(1, 0) for x in (image, depth, labels))
    # NaN, no depth, is nearer than nothing and nothing is nearer than it.
    nearer = depth_before < depth
    moved = classes.gather(1, labels_before.flatten(1)).view_as(labels) & nearer
    return (torch.where(moved[:, None], image_before, image),
            torch.where(moved, depth_before, depth), torch.where(moved, labels_before, labels))
