# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The Lightning module that trains a network on both tasks or on one of them."""

from __future__ import annotations

from jrn_perception.labels import UNLABELLED
from jrn_perception.networks.interface import Maps
from jrn_perception.networks.layers import resize
from jrn_perception.training.mix import affine_mix
from jrn_perception.training.modules.losses import cross_entropy, inverse_huber, soft_cross_entropy
from jrn_perception.training.recipes import Recipe
from jrn_perception.training.views import normalise
import kornia.augmentation as augmentation
from lightning.pytorch import LightningModule
import torch
from torch import nn, Tensor
from torch.nn import functional
from torchmetrics import MeanSquaredError
from torchmetrics.classification import MulticlassJaccardIndex

WARM_UP = 100
# The learning rate begins to fall after this share of the steps.
FALL = 0.8


class Teacher(nn.Module):
    """
    A trained network whose predictions are targets: frozen, without gradients.

    Its depth is multiplied by ``depth_scale``, because the network that it teaches may be trained
    for another focal length (see ``Views``).
    """

    def __init__(self, network: nn.Module, depth_scale: float = 1.):
        super().__init__()
        self.network = network.eval().requires_grad_(False)
        self.depth_scale = depth_scale

    @torch.no_grad()
    def forward(self, image: Tensor, size: tuple[int, int]) -> Maps:
        """Return metres and class probabilities, float32 of (height, width) ``size``."""
        maps = self.network(image)
        depth = semantics = None
        if maps.depth is not None:
            depth = self.depth_scale * resize(maps.depth, size).float()
        if maps.semantics is not None:
            semantics = resize(maps.semantics, size).float().softmax(1)
        return Maps(depth, semantics)


