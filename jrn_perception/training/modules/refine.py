# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The JRN's training: predictions of frozen networks kept once, then refined by Eq. 1."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from jrn_perception.datasets.sensor import DepthCamera
from jrn_perception.frame import Frame
from jrn_perception.labels import map_labels, UNLABELLED
from jrn_perception.networks.interface import Maps
from jrn_perception.networks.jrn import JointRefinementNetwork, ModularNetwork
from jrn_perception.networks.layers import resize
from jrn_perception.perception.inputs.measured import complete, shrink
from jrn_perception.training.modules.dense import with_schedule
from jrn_perception.training.modules.losses import jrn_loss
from jrn_perception.training.recipes import RefineRecipe
from jrn_perception.training.views import Augmentation, normalise, Views
import kornia.augmentation as augmentation
from lightning.pytorch import LightningModule
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics import MeanSquaredError
from torchmetrics.classification import MulticlassJaccardIndex
from tqdm import tqdm

# Ground truth is kept at half the size of the network's input, finer than any output.
TARGET_STRIDE = 2


@torch.inference_mode()
def predict_inputs(network: ModularNetwork, frames: Sequence[Frame], recipe: RefineRecipe,
                   table: np.ndarray, augment: bool,
                   region: tuple[slice, slice] = (slice(None), slice(None)),
                   focal_length: tuple[float, float] | None = None) -> TensorDataset:
    """
    Return the single-task networks' predictions for each frame, with the ground truth.

    Tensors of a sample: depth (1, h, w) and class probabilities (K, h, w) as predicted, float16;
    true depth, float16 with NaN = none, and labels, uint8, at half the input's size. ``table``
    maps the frames' labels to the JRN's. True depth counts inside ``region`` and is scaled to
    ``focal_length``, the focal length of the network for depth (see ``Views``). With ``augment``
    each frame gives ``recipe.views`` samples. With ``recipe.depth_input`` sensor, depth is what a
    simulated depth camera measures, completed by the prediction, and a fifth tensor is its
    validity (1, h, w), float16.
    """
    size = recipe.input_size
    jitter = recipe.colour_jitter
    colour = augmentation.ColorJiggle(jitter, jitter, jitter, jitter / 5)
    views = Views(frames, size, Augmentation(size, recipe.zoom) if augment else None, region,
                  cache=False, focal_length=focal_length)
    camera, random = None, np.random.default_rng(recipe.seed)
    if recipe.depth_input == 'sensor':
        camera = DepthCamera(blind=recipe.blind if augment else 0.)
    samples = []
    generator = torch.Generator().manual_seed(recipe.seed)
    torch.manual_seed(recipe.seed)
    for _ in range(recipe.views if augment else 1):
        loader = DataLoader(views, batch_size=4, generator=generator)
        for batch in tqdm(loader, desc='predictions', leave=False):
            image = batch['image'].float() / 255
            image = colour(image) if augment else image
            maps = network.predict_inputs(normalise(image))
            labels = map_labels(batch['labels'].numpy().astype(np.uint8), table)
            skip = slice(TARGET_STRIDE // 2, None, TARGET_STRIDE)
            depth, validity = maps.depth, ()
            if camera is not None:
                depth, *validity = simulate(camera, batch, maps.depth, random, focal_length)
            samples.append((depth.half(), maps.semantics.exp().half(),
                            batch['depth'][:, skip, skip].half(),
                            torch.from_numpy(labels)[:, skip, skip],
                            *(one.half() for one in validity)))
    return TensorDataset(*(torch.cat(column).clone() for column in zip(*samples)))


def simulate(camera: DepthCamera, batch: dict[str, Tensor], predicted: Tensor,
             random: np.random.Generator, focal_length: tuple[float, float] | None
             ) -> tuple[Tensor, Tensor]:
    """
    Return what a JRN is given with a depth camera: metres and validity (B, 1, h, w).

    ``batch`` has images (B, 3, H, W), uint8, and true metres (B, H, W); ``predicted`` (B, 1, h, w)
    is the depth that fills the holes.
    """
    depths, validities = [], []
    for image, true, prediction in zip(batch['image'], batch['depth'], predicted):
        found = camera.measure(image.permute(1, 2, 0).numpy(), true.numpy(), random,
                               focal_length[0] if focal_length else None)
        measured = shrink(found, tuple(prediction.shape[-2:]))
        depths.append(torch.from_numpy(complete(measured, prediction[0].float().numpy()))[None])
        validities.append(torch.from_numpy(measured.validity)[None])
    return torch.stack(depths), torch.stack(validities)


def frequencies(samples: TensorDataset, num_classes: int) -> Tensor:
    """Return each class's share (K,) of the labelled pixels, at least 1e-5 for absent classes."""
    count = torch.bincount(samples.tensors[3].flatten().long(), minlength=UNLABELLED + 1)
    count = count[:num_classes].float()
    return (count / count.sum().clamp(min=1)).clamp(min=1e-5)


def calibrated(samples: TensorDataset) -> TensorDataset:
    """
    Return the samples with predicted depth scaled, by one factor, to the mean of the true depth.

    The average error of a network depends on the frames it was trained on and on the colours of
    the views. Without this scaling a JRN would learn to correct a bias that the deployed network
    does not have.
    """
    depth, probabilities, target, labels = samples.tensors
    given = resize(depth.float(), target.shape[-2:])[:, 0]
    known = target.isfinite()
    factor = target[known].float().mean() / given[known].mean() if known.any() else 1.
    return TensorDataset((depth.float() * factor).half(), probabilities, target, labels)


def join(datasets: Iterable[TensorDataset]) -> TensorDataset:
    """Return the samples of all ``datasets`` as one."""
    return TensorDataset(*map(torch.cat, zip(*(dataset.tensors for dataset in datasets))))


def set_statistics(network: JointRefinementNetwork, inputs: TensorDataset) -> None:
    """Store the inputs' means and spread in the network: ``mean`` and ``noise`` mute with them."""
    depth, probabilities = inputs.tensors[:2]
    network.depth_mean.copy_(depth.float().mean())
    network.depth_std.copy_(depth.float().std())
    network.class_mean.copy_(probabilities.float().mean(dim=(0, 2, 3)))


def corrupt(depth: Tensor, probabilities: Tensor, strength: float) -> tuple[Tensor, Tensor]:
    """
    Return (B, 1, h, w) metres and (B, K, h, w) probabilities with the errors of a worse network.

    The errors are smooth random fields, coarse and fine, different for each frame: they change the
    logarithm of depth by about 0.2 ``strength`` and the logits of the classes by about 2
    ``strength``.
    """
    def field(channels: int) -> Tensor:
        total = torch.zeros(len(depth), channels, *depth.shape[-2:], device=depth.device)
        for cells in ((1, 1), (4, 6), (12, 16)):
            noise = torch.randn(len(depth), channels, *cells, device=depth.device)
            total += functional.interpolate(noise, total.shape[-2:], mode='bilinear')
        return total / 3 ** 0.5

    logits = probabilities.clamp(min=1e-4).log() + 2 * strength * field(probabilities.shape[1])
    return depth * (0.2 * strength * field(1)).exp(), logits.softmax(1)


class RefineModule(LightningModule):
    """
    A JRN under Eq. 1 of its paper, on samples of ``predict_inputs``.

    ``prior`` (K,) is added to the logits in the loss: see ``logit_adjustment`` of ``DenseModule``.
    """

    def __init__(self, network: JointRefinementNetwork, recipe: RefineRecipe,
                 prior: Tensor | None = None):
        super().__init__()
        self.network, self.recipe = network, recipe
        if prior is None:
            prior = torch.zeros(len(network.class_mean))
        self.register_buffer('prior', prior.view(-1, 1, 1), persistent=False)
        self.mean_iou = MulticlassJaccardIndex(len(network.class_mean), ignore_index=UNLABELLED)
        self.rms = MeanSquaredError(squared=False)

    def _refine(self, batch: Sequence[Tensor], corruption: float = 0.
                ) -> tuple[Maps, Tensor, Tensor]:
        depth, probabilities, target, labels, *measured = batch
        given = depth.float(), probabilities.float()
        validity = measured[0].float() if measured else None
        if corruption:
            given = corrupt(*given, corruption)
            if validity is not None:  # A measurement has no errors of a network.
                given = torch.where(validity > 0, depth.float(), given[0]), given[1]
        maps = self.network(*given, self.recipe.input_size, validity=validity)
        size = target.shape[-2:]
        return (Maps(resize(maps.depth, size), resize(maps.semantics, size)), target.float(),
                labels.long())

    def training_step(self, batch: Sequence[Tensor], _index: int) -> Tensor:
        maps, target, labels = self._refine(batch, self.recipe.corruption)
        loss = jrn_loss(maps.depth, maps.semantics + self.prior, target, labels,
                        self.recipe.depth_power)
        self.log('loss', loss, prog_bar=True)
        return loss

    def validation_step(self, batch: Sequence[Tensor], _index: int) -> None:
        maps, target, labels = self._refine(batch)
        valid = target.isfinite()
        self.rms(maps.depth[:, 0][valid], target[valid])
        self.mean_iou(maps.semantics.argmax(1), labels)
        self.log_dict({'val/rms': self.rms, 'val/mean_iou': self.mean_iou}, prog_bar=True)

    def configure_optimizers(self) -> dict:
        recipe = self.recipe
        optimiser = torch.optim.AdamW(self.network.parameters(), recipe.rate,
                                      weight_decay=recipe.weight_decay)
        return with_schedule(optimiser, int(self.trainer.estimated_stepping_batches))
