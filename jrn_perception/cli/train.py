# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""``jrn_train``: from annotated frames to weights with a card."""

from __future__ import annotations

import argparse
from dataclasses import asdict, fields, replace
import json
from pathlib import Path
import sys
from typing import Any

from jrn_perception import __version__, labels, networks, weights
from jrn_perception.data.nyuv2 import CAMERA_MATRIX, CROP, NYUv2
from jrn_perception.evaluation.dataset import evaluate, Protocol
from jrn_perception.evaluation.report import METRICS, pooled
from jrn_perception.networks.jrn import ModularNetwork
from jrn_perception.perception import Perception
import numpy as np


def main(argv: list[str] | None = None) -> int:
    """Train what the arguments ask for; return 0, or 1 after a line that says what is wrong."""
    arguments = parse(argv)
    try:
        from jrn_perception.training.recipes import RECIPES
        from jrn_perception.training.run import train  # noqa: F401 proves the extra is installed
    except ImportError as error:
        print(f"jrn_train: {error}; pip install 'jrn_perception[train]'", file=sys.stderr)
        return 1
    try:
        recipe = override(RECIPES[arguments.network], arguments.set)
        fit = NYUv2(arguments.data, arguments.fit)
        val = NYUv2(arguments.data, arguments.val)
        run = train_jrn if arguments.network == 'jrn' else train_single
        run(arguments, recipe, fit, val)
    except (ValueError, OSError, RuntimeError) as error:
        print(f'jrn_train: {error}', file=sys.stderr)
        return 1
    return 0


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='jrn_train', description='Train a network; a run that was stopped goes on where it '
        'was when the same command is given again.')
    parser.add_argument('network', choices=('depth', 'semantics', 'hydranet', 'jrn'))
    parser.add_argument('--data', type=Path, required=True, help='folder with rgb/, depth_mm/, '
                        'label40/ and the split files')
    parser.add_argument('--fit', default='fit', help='split to train on (default: %(default)s)')
    parser.add_argument('--val', default='val', help='split to watch (default: %(default)s)')
    parser.add_argument('--output', type=Path, default=Path('runs'),
                        help='folder for weights and checkpoints (default: %(default)s)')
    parser.add_argument('--variant', action='append', choices=tuple(networks.ARCHITECTURES['jrn']),
                        help='variant of the jrn, may be repeated (default: all)')
    parser.add_argument('--set', action='append', default=[], metavar='NAME=VALUE',
                        help='change a number of the recipe, e.g. --set epochs=50')
    parser.add_argument('--workers', type=int, default=0, help='processes that load data')
    return parser.parse_args(argv)


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


def train_single(arguments, recipe, fit: NYUv2, val: NYUv2) -> None:
    from jrn_perception.training.run import train
    import torch
    spec = networks.find(arguments.network)
    torch.manual_seed(recipe.seed)
    network = spec.build()
    network = train(network, start(recipe.start, network, arguments.output), recipe, fit, val,
                    len(spec.labels or labels.NYU40), arguments.output / arguments.network,
                    arguments.workers)
    finish(network, card(spec, recipe, arguments), arguments.output, val)


def start(name: str, network, folder: Path) -> dict:
    """Return the weights that training starts from: ImageNet's, or another recipe's result."""
    if name == 'imagenet':
        from jrn_perception.training import pretrained
        return {f'encoder.{key}': value for key, value in pretrained.mobilenet_v2().items()}
    spec = networks.find(name)
    other, _ = weights.load_file(folder / f'{spec.name}.safetensors')
    own = network.state_dict()
    return {key: value for key, value in other.state_dict().items() if key in own}


def train_jrn(arguments, recipe, fit: NYUv2, val: NYUv2) -> None:
    from jrn_perception.training.refine import predict_inputs, set_statistics
    from jrn_perception.training.run import train_refinement
    import torch
    specs = [networks.find('jrn', variant)
             for variant in arguments.variant or networks.ARCHITECTURES['jrn']]
    inputs, files = {}, {}
    for task, variant in specs[0].inputs:
        path = arguments.output / f'{networks.find(task, variant).name}.safetensors'
        inputs[task], input_card = weights.load_file(path, task)
        files[task] = (path.name, input_card.sha256)
    fold = torch.from_numpy(labels.fold_matrix(fit.labels, specs[0].labels))
    modular = ModularNetwork(
        inputs['depth'], inputs['semantics'], specs[0].build(), fold).eval()
    table = labels.FOLDS[fit.labels.name, specs[0].labels.name]
    kept = [predict_inputs(modular, frames, recipe, table, augment)
            for frames, augment in ((fit, True), (val, False))]
    for spec in specs:
        torch.manual_seed(recipe.seed)
        network = spec.build(**recipe.options)
        set_statistics(network, kept[0])
        network = train_refinement(network, recipe, *kept, arguments.output / spec.name)
        finish(network, replace(card(spec, recipe, arguments), options=recipe.options,
                                inputs=files), arguments.output, val)


def card(spec: networks.Spec, recipe, arguments) -> weights.Card:
    """Return the card of a network trained under ``recipe``, its metrics still empty."""
    import torch
    height, width = recipe.input_size
    focal_length = (CAMERA_MATRIX[0, 0] * width / 640, CAMERA_MATRIX[1, 1] * height / 480)
    return weights.Card(
        spec.architecture, spec.variant, spec.labels.name if spec.labels else None,
        input_size=recipe.input_size, focal_length=tuple(round(f, 3) for f in focal_length),
        depth_range=(0.5, 10.0),
        training={'data': 'NYU-Depth v2 (Silberman et al., ECCV 2012), official training split',
                  'fit': arguments.fit, 'val': arguments.val, 'recipe': asdict(recipe),
                  'jrn_perception': __version__, 'torch': torch.__version__})


def finish(network, filled: weights.Card, folder: Path, val: NYUv2) -> None:
    """Write the weights, measure what was written, and put that in the card."""
    path = folder / f'{filled.spec.name}.safetensors'
    written = weights.save(network, filled, path)
    weights.write_card(replace(written, metrics=measure(path, written, val)), path)
    print(f'{path}: {path.stat().st_size / 1e6:.1f} MB, sha256 {written.sha256[:12]}…')


def measure(path: Path, filled: weights.Card, val: NYUv2) -> dict[str, Any]:
    """Return the pooled metrics on ``val`` inside the field's crop, of a JRN's inputs as well."""
    perception = Perception.load(filled.architecture, filled.variant, weights_file=str(path))
    evaluation = evaluate(perception, val, Protocol(crop=CROP))
    tables = {'output': evaluation.output}
    if evaluation.inputs is not None:
        tables['inputs'] = evaluation.inputs
    found = {name: {metric: round(float(pooled(table, metric)(np.ones((1, len(table))))[0]), 4)
                    for metric in METRICS} for name, table in tables.items()}
    return {'images': len(val), 'labels': filled.labels, 'averaging': 'pooled', **{
        name: {metric: value for metric, value in values.items() if np.isfinite(value)}
        for name, values in found.items()}}


if __name__ == '__main__':
    sys.exit(main())
