# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Training runs, from a recipe to a trained network."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
import os
from pathlib import Path
from typing import Any

from jrn_perception.perception.backends.torch import knows_bfloat16, select_device
from jrn_perception.training.modules.dense import DenseModule, FALL
from jrn_perception.training.modules.refine import RefineModule
from jrn_perception.training.recipes import Recipe, RefineRecipe
from lightning.pytorch import seed_everything, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint, WeightAveraging
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.utilities import CombinedLoader
import torch
from torch import nn, Tensor
from torch.utils.data import ConcatDataset, DataLoader, Dataset, RandomSampler, Sampler

CHECKPOINT = 'last.ckpt'
# Largest norm of a step's gradient.
CLIP = 10.


@dataclass(frozen=True)
class Run:
    """
    The samples, files and processes of a training run.

    ``fit`` lists data sets: an epoch has each sample of the first once, and as many of the others
    as make up ``recipe.extra_share`` of it. ``val`` is measured on. The checkpoint and the log go
    to ``output``. ``workers`` processes load samples. ``origin`` holds JSON values about the
    frames and files of the run; a stopped run is recognised by these values. With ``samples`` an
    epoch has so many of the only data set of ``fit``, none again before all were drawn, and as
    many of ``unlabelled``, if there are any.
    """

    fit: Sequence[Dataset]
    val: Dataset
    output: Path
    workers: int = 0
    origin: Mapping[str, Any] = field(default_factory=dict)
    samples: int = 0
    unlabelled: Dataset | None = None


def train(module: DenseModule | RefineModule, run: Run) -> nn.Module:
    """
    Train the network of ``module`` under its recipe; return it with the averaged weights.

    A run that was stopped continues from ``run.output``/last.ckpt; a run that had ended returns
    its result. Raises ValueError if the checkpoint is of another recipe or another ``origin``, or
    if an epoch has fewer samples than a batch.
    """
    recipe = module.recipe
    begun = _checkpoint(run.output)
    # Other views than at the beginning of the run.
    seed = seed_everything(recipe.seed + (begun['epoch'] + 1 if begun else 0), workers=True)
    module.network.to(memory_format=torch.channels_last)
    loaders = [_fit_loader(run, recipe, seed), DataLoader(run.val, recipe.batch_size)]
    module.save_hyperparameters({'recipe': asdict(recipe), 'origin': dict(run.origin)})
    checkpoint = run.output / CHECKPOINT
    if begun:
        if not _same(begun.get('hyper_parameters'), dict(module.hparams), begun['epoch'] + 1):
            raise ValueError(f'{checkpoint} is of a run with another recipe or made from other '
                             'files: remove it, or choose another --output')
        if begun['epoch'] + 1 >= recipe.epochs:
            # Lightning would train no more, and leave the last weights instead of their average.
            module.load_state_dict(begun['state_dict'])
            return module.network
    trainer = Trainer(
        **_machines(),
        max_epochs=recipe.epochs, precision=precision(), default_root_dir=run.output,
        logger=CSVLogger(run.output, name='log'), check_val_every_n_epoch=min(5, recipe.epochs),
        log_every_n_steps=20, num_sanity_val_steps=0, gradient_clip_val=CLIP,
        callbacks=[WeightAveraging(avg_fn=_average(recipe.ema_decay)),
                   ModelCheckpoint(run.output, filename='last', enable_version_counter=False,
                                   save_on_train_epoch_end=True)])
    trainer.fit(module, *loaders, ckpt_path=checkpoint if begun else None)
    return module.network


def _fit_loader(run: Run, recipe: Recipe | RefineRecipe, seed: int) -> Iterable:
    """Return the batches of an epoch; ValueError if there is none."""
    def load(dataset: Dataset, samples: Sampler[int]) -> DataLoader:
        loader = DataLoader(dataset, recipe.batch_size, sampler=samples, drop_last=True,
                            num_workers=run.workers, persistent_workers=run.workers > 0)
        if not len(loader):
            raise ValueError(f'{len(samples)} samples to train on are no batch of '
                             f'{recipe.batch_size}: --set batch_size to fewer')
        return loader

    if not run.samples:
        return load(ConcatDataset(run.fit), _sampler(run.fit, recipe, seed))
    labelled = load(run.fit[0], Rounds(len(run.fit[0]), run.samples, seed))
    if run.unlabelled is None:
        return labelled
    return CombinedLoader({
        'labelled': labelled,
        'unlabelled': load(run.unlabelled, Rounds(len(run.unlabelled), run.samples, seed + 1))},
        'min_size')


class Rounds(Sampler[int]):
    """
    Draws ``count`` of ``size`` samples in an epoch, none again before all were drawn.

    Every process of a run draws the same indices.
    """

    def __init__(self, size: int, count: int, seed: int):
        self.size, self.count = size, count
        self.generator = torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[int]:
        rounds = [torch.randperm(self.size, generator=self.generator)
                  for _ in range(-(-self.count // self.size))]
        yield from torch.cat(rounds)[:self.count].tolist()


class Mixture(Sampler[int]):
    """
    Draws all samples of a first data set, and a share of samples from others.

    Indices are for a ``ConcatDataset`` of ``first`` and then ``others`` samples. An epoch has each
    of the first once, and as many of the others as make up ``share`` of it; none of them is drawn
    again before all were drawn. Every process of a run draws the same indices.
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


def _sampler(fit: Sequence[Dataset], recipe: Recipe | RefineRecipe, seed: int) -> Sampler[int]:
    others = sum(len(dataset) for dataset in fit[1:])
    if not others:
        return RandomSampler(fit[0])
    return Mixture(len(fit[0]), others, recipe.extra_share, seed)


def _checkpoint(output: Path) -> dict[str, Any] | None:
    """Return the last checkpoint of a run, None if there is none yet."""
    path = output / CHECKPOINT
    return torch.load(path, map_location='cpu', weights_only=True) if path.exists() else None


def precision() -> str:
    """
    Return Lightning's name of the fastest precision of this machine.

    bfloat16 halves the time of a step where the hardware knows it, and needs no loss scaling on
    GPUs; a CPU that emulates it takes six times as long as in float32.
    """
    return 'bf16-mixed' if knows_bfloat16(select_device('auto')) else '32-true'


def _average(decay: float) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """
    Return the update of an exponential moving average of weights.

    Its memory is shorter at the beginning; otherwise the start would dominate a short run.
    """
    def update(average: Tensor, new: Tensor, count: Tensor) -> Tensor:
        kept = min(decay, (1 + count.item()) / (10 + count.item()))
        return kept * average + (1 - kept) * new

    return update


def _machines() -> dict[str, Any]:
    """
    Return Lightning's arguments for the processes that torchrun started; none without torchrun.

    Lightning assumes one machine and, on a CPU, one process, whatever torchrun's variables say.
    """
    if not torch.distributed.is_torchelastic_launched():
        return {}
    here, everywhere = (int(os.environ[name]) for name in ('LOCAL_WORLD_SIZE', 'WORLD_SIZE'))
    return {'devices': here, 'num_nodes': everywhere // here}


def _same(begun: Mapping[str, Any] | None, asked: Mapping[str, Any], done: int) -> bool:
    """Return whether the run that has ``done`` epochs can go on as the run that is asked for."""
    if not begun or begun['origin'] != asked['origin']:
        return False
    epochs = [run['recipe']['epochs'] for run in (begun, asked)]
    if {**begun['recipe'], 'epochs': 0} != {**asked['recipe'], 'epochs': 0}:
        return False
    # Until the rate falls, runs of different lengths are the same.
    return epochs[0] == epochs[1] or done <= FALL * min(epochs)
