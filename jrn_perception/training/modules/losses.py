# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Losses over the annotated pixels of a batch.

Ground truth: ``depth`` (B, H, W) metres, NaN = not annotated; ``labels`` (B, H, W) int64 class
ids, 255 = not annotated. A batch without annotated pixels has the loss 0 and the gradient 0.
"""

from __future__ import annotations

from jrn_perception.labels import UNLABELLED
import torch
from torch import Tensor
from torch.nn import functional


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mean cross-entropy of (B, K, H, W) logits over the labelled pixels."""
    total = functional.cross_entropy(
        logits.float(), labels, ignore_index=UNLABELLED, reduction='sum')
    return total / (labels != UNLABELLED).sum().clamp(min=1)


def soft_cross_entropy(logits: Tensor, probabilities: Tensor) -> Tensor:
    """
    Return the mean cross-entropy of (B, K, H, W) logits against a teacher's probabilities.

    Hinton et al., "Distilling the Knowledge in a Neural Network", 2015, Section 2 at temperature
    1; their Eq. 2 is its gradient.
    """
    return functional.cross_entropy(logits.float(), probabilities)


def inverse_huber(depth: Tensor, target: Tensor, threshold: float = 0.2) -> Tensor:
    """
    Return the inverse Huber ("berHu") loss of (B, 1, H, W) metres (Laina et al., 3DV 2016, Eq. 2).

    |e| up to c, (e^2 + c^2) / 2c beyond, with c = ``threshold`` times the largest error. This
    differs from commonly copied code: c is computed per image, so that a frame's loss does not
    depend on its batch; c has no gradient and a lower bound, so that a perfect frame does not
    divide by zero; the mean covers the annotated pixels only.
    """
    valid = target.isfinite()
    error = torch.where(valid, depth[:, 0].float() - target, 0.).abs()
    c = (threshold * error.detach().amax(dim=(1, 2), keepdim=True)).clamp(min=1e-3)
    loss = torch.where(error <= c, error, (error.square() + c.square()) / (2 * c))
    return torch.where(valid, loss, 0.).sum() / valid.sum().clamp(min=1)


def jrn_loss(depth: Tensor, logits: Tensor, target: Tensor, labels: Tensor,
             depth_power: float = 1.) -> Tensor:
    """
    Return the JRN paper's Eq. 1: relative squared depth error plus cross-entropy.

    Both terms are means over the n pixels that have a depth *and* a label. Squared errors are
    divided by the true depth to the power ``depth_power``: 1 in the paper; 0 is the error that rms
    measures.
    """
    both = target.isfinite() & (labels != UNLABELLED)
    safe = torch.where(both, target, 1.)
    squared = torch.where(both, (depth[:, 0].float() - safe).square() / safe ** depth_power, 0.)
    semantics = cross_entropy(logits, torch.where(both, labels, UNLABELLED))
    return squared.sum() / both.sum().clamp(min=1) + semantics
