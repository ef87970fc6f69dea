# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Training runs, from a recipe to a trained network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
import os
from pathlib import Path
from typing import Any

from jrn_perception.networks.jrn import JointRefinementNetwork
from jrn_perception.perception.backends.torch import knows_bfloat16, select_device
from jrn_perception.training.module import DenseModule, LEVEL, Teacher
from jrn_perception.training.recipes import Recipe, RefineRecipe
from jrn_perception.training.refine import RefineModule
from lightning.pytorch import LightningModule, seed_everything, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint, WeightAveraging
from lightning.pytorch.loggers import CSVLogger
import torch
from torch import nn, Tensor
from torch.utils.data import ConcatDataset, DataLoader, Dataset, RandomSampler, Sampler

CHECKPOINT = 'last.ckpt'


def train(network: nn.Module, initial: Mapping[str, Tensor], recipe: Recipe,
          fit: Sequence[Dataset], val: Dataset, num_classes: int, output: Path, workers: int = 0,
          origin: Mapping[str, Any] | None = None, teacher: Teacher | None = None,
          frequencies: Tensor | None = None) -> nn.Module:
    """
    Train a network that sees pictures under ``recipe``; return it with the averaged weights.

    ``initial`` holds the weights to start from; what it lacks starts at random. ``fit`` lists data
    sets: an epoch sees the samples of the first one once each, and of the others as many as make
    up ``recipe.extra_share`` of it. ``fit`` and ``val`` are samples as ``Views`` makes them. For
    ``teacher`` and ``frequencies`` see ``DenseModule``. A run that was stopped goes on from
    ``output``/last.ckpt, one that had ended returns what it had; if the run there has another
    recipe or another ``origin`` (JSON values that tell what it is made from), or an epoch has
    fewer samples than a batch takes, ValueError.
    """
    begun = _checkpoint(output)
    seed = _seed(recipe, begun)
    network.load_state_dict(initial, strict=False)
    loaders = [
        DataLoader(ConcatDataset(fit), recipe.batch_size, drop_last=True, num_workers=workers,
                   sampler=_sampler(fit, recipe, seed), persistent_workers=workers > 0),
        DataLoader(val, recipe.batch_size)]
    module = DenseModule(network.to(memory_format=torch.channels_last), recipe, num_classes,
                         teacher, frequencies)
    _fit(module, recipe, loaders, output, origin, begun)
    return module.network


