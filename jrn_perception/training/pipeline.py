# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""From annotated frames to weights with a card: the work of ``jrn_train``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import jrn_perception
from jrn_perception import labels, networks, weights
from jrn_perception.datasets.registry import NamedFrames
from jrn_perception.networks.interface import check_trainable
from jrn_perception.networks.jrn import ModularNetwork
from jrn_perception.networks.layers import restore_batch_norms
from jrn_perception.perception.preprocessing import focal_ratio, input_size_for
from jrn_perception.training import folds
from jrn_perception.training.distillation.teachers import model_teacher, ModelTeacher
from jrn_perception.training.frames import few_labels, TrainingFrames
from jrn_perception.training.modules import refine
from jrn_perception.training.modules.dense import DenseModule, Teacher
from jrn_perception.training.pretrained import start
from jrn_perception.training.recipes import (
    ENCODER_STARTS,
    Recipe,
    RefineRecipe,
    Settings,
    SymbiosisRecipe,
)
from jrn_perception.training.results import write_measured
from jrn_perception.training.run import precision, Run
from jrn_perception.training.run import train as train_module
from jrn_perception.training.unlabelled.clips import unlabelled_views
from jrn_perception.training.unlabelled.semi import SymbiosisModule
from jrn_perception.training.views import Augmentation, class_frequencies, typical, Views
from lightning.pytorch.utilities import rank_zero_only
import numpy as np
import torch
from torch import nn

# Frames from which the statistics of folded batch norms are estimated.
STATISTICS_FRAMES = 48


def train(settings: Settings) -> None:
    """
    Train, write and measure the networks that ``settings`` ask for.

    Raises ValueError, OSError or RuntimeError, each with one line for the user.
    """
    run, useless = train_single, {'fold', 'variant', 'classes', 'folds', 'fold_set'}
    few = {'labels', 'unlabelled', 'video'}
    if settings.network == 'jrn':
        run, useless = train_jrn, {'teacher', 'encoder', 'hold_out', 'extra', 'workers'} | few
    elif isinstance(settings.recipe, SymbiosisRecipe):
        useless |= {'teacher', 'extra'}
    else:
        useless |= few
    for option in sorted(useless):
        if getattr(settings, option):
            raise ValueError(f'--{option.replace("_", "-")}: has no use for {settings.network}')
    run(settings, TrainingFrames(settings))


# --- networks that see pictures -----------------------------------------------------------------

def train_single(settings: Settings, frames: TrainingFrames) -> None:
    """Train one network on pictures."""
    recipe = settings.recipe
    if settings.network != 'depth':
        architecture, variant = recipe.network
        if frames.own_classes:
            variant = labels.CUSTOM
        elif variant == labels.CUSTOM:
            variant = 'nyu40'
        recipe = replace(recipe, network=(architecture, variant))
    recipe = fitted(recipe, frames)
    card = card_of(networks.find(*recipe.network), recipe, settings, frames)
    card = replace(card, options=card.options | encoder_options(card.spec, recipe))
    torch.manual_seed(recipe.seed)
    network = card.spec.build(**card.options)
    check_trainable(network, card.spec.name)
    begin = start(recipe.start, network, settings.output, settings.encoder)
    if settings.hold_out and recipe.start not in ENCODER_STARTS and (
            begin.source['training'].get('hold_out') != settings.hold_out):
        raise ValueError(f'--hold-out {settings.hold_out}: the weights to start from have seen '
                         'the held-out frames; --set start=imagenet')
    taught = find_teacher(settings.teacher, card)
    card = replace(card, licence=weights.joint_licence(
        card.licence, begin.source.get('licence', ''), taught.licence))
    views = partial(Views, size=recipe.input_size, focal_length=card.focal_length)
    drawn = partial(views, augmentation=Augmentation(recipe.crop, recipe.zoom, recipe.rotation))
    fit = [drawn(frames.fit, region=frames.region)]
    # There may be too many extra frames to keep them in memory.
    fit += [drawn(extra, cache=False) for extra in frames.extra]
    network.load_state_dict(begin.state, strict=False)
    if begin.folded:
        restore_batch_norms(network.encoder,
                            typical(views(frames.fit, cache=False), STATISTICS_FRAMES))
    if recipe.start in ENCODER_STARTS:
        network.calibrate(typical(views(frames.fit, cache=False)))
    label_set = card.label_set or frames.fit.labels
    frequencies = class_frequencies(fit[0], len(label_set)) if card.labels else None
    run = Run(fit, views(frames.val, region=frames.region), settings.output / settings.network,
              settings.workers,
              origin(settings, start=begin.source['sha256'], teacher=taught.sha256))
    module: DenseModule
    if isinstance(recipe, SymbiosisRecipe):
        module = SymbiosisModule(network, recipe, label_set, frequencies)
        run = replace(run, samples=len(frames.all_fit),
                      unlabelled=unlabelled_views(settings, frames.unlabelled, recipe,
                                                  card.focal_length))
    else:
        module = DenseModule(network, recipe, len(label_set), taught.teacher, frequencies)
    network = train_module(module, run)
    card.training.update(start=begin.source, teacher=taught.sha256)
    finish(network, card, settings.output, frames)


