# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Losses against values worked out by hand; what is not annotated has no say."""

import math

from jrn_perception.training.modules.losses import (
    cross_entropy,
    inverse_huber,
    jrn_loss,
    soft_cross_entropy,
)
import pytest
import torch
from torch.nn import functional

NAN = math.nan
NONE = 255


def depth(*rows):
    """Return predictions (1, 1, H, W) that take a gradient."""
    return torch.tensor([[rows]], dtype=torch.float32).requires_grad_()


def truth(*rows):
    return torch.tensor([rows], dtype=torch.float32)


def ids(*rows):
    return torch.tensor([rows])


def logits(height, width, classes=3, seed=0, batch=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, classes, height, width, generator=generator).requires_grad_()


# --- cross-entropy ------------------------------------------------------------------------------

def test_cross_entropy_by_hand():
    # Probabilities 1/2, 1/4, 1/4 and 1/5, 3/5, 1/5.
    x = torch.tensor([[1 / 2, 1 / 5], [1 / 4, 3 / 5], [1 / 4, 1 / 5]]).log()[None, :, None]
    assert cross_entropy(x, ids([0, 1])).item() == pytest.approx(
        (math.log(2) + math.log(5 / 3)) / 2)
    assert cross_entropy(x, ids([2, NONE])).item() == pytest.approx(math.log(4))


def test_unlabelled_pixels_have_no_say_and_no_gradient():
    x = logits(2, 3)
    labels = ids([0, NONE, 2], [NONE, 1, NONE])
    loss = cross_entropy(x, labels)
    other = x.detach().clone()
    other[:, :, labels[0] == NONE] = 100
    assert cross_entropy(other, labels).item() == loss.item()
    loss.backward()
    assert (x.grad.abs().sum(1) > 0).equal(labels != NONE)


def test_the_weight_of_a_pixel_does_not_depend_on_what_is_unlabelled():
    x = logits(1, 4)
    few, many = ids([0, 1, NONE, NONE]), ids([0, 1])
    assert cross_entropy(x, few).item() == pytest.approx(
        cross_entropy(x[..., :2], many).item())


def test_a_sure_and_right_network_has_no_loss():
    x = torch.zeros(1, 3, 1, 2)
    x[:, 1] = 100
    x.requires_grad_()
    loss = cross_entropy(x, ids([1, 1]))
    loss.backward()
    assert loss.item() == 0
    assert x.grad.abs().max() < 1e-30


# --- cross-entropy against probabilities --------------------------------------------------------

def test_soft_cross_entropy_by_hand():
    # Probabilities 1/2, 1/4, 1/4 and 1/5, 3/5, 1/5; the teacher is torn, then sure.
    x = torch.tensor([[1 / 2, 1 / 5], [1 / 4, 3 / 5], [1 / 4, 1 / 5]]).log()[None, :, None]
    taught = torch.tensor([[3 / 4, 0], [0, 1], [1 / 4, 0]])[None, :, None]
    torn = 3 / 4 * math.log(2) + 1 / 4 * math.log(4)
    assert soft_cross_entropy(x, taught).item() == pytest.approx((torn + math.log(5 / 3)) / 2)


def test_against_a_sure_teacher_it_is_the_cross_entropy():
    x, labels = logits(4, 5, batch=2), torch.arange(40).view(2, 4, 5) % 3
    sure = functional.one_hot(labels, 3).permute(0, 3, 1, 2).float()
    assert soft_cross_entropy(x, sure).item() == pytest.approx(cross_entropy(x, labels).item())


def test_the_gradient_is_what_the_network_says_too_much():
    x = logits(1, 2)
    taught = logits(1, 2, seed=1).detach().softmax(1)
    soft_cross_entropy(x, taught).backward()
    torch.testing.assert_close(2 * x.grad, x.detach().softmax(1) - taught)


# --- inverse Huber ------------------------------------------------------------------------------

def test_inverse_huber_by_hand():
    # The largest error is 2, so c = 0.4; 0.1 and 0.4 are linear, 1 and 2 are quadratic.
    target = truth([2, 2, 2, 2])
    loss = inverse_huber(depth([2.1, 1.6, 3, 4]), target)
    expected = 0.1 + 0.4 + (1 + 0.16) / 0.8 + (4 + 0.16) / 0.8
    assert loss.item() == pytest.approx(expected / 4, rel=1e-5)


def test_inverse_huber_is_continuous_with_its_slope():
    x = depth([2.4 - 1e-3, 2.4 + 1e-3, 4])
    inverse_huber(x, truth([2, 2, 2])).backward()
    # 1/3 each below c; above it the slope is e / c: continuous at c, 5 at the largest error.
    assert (3 * x.grad).flatten().tolist() == pytest.approx([1, 1.0025, 5], rel=1e-3)


def test_depth_that_is_unknown_has_no_say_and_no_gradient():
    target = truth([2, NAN, 3], [NAN, 1, NAN])
    x = depth([2.5, 7, 3.1], [9, 1.7, 0])
    loss = inverse_huber(x, target)
    other = torch.where(target.isfinite()[:, None], x.detach(), 1000.)
    assert inverse_huber(other, target).item() == loss.item()
    loss.backward()
    assert (x.grad[:, 0] != 0).equal(target.isfinite())