class Mixture(Sampler[int]):
    """
    Draws from one data set after another: all of the first, and of the others a share.

    Indices are those of a ``ConcatDataset`` of ``first`` and then ``others`` samples. An epoch has
    each of the first once, and as many of the others as make up ``share`` of it, none of them
    again before all of them were drawn. Every process of a run draws the same.
    """

    def __init__(self, first: int, others: int, share: float, seed: int):
        if not 0 < share < 1:
            raise ValueError(f'extra_share {share}: more than 0 and less than 1')
        self.first, self.others = first, others
        self.drawn = round(first * share / (1 - share))
        self.generator = torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        return self.first + self.drawn

    def __iter__(self) -> Iterator[int]:
        def shuffled(count: int) -> Tensor:
            return torch.randperm(count, generator=self.generator)

        rounds = -(-self.drawn // self.others)
        others = torch.cat([shuffled(self.others) for _ in range(rounds)])[:self.drawn]
        indices = torch.cat((torch.arange(self.first), self.first + others))
        yield from indices[shuffled(len(indices))].tolist()


def _sampler(fit: Sequence[Dataset], recipe: Recipe, seed: int) -> Sampler[int]:
    others = sum(len(dataset) for dataset in fit[1:])
    if not others:
        return RandomSampler(fit[0])
    return Mixture(len(fit[0]), others, recipe.extra_share, seed)


def train_refinement(network: JointRefinementNetwork, recipe: RefineRecipe, fit: Dataset,
                     val: Dataset, output: Path,
                     origin: Mapping[str, Any] | None = None) -> nn.Module:
    """Train a JRN on kept predictions (see ``refine.predict_inputs``); as ``train`` otherwise."""
    begun = _checkpoint(output)
    _seed(recipe, begun)
    loaders = [DataLoader(fit, recipe.batch_size, shuffle=True, drop_last=True),
               DataLoader(val, recipe.batch_size)]
    module = RefineModule(network.to(memory_format=torch.channels_last), recipe)
    _fit(module, recipe, loaders, output, origin, begun)
    return module.network


def _checkpoint(output: Path) -> dict[str, Any] | None:
    """Return the last checkpoint of a run, None before its first."""
    path = output / CHECKPOINT
    return torch.load(path, map_location='cpu', weights_only=True) if path.exists() else None


def _seed(recipe: Recipe | RefineRecipe, begun: dict[str, Any] | None) -> int:
    """Seed everything; a run that goes on gets other views than those that it began with."""
    return seed_everything(recipe.seed + (begun['epoch'] + 1 if begun else 0), workers=True)


def _fit(module: LightningModule, recipe: Recipe | RefineRecipe, loaders: list[DataLoader],
         output: Path, origin: Mapping[str, Any] | None, begun: dict[str, Any] | None) -> None:
    if not len(loaders[0]):
        raise ValueError(f'{len(loaders[0].sampler)} samples to train on are no batch of '
                         f'{recipe.batch_size}: --set batch_size to fewer')
    module.save_hyperparameters({'recipe': asdict(recipe), 'origin': dict(origin or {})})
    checkpoint = output / CHECKPOINT
    if begun:
        if not _same(begun.get('hyper_parameters'), dict(module.hparams), begun['epoch'] + 1):
            raise ValueError(f'{checkpoint} is of a run with another recipe or made from other '
                             'files: remove it, or choose another --output')
        if begun['epoch'] + 1 >= recipe.epochs:
            # Lightning would train no more, and leave the last weights instead of their average.
            module.load_state_dict(begun['state_dict'])
            return
    trainer = Trainer(
        **_machines(),
        max_epochs=recipe.epochs, precision=precision(), default_root_dir=output,
        logger=CSVLogger(output, name='log'), check_val_every_n_epoch=min(5, recipe.epochs),
        log_every_n_steps=20, num_sanity_val_steps=0, gradient_clip_val=10.,
        callbacks=[WeightAveraging(avg_fn=_average(recipe.ema_decay)),
                   ModelCheckpoint(output, filename='last', enable_version_counter=False,
                                   save_on_train_epoch_end=True)])
    trainer.fit(module, *loaders, ckpt_path=checkpoint if begun else None)


def precision() -> str:
    """
    Return Lightning's name of the fastest precision of this machine.

    bfloat16 halves the time of a step where it is known, and needs no loss scaling on GPUs; a CPU
    that emulates it takes six times as long as in float32.
    """
    return 'bf16-mixed' if knows_bfloat16(select_device('auto')) else '32-true'


def _average(decay: float) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """
    Return the update of an exponential moving average of weights.

    It begins with shorter memory: in a short run most of what is kept would be the start.
    """
    def update(average: Tensor, new: Tensor, count: Tensor) -> Tensor:
        kept = min(decay, (1 + count.item()) / (10 + count.item()))
        return kept * average + (1 - kept) * new

    return update


def _machines() -> dict[str, Any]:
    """
    Return what Lightning has to know of the processes that torchrun started; nothing without it.

    It believes in one machine and, on a CPU, one process, whatever torchrun's variables say.
    """
    if not torch.distributed.is_torchelastic_launched():
        return {}
    here, everywhere = (int(os.environ[name]) for name in ('LOCAL_WORLD_SIZE', 'WORLD_SIZE'))
    return {'devices': here, 'num_nodes': everywhere // here}


def _same(begun: Mapping[str, Any] | None, asked: Mapping[str, Any], done: int) -> bool:
    """Return whether a run that has ``done`` epochs can go on as the one that is asked for."""
    if not begun or begun['origin'] != asked['origin']:
        return False
    epochs = [run['recipe']['epochs'] for run in (begun, asked)]
    if {**begun['recipe'], 'epochs': 0} != {**asked['recipe'], 'epochs': 0}:
        return False
    # With the rate still level the first epochs of a shorter or longer run are the same.
    return epochs[0] == epochs[1] or done <= LEVEL * min(epochs)