def encoder_options(spec: networks.Spec, recipe: Recipe) -> dict[str, Any]:
    """Return the options of the network of ``spec`` for the encoder of ``recipe``."""
    if recipe.encoder_stride == Recipe.encoder_stride:
        return {}
    if not spec.encoder:
        raise ValueError(f'--encoder-stride: {spec.name} has no encoder with a choice of strides')
    return {'encoder_stride': recipe.encoder_stride}


@dataclass(frozen=True)
class Taught:
    """The teacher of a training, if there is one, with the sha256 and licence of its weights."""

    teacher: Teacher | ModelTeacher | None = None
    sha256: str | None = None
    licence: str = ''


def find_teacher(path: Path | None, student: weights.Card) -> Taught:
    """
    Return the teacher for the network of ``student``; none without a path.

    ``path`` is a weights file, or a model of somebody else (``teachers.model_teacher``).
    """
    if path is None:
        return Taught()
    if path.suffix != '.safetensors':
        model = model_teacher(str(path), student.label_set, student.focal_length)
        origin = model.model.origin
        return Taught(model, origin.sha256, origin.licence_text)
    network, card = weights.load_file(path)
    if student.labels and card.label_set not in (None, student.label_set):
        raise ValueError(f'--teacher {path}: is labelled in {card.labels}, {student.spec.name} '
                         f'in {student.labels}')
    # Views have the student's focal length. Without focal lengths the sizes tell the ratio.
    scale = student.input_size[1] / card.input_size[1]
    if student.focal_length and card.focal_length:
        scale = focal_ratio(student.focal_length, card.focal_length)
    return Taught(Teacher(network, scale), card.sha256, card.licence)


# --- the JRN ------------------------------------------------------------------------------------

def train_jrn(settings: Settings, frames: TrainingFrames) -> None:
    """Train variants of the JRN on the predictions of the single-task networks."""
    recipe = fitted(settings.recipe, frames)
    if settings.fold:
        # Predictions for unseen frames have the errors of new pictures without changed colours.
        recipe = replace(recipe, colour_jitter=0.)
    recipe = with_sensor(recipe)
    target = labels.NYU40 if settings.classes == len(labels.NYU40) else labels.NYU5
    suffix = '' if target == labels.NYU5 else f'_{target.name}'
    specs = [networks.find('jrn', f'{variant}{suffix}')
             for variant in settings.variant or networks.refinements()]
    inputs, files, focal_length = {}, {}, None
    for task, variant in specs[0].inputs:
        path = settings.output / f'{networks.find(task, variant).name}.safetensors'
        inputs[task], input_card = weights.load_file(path, task)
        files[task] = (path.name, input_card.sha256)
        if task == 'depth':
            focal_length = input_card.focal_length
        elif recipe.logit_adjustment is None:
            recipe = replace(recipe, logit_adjustment=adjustment_of(input_card.training, path)
                             if suffix else 0.)
    fold = torch.from_numpy(labels.fold_matrix(frames.fit.labels, specs[0].labels))
    deployed = ModularNetwork(
        inputs['depth'], inputs['semantics'], specs[0].build(), fold).eval()
    unseen = folds.open_folds(settings, frames.fit, deployed)
    fold_files = [(fold.part, fold.sha256) for fold in unseen]
    table = labels.FOLDS.get((frames.fit.labels.name, target.name),
                             np.arange(len(target), dtype=np.uint8))
    predict = partial(refine.predict_inputs, table=table, region=frames.region,
                      focal_length=focal_length)
    sources = [(fold.network, fold.unseen) for fold in unseen] or [(deployed, frames.fit)]
    # A measurement has the scale already.
    level = (lambda samples: samples) if recipe.depth_input == 'sensor' else refine.calibrated
    fit = refine.join(level(predict(network, part, recipe, augment=True))
                      for network, part in sources)
    prior = recipe.logit_adjustment * refine.frequencies(fit, len(target)).log()
    val = predict(deployed, frames.val, recipe, augment=False)
    for spec in specs:
        torch.manual_seed(recipe.seed)
        network = spec.build(**recipe.options)
        refine.set_statistics(network, fit)
        if network.options.geometry:
            if focal_length is None:
                raise ValueError('--options: geometry needs the focal length of the depth network '
                                 'in front, which its card does not tell')
            network.focal_length.copy_(torch.tensor(focal_length))
        network = train_module(
            refine.RefineModule(network, recipe, prior),
            Run([fit], val, settings.output / spec.name,
                origin=origin(settings, **files, folds=fold_files)))
        card = card_of(spec, recipe, settings, frames)
        # The JRN is for the camera of the network in front of it.
        card = replace(card, options=recipe.options, inputs=files,
                       focal_length=focal_length or card.focal_length)
        card.training['folds'] = fold_files
        if recipe.depth_input == 'sensor':
            card = replace(card, sources={'depth': 'sensor'})
        finish(network, card, settings.output, frames)


