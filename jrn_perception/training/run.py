# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""One training run, from a recipe to a weights file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jrn_perception.data.frame import Frame
from jrn_perception.data.nyuv2 import CROP
from jrn_perception.training import pretrained
from jrn_perception.training.dataset import Views
from jrn_perception.training.module import DenseModule
from jrn_perception.training.recipes import Recipe
from lightning.pytorch import seed_everything, Trainer
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
import torch
from torch import nn
from torch.utils.data import DataLoader


def train(network: nn.Module, recipe: Recipe, fit: Sequence[Frame], val: Sequence[Frame],
          num_classes: int, output: Path, precision: str = 'bf16-mixed',
          workers: int = 0) -> nn.Module:
    """
    Train ``network`` under ``recipe`` and return it with the averaged weights.

    A run that was stopped goes on from ``output``/last.ckpt. Depth is trusted inside the data
    set's evaluation crop only. Raises what Lightning raises.
    """
    seed_everything(recipe.seed, workers=True)
    checkpoint = output / 'last.ckpt'
    if not checkpoint.exists():
        network.encoder.load_state_dict(pretrained.mobilenet_v2())
    module = DenseModule(network.to(memory_format=torch.channels_last), recipe, num_classes)
    loaders = [
        DataLoader(Views(fit, recipe.input_size, recipe.crop, recipe.zoom, CROP),
                   recipe.batch_size, shuffle=True, drop_last=True, num_workers=workers,
                   persistent_workers=workers > 0),
        DataLoader(Views(val, recipe.input_size, region=CROP), recipe.batch_size)]
    trainer = Trainer(
        max_epochs=recipe.epochs, precision=precision, default_root_dir=output,
        logger=CSVLogger(output, name='log'), check_val_every_n_epoch=5, log_every_n_steps=20,
        num_sanity_val_steps=0, gradient_clip_val=10.,
        callbacks=[EMAWeightAveraging(decay=recipe.ema_decay),
                   ModelCheckpoint(output, save_last=True, save_top_k=0)])
    trainer.fit(module, *loaders, ckpt_path=checkpoint if checkpoint.exists() else None)
    return module.network
