# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
ColorAug: colours that change separately for each semantic group of a view.

Bansal et al., "Semantics-Depth-Symbiosis" (arXiv:2206.10562), whose abstract alone can be had.

- Established by the abstract: "a simple depth augmentation using predicted semantics".
- Inferred: the groups, the changes of colour and the soft borders. The colours of a group say less
  about its depth; the borders would give the semantics away, so the semantics loss does not see
  these views.
"""

from __future__ import annotations

from collections.abc import Callable

from jrn_perception.labels import FOLDS, LabelSet, NYU5, UNLABELLED
import torch
from torch import Tensor
from torch.nn import functional

GROUPS = 5
# Pixels over which two groups blend.
BORDER = 5


def colour_groups(labels: LabelSet) -> Tensor:
    """
    Return the group (256,) of each class id; pixels without a label are a group of their own.

    NYU-Depth v2's classes form the JRN paper's five groups: ground, vertical, ceiling, furniture,
    object. Other classes are dealt to five groups in turn.
    """
    table = torch.full((UNLABELLED + 1,), GROUPS)
    fold = FOLDS.get((labels.name, NYU5.name))
    ids = torch.arange(len(labels)) % GROUPS if fold is None else torch.as_tensor(
        fold.astype(int))
    table[:len(labels)] = ids
    return table


def color_aug(image: Tensor, labels: Tensor, groups: Tensor,
              jitter: Callable[[Tensor], Tensor]) -> Tensor:
    """
    Return (B, 3, H, W) RGB in 0..1 with colours changed by ``jitter``, anew for each group.

    ``labels`` (B, H, W) are class ids, ``groups`` is the table of ``colour_groups``. ``jitter``
    draws another change for each picture at each call.
    """
    members = functional.one_hot(groups.to(labels.device)[labels], GROUPS + 1)
    masks = functional.avg_pool2d(members.permute(0, 3, 1, 2).to(image.dtype), BORDER, stride=1,
                                  padding=BORDER // 2, count_include_pad=False)
    return sum(masks[:, group, None] * jitter(image) for group in range(GROUPS + 1))