def adjustment_of(training: Mapping[str, Any], path: Path) -> float:
    """Return the logit adjustment that a network, or a mean of networks, was trained with."""
    while 'recipe' not in training and training.get('averaged'):
        training = training['averaged'][0]['training']
    found = training.get('recipe', {}).get('logit_adjustment')
    if found is None:
        raise ValueError(f'{path}: its card does not tell the logit adjustment that the JRN '
                         'should share; --logit-adjustment')
    return found


def with_sensor(recipe: RefineRecipe) -> RefineRecipe:
    """Return the recipe; with a sensor, the network is told what was measured. ValueError."""
    if recipe.depth_input not in ('network', 'sensor'):
        raise ValueError(f'--depth-input {recipe.depth_input}: choose from network, sensor')
    if recipe.depth_input == 'network':
        return recipe
    return replace(recipe, options=recipe.options | {'validity': True})


# --- both ---------------------------------------------------------------------------------------

def fitted(recipe: Recipe | RefineRecipe, frames: TrainingFrames) -> Recipe | RefineRecipe:
    """Return the recipe with an input of the same area and of the aspect of the first frame."""
    size = input_size_for(recipe.input_size, *frames.fit[0].rgb.shape[:2])
    return replace(recipe, input_size=size)


def origin(settings: Settings, **files: Any) -> dict[str, Any]:
    """Return the facts that, with the recipe, make a stopped run the same run."""
    return {'reader': settings.reader, 'fit': settings.fit, 'extra': list(settings.extra),
            'crop': settings.crop, 'hold_out': settings.hold_out,
            **few_labels(settings), **files}


def card_of(spec: networks.Spec, recipe: Recipe | RefineRecipe, settings: Settings,
            frames: TrainingFrames) -> weights.Card:
    """Return the card of a network trained under ``recipe``, its metrics still empty."""
    frame = frames.fit[0]
    scale = np.array(recipe.input_size[::-1]) / frame.rgb.shape[1::-1]
    focal_length = None
    if frame.focal_length:
        focal_length = tuple(np.round(scale * frame.focal_length, 3).tolist())
    return weights.Card.of(
        spec, frames.fit.labels if spec.variant == labels.CUSTOM else spec.labels,
        input_size=recipe.input_size, focal_length=focal_length, depth_range=frames.depth_range,
        training={'reader': settings.reader, 'fit': settings.fit, 'val': settings.val,
                  'frames': len(frames.fit),
                  'extra': [NamedFrames.parse(text).fact for text in settings.extra],
                  **few_labels(settings),
                  'hold_out': settings.hold_out, 'recipe': asdict(recipe),
                  'precision': precision(), 'jrn_perception': jrn_perception.__version__,
                  'torch': torch.__version__})


@rank_zero_only
def finish(network: nn.Module, card: weights.Card, folder: Path, frames: TrainingFrames) -> None:
    """Write the weights with a card that tells their metrics; only the first process does."""
    write_measured(network, card, folder / f'{card.spec.name}.safetensors', frames.val,
                   frames.crop)
