# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Training with few labels: a mean teacher labels mixed views, and depth learns from all frames.

- Established by the abstract of arXiv:2206.10562: a semi-supervised joint model of semantics and
  depth with AffineMix and ColorAug.
- Documented: the mean teacher (Tarvainen and Valpola, 2017) with the decay, the confidence weight
  and its threshold, and the strong colours of Hoyer et al., CVPR 2021; ClassMix (Olsson et al.,
  WACV 2021); the ramp of Laine and Aila, 2017.
- Inferred: how the parts are joined, and all weights.
"""

from __future__ import annotations

import copy
import math

from jrn_perception.labels import LabelSet, UNLABELLED
from jrn_perception.networks.interface import Maps
from jrn_perception.networks.layers import resize
from jrn_perception.training.mix import (
    Annotated,
    class_mix,
    Motion,
    movable,
    move_instances,
)
from jrn_perception.training.modules.dense import DenseModule, strided
from jrn_perception.training.modules.losses import inverse_huber
from jrn_perception.training.recipes import SymbiosisRecipe
from jrn_perception.training.unlabelled.colour import color_aug, colour_groups
from jrn_perception.training.unlabelled.video import PoseNetwork, smoothness, video_loss
from jrn_perception.training.views import normalise
import kornia.augmentation as augmentation
import torch
from torch import nn, Tensor
from torch.nn import functional

Batch = dict[str, Tensor]


class SymbiosisModule(DenseModule):
    """
    A network that learns from labelled and unlabelled batches under a ``SymbiosisRecipe``.

    A batch is a dict of ``labelled`` and ``unlabelled``, samples of ``Views`` and, with a
    ``video_weight``, of ``clips.VideoViews``; or labelled samples alone. Labelled samples count as
    in ``DenseModule``. Unlabelled samples add two terms:

    - semantics: the network's labels for a mixed view with strong colours must be the teacher's
      for the plain one; a picture counts by the share of pixels of which the teacher is sure;
    - depth, on the unmixed view: the annotated depth, and with ``video_weight`` what the
      neighbours of the frame show.
    """

    def __init__(self, network: nn.Module, recipe: SymbiosisRecipe, labels: LabelSet,
                 frequencies: Tensor | None = None):
        super().__init__(network, recipe, len(labels), frequencies=frequencies)
        self.recipe: SymbiosisRecipe = recipe
        self.mean_teacher = copy.deepcopy(network).requires_grad_(False)
        self.pose = PoseNetwork() if recipe.video_weight else None
        self.register_buffer('groups', colour_groups(labels), persistent=False)
        self.motion = Motion(movable(labels), recipe.mix_zoom)
        self.blur = augmentation.RandomGaussianBlur((5, 5), (0.15, 1.15), p=0.5)
        jitter = recipe.colour_jitter
        self.each_colour = augmentation.ColorJiggle(jitter, jitter, jitter, jitter / 5, p=1.)
        attention = getattr(network, 'attention', None)
        if attention is not None and not recipe.attention_rate:
            attention.requires_grad_(False)

    def train(self, mode: bool = True) -> SymbiosisModule:
        """Set the mode of all but the teacher, which always predicts as at inference."""
        super().train(mode)
        self.mean_teacher.eval()
        return self

    def training_step(self, batch: dict[str, Batch], index: int) -> Tensor:
        loss = super().training_step(batch.get('labelled', batch), index)
        if 'unlabelled' in batch:
            loss = loss + self.unlabelled_loss(batch['unlabelled'])
        return loss

    def on_train_batch_end(self, *_: object) -> None:
        self.update_teacher(self.global_step)

    @torch.no_grad()
    def update_teacher(self, step: int) -> None:
        """Move the teacher towards the network after ``step`` steps (Hoyer et al.'s decay)."""
        kept = min(1 - 1 / (step + 1), self.recipe.teacher_decay)
        for mine, new in zip(self.mean_teacher.parameters(), self.network.parameters()):
            mine.lerp_(new, 1 - kept)
        for mine, new in zip(self.mean_teacher.buffers(), self.network.buffers()):
            mine.copy_(new)

    def unlabelled_loss(self, batch: Batch) -> Tensor:
        """Return both terms of an unlabelled batch."""
        recipe, image = self.recipe, batch['image'].float() / 255
        taught, views = self._teach(image, batch['depth'])
        losses = {}
        if recipe.consistency_weight:
            steps = int(self.trainer.estimated_stepping_batches)
            losses['consistency'] = (recipe.consistency_weight
                                     * ramp(self.global_step, recipe.ramp_up * steps)
                                     * self._consistency(views, batch['centre']))
        if recipe.unlabelled_depth or recipe.video_weight:
            losses |= self._depth(batch, image, views.labels)
        self.log_dict({f'loss/{name}': loss for name, loss in losses.items()}, prog_bar=True)
        self.log('confident', views.weight.mean())
        return sum(losses.values(), image.new_zeros(()))

    @torch.no_grad()
    def _teach(self, image: Tensor, depth: Tensor) -> tuple[Maps, Annotated]:
        """Return the teacher's maps, and the views annotated by them where they lack it."""
        maps = self.mean_teacher(normalise(image))
        size = image.shape[-2:]
        confidence, labels = resize(maps.semantics.float(), size).softmax(1).max(1)
        sure = (confidence >= self.recipe.confidence).float().mean((1, 2))
        depth = torch.where(depth.isfinite(), depth, resize(maps.depth, size)[:, 0].float())
        weight = sure.view(-1, 1, 1).expand_as(depth)
        return maps, Annotated(image, depth, labels, weight)

    def _consistency(self, views: Annotated, centre: Tensor) -> Tensor:
        """Return the weighted cross-entropy of the network on mixed views."""
        recipe = self.recipe
        if recipe.affine_mix:
            views = move_instances(views, centre, self.motion, recipe.affine_mix)
        if recipe.class_mix:
            views = class_mix(views, recipe.class_mix)
        image = self.blur(self.colour(views.image.clamp(0, 1)))
        weight, labels = strided(views.weight, views.labels, recipe.loss_stride)
        logits = resize(self.network(normalise(image)).semantics, labels.shape[-2:])
        loss = functional.cross_entropy(logits.float(), labels, ignore_index=UNLABELLED,
                                        reduction='none')
        return (weight * loss).mean()

    def _depth(self, batch: Batch, image: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Return the losses of depth on views whose colours change by group."""
        recipe = self.recipe
        changed = self.colour(image)
        if recipe.color_aug:
            chosen = torch.rand(len(image), 1, 1, 1, device=image.device) < recipe.color_aug
            grouped = color_aug(image, labels, self.groups, self.each_colour)
            changed = torch.where(chosen, grouped, changed)
        depth = self.network(normalise(changed)).depth
        stride, losses = recipe.loss_stride, {}
        target, _ = strided(batch['depth'], labels, stride)
        size = target.shape[-2:]
        depth = resize(depth, size)
        if recipe.unlabelled_depth:
            losses['unlabelled_depth'] = (recipe.depth_weight * recipe.unlabelled_depth
                                          * inverse_huber(depth, target))
        if recipe.video_weight:
            losses['video'] = recipe.video_weight * self._video(batch, image, depth[:, 0].float())
        return losses

    def _video(self, batch: Batch, image: Tensor, depth: Tensor) -> Tensor:
        """Return the photometric error and the roughness, in the colours of the camera."""
        size = depth.shape[-2:]
        others = batch['neighbours'].float() / 255
        transforms = batch['transforms'].clone()
        for index in range(others.shape[1]):
            moved = self.pose(normalise(image), normalise(others[:, index]))
            unknown = transforms[:, index].isnan().any(2).any(1).view(-1, 1, 1)
            transforms[:, index] = torch.where(unknown, moved, transforms[:, index].detach())
        shrink = image.new_tensor([[size[1] / image.shape[3]], [size[0] / image.shape[2]], [1.]])
        picture = functional.adaptive_avg_pool2d(image, size)
        others = functional.adaptive_avg_pool2d(others.flatten(0, 1), size).unflatten(
            0, others.shape[:2])
        # In bfloat16, as under autocast, places would be off by whole pixels.
        with torch.autocast(image.device.type, enabled=False):
            loss = video_loss(depth, picture, others, batch['known'],
                              shrink * batch['projection'], transforms)
            return loss + self.recipe.smoothness * smoothness(depth, picture)

    def parameter_groups(self) -> list[dict]:
        groups = super().parameter_groups()
        attention = getattr(self.network, 'attention', None)
        if attention is not None:
            known = {id(parameter) for parameter in attention.parameters()}
            for group in groups:
                group['params'] = [p for p in group['params'] if id(p) not in known]
            if self.recipe.attention_rate:
                groups.append({'params': list(attention.parameters()),
                               'lr': self.recipe.attention_rate, 'weight_decay': 0.})
        if self.pose is not None:
            groups.append({'params': list(self.pose.parameters()),
                           'lr': self.recipe.encoder_rate})
        return groups


def ramp(step: int, length: float) -> float:
    """Return 0.007 at step 0, rising to 1 at step ``length`` (Laine and Aila, 2017)."""
    if step >= length:
        return 1.
    return math.exp(-5 * (1 - step / length) ** 2)