class DenseModule(LightningModule):
    """
    One network under one recipe.

    Batches hold samples of ``training.views.Views``. Each task's loss covers the pixels that are
    annotated for it, so frames with one annotation and with both may share a batch.

    A ``teacher`` sees the same view as the network ("consistent teaching": Beyer et al.,
    "Knowledge distillation: A good teacher is patient and consistent", CVPR 2022). Its class
    probabilities are targets everywhere, its depth is the target where no depth is annotated.

    With ``frequencies`` (K,), the classes' share of the labelled pixels, the loss on annotations
    takes logits + t log(frequencies), t = ``recipe.logit_adjustment``: so the network relies less
    on how common a class is (Menon et al., "Long-tail learning via logit adjustment", ICLR 2021,
    Eq. 10). The loss assumes that a teacher was trained in the same way.
    """

    def __init__(self, network: nn.Module, recipe: Recipe, num_classes: int,
                 teacher: nn.Module | None = None, frequencies: Tensor | None = None):
        super().__init__()
        self.network, self.recipe = network, recipe
        if frequencies is None:
            frequencies = torch.ones(num_classes)
        self.register_buffer('prior', recipe.logit_adjustment * frequencies.log().view(-1, 1, 1),
                             persistent=False)
        # A tuple hides the teacher from checkpoints, the optimiser and the averaged weights.
        self._teacher = (teacher,)
        jitter = recipe.colour_jitter
        self.colour = augmentation.ColorJiggle(jitter, jitter, jitter, jitter / 5, p=0.8)
        self.mean_iou = MulticlassJaccardIndex(num_classes, ignore_index=UNLABELLED)
        self.rms = MeanSquaredError(squared=False)

    def forward(self, image: Tensor) -> Maps:
        """Return the maps of (B, 3, H, W) RGB in 0..1."""
        return self.network(normalise(image))

    def on_fit_start(self) -> None:
        # All processes of a run were seeded alike, but their views must differ.
        if self.global_rank:
            torch.manual_seed(torch.initial_seed() + self.global_rank)
        if self._teacher[0] is not None:
            self._teacher[0].to(self.device)

    def training_step(self, batch: dict[str, Tensor], _index: int) -> Tensor:
        mixed = self.current_epoch >= self.recipe.mix_after
        image, depth, labels = affine_mix(
            self.colour(batch['image'].float() / 255), batch['depth'], batch['labels'],
            self.recipe.mix_share if mixed else 0.)
        image = normalise(image)
        maps = self.network(image)
        depth, labels = strided(depth, labels, self.recipe.loss_stride)
        taught = Maps()
        if self._teacher[0] is not None:
            taught = self._teacher[0](image, depth.shape[-2:])
        if taught.depth is not None:
            depth = torch.where(depth.isfinite(), depth, taught.depth[:, 0])
        losses = {}
        if maps.depth is not None:
            losses['depth'] = self.recipe.depth_weight * inverse_huber(
                resize(maps.depth, depth.shape[-2:]), depth)
        if maps.semantics is not None:
            logits = resize(maps.semantics, labels.shape[-2:])
            loss = cross_entropy(logits + self.prior, labels)
            if taught.semantics is not None:
                soft = soft_cross_entropy(logits, taught.semantics)
                loss = torch.lerp(loss, soft, self.recipe.soft_weight)
            losses['semantics'] = self.recipe.semantics_weight * loss
        self.log_dict({f'loss/{task}': loss for task, loss in losses.items()}, prog_bar=True)
        return sum(losses.values())

    def validation_step(self, batch: dict[str, Tensor], _index: int) -> None:
        maps = self(batch['image'].float() / 255)
        depth, labels = strided(batch['depth'], batch['labels'], self.recipe.loss_stride)
        if maps.depth is not None:
            valid = depth.isfinite()
            predicted = resize(maps.depth, depth.shape[-2:])[:, 0].float()
            self.rms(predicted[valid], depth[valid])
            self.log('val/rms', self.rms, prog_bar=True)
        if maps.semantics is not None:
            self.mean_iou(resize(maps.semantics, labels.shape[-2:]).argmax(1), labels)
            self.log('val/mean_iou', self.mean_iou, prog_bar=True)

    def parameter_groups(self) -> list[dict]:
        """Return the parameters that learn, with their learning rates."""
        recipe = self.recipe
        encoder = list(self.network.encoder.parameters())
        known = {id(parameter) for parameter in encoder}
        rest = [p for p in self.network.parameters() if id(p) not in known]
        rates = (recipe.encoder_rate, recipe.decoder_rate)
        return [{'params': encoder, 'lr': rates[0]}, {'params': rest, 'lr': rates[1]}]

    def configure_optimizers(self) -> dict:
        optimiser = torch.optim.AdamW(self.parameter_groups(),
                                      weight_decay=self.recipe.weight_decay)
        return with_schedule(optimiser, int(self.trainer.estimated_stepping_batches))


def with_schedule(optimiser: torch.optim.Optimizer, steps: int) -> dict:
    """Return ``optimiser`` and its schedule, ``rate_at``, for Lightning."""
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: rate_at(step, steps))
    return {'optimizer': optimiser, 'lr_scheduler': {'scheduler': schedule, 'interval': 'step'}}


def rate_at(step: int, steps: int) -> float:
    """
    Return the factor of the learning rate at ``step`` of ``steps``: up, level, down to 0.

    It rises for ``WARM_UP`` steps and falls over the last fifth. Until it falls a run does not
    depend on its length (Haegele et al., "Scaling laws and compute-optimal training beyond fixed
    training durations", NeurIPS 2024), so a stopped run can be made shorter or longer.
    """
    rise = min(1., (step + 1) / WARM_UP)
    return rise * min(1., (steps - step) / max(1., (1 - FALL) * steps))


def strided(depth: Tensor, labels: Tensor, stride: int) -> tuple[Tensor, Tensor]:
    """Return depth and labels at 1/stride, nearest: averages across an edge would be wrong."""
    def shrink(x: Tensor) -> Tensor:
        return functional.interpolate(x[:, None].float(), scale_factor=1 / stride,
                                      mode='nearest-exact')[:, 0]
    return shrink(depth), shrink(labels).long()