def test_infinite_depth_counts_as_unknown():
    x = depth([2.5, 7])
    loss = inverse_huber(x, truth([2, math.inf]))
    loss.backward()
    assert loss.item() == pytest.approx((0.25 + 0.01) / 0.2)
    assert x.grad.isfinite().all() and x.grad[..., 1] == 0


def test_an_image_has_its_own_threshold():
    small, large = (truth([2, 2, 2]), depth([2.1, 2.2, 2.05])), (truth([2, 2, 2]),
                                                                 depth([9, 2.3, 2.4]))
    together = inverse_huber(torch.cat((small[1], large[1])), torch.cat((small[0], large[0])))
    alone = [inverse_huber(x, target).item() for target, x in (small, large)]
    assert together.item() == pytest.approx(sum(alone) / 2, rel=1e-6)


def test_a_perfect_prediction_has_no_loss_and_a_finite_gradient():
    x = depth([2, 3], [4, 5])
    loss = inverse_huber(x, truth([2, 3], [NAN, 5]))
    loss.backward()
    assert loss.item() == 0
    assert not x.grad.any()


def test_a_perfect_frame_does_not_spoil_its_batch():
    x = torch.cat((depth([2, 3]), depth([2, 4])))
    x = x.detach().requires_grad_()
    loss = inverse_huber(x, torch.cat((truth([2, 3]), truth([2, 3]))))
    loss.backward()
    # One error of 1 with c = 0.2, over four pixels.
    assert loss.item() == pytest.approx((1 + 0.04) / 0.4 / 4)
    assert x.grad.isfinite().all()


def test_the_threshold_is_a_constant_to_the_gradient():
    x = depth([3, 2.5])
    inverse_huber(x, truth([2, 2])).backward()
    # e / c with c = 0.2 for both; through c the largest error would have 2.4 instead of 5.
    assert (2 * x.grad).flatten().tolist() == pytest.approx([5, 2.5])


# --- Eq. 1 --------------------------------------------------------------------------------------

def test_equation_1_by_hand():
    x = torch.tensor([[1 / 2, 1 / 5], [1 / 4, 3 / 5], [1 / 4, 1 / 5]]).log()[None, :, None]
    loss = jrn_loss(depth([3, 1]), x, truth([2, 4]), ids([0, 1]))
    relative = ((3 - 2) ** 2 / 2 + (1 - 4) ** 2 / 4) / 2
    semantics = (math.log(2) + math.log(5 / 3)) / 2
    assert loss.item() == pytest.approx(relative + semantics)
    plain = jrn_loss(depth([3, 1]), x, truth([2, 4]), ids([0, 1]), depth_power=0.)
    assert plain.item() == pytest.approx((1 + 9) / 2 + semantics)


def test_equation_1_takes_pixels_that_have_both():
    target = truth([2, NAN, 3, 4])
    labels = ids([0, 1, NONE, 2])
    x, z = depth([2.5, 7, 3.1, 3]), logits(1, 4)
    loss = jrn_loss(x, z, target, labels)
    both = torch.tensor([True, False, False, True])
    other_x, other_z = x.detach().clone(), z.detach().clone()
    other_x[..., ~both], other_z[..., ~both] = 50, 50
    assert jrn_loss(other_x, other_z, target, labels).item() == loss.item()
    loss.backward()
    assert (x.grad[0, 0, 0] != 0).equal(both)
    assert (z.grad[0, :, 0].abs().sum(0) > 0).equal(both)
    only = [0, 3]
    assert loss.item() == pytest.approx(jrn_loss(
        x[..., only], z[..., only], target[..., only], labels[..., only]).item())


# --- nothing annotated --------------------------------------------------------------------------

@pytest.mark.parametrize('loss', [
    lambda x, z: cross_entropy(z, ids([NONE, NONE])),
    lambda x, z: inverse_huber(x, truth([NAN, NAN])),
    lambda x, z: jrn_loss(x, z, truth([NAN, NAN]), ids([NONE, NONE])),
    lambda x, z: jrn_loss(x, z, truth([NAN, 1]), ids([1, NONE]))],
    ids=['cross_entropy', 'inverse_huber', 'jrn nothing', 'jrn never both'])
def test_a_batch_without_annotation_gives_zero_with_a_gradient_of_zero(loss):
    x, z = depth([3, 4]), logits(1, 2)
    value = loss(x, z)
    assert value.item() == 0
    value.backward()
    for leaf in (x, z):
        assert leaf.grad is None or (leaf.grad == 0).all()
    assert x.grad is not None or z.grad is not None


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_losses_are_taken_in_full_precision(dtype):
    x, z = torch.full((1, 1, 64, 64), 2.5, dtype=dtype), torch.zeros(1, 3, 64, 64, dtype=dtype)
    target, labels = torch.full((1, 64, 64), 2.49), torch.zeros(1, 64, 64, dtype=torch.int64)
    assert inverse_huber(x, target).dtype == torch.float32
    assert inverse_huber(x, target).item() == pytest.approx(0.026, rel=1e-3)
    assert cross_entropy(z, labels).item() == pytest.approx(math.log(3), rel=1e-6)
    taught = torch.full((1, 3, 64, 64), 1 / 3)
    assert soft_cross_entropy(z, taught).item() == pytest.approx(math.log(3), rel=1e-6)
    assert jrn_loss(x, z, target, labels).item() == pytest.approx(
        0.0001 / 2.49 + math.log(3), rel=1e-5)
