#!/usr/bin/env python3
# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
The JRN paper's study as the paper did it: direct prediction at 1/2, Eq. 1, five variants.

Each seed has a folder of its own in the output, and the study is written to study.json and
study.md. The same command continues a study that was stopped: finished runs stay, and a run that
had begun goes on.
"""

import argparse
from collections.abc import Sequence
import json
from pathlib import Path
import shutil
import sys

from jrn_perception import networks, weights
from jrn_perception.cli import evaluate, program, train
from jrn_perception.evaluation.reports import documents, study

# As in the paper: squared errors divided by the true depth, and no residuals.
OPTIONS = {'output_stride': 2, 'residual': False}
DEPTH_POWER = 1.0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the study; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0].strip())
    parser.add_argument('--data', type=Path, required=True, help='folder of the annotated frames')
    parser.add_argument('--reader', default='nyuv2', help='its layout (default: %(default)s)')
    parser.add_argument('--fit', default='fit', help='split to train on (default: %(default)s)')
    parser.add_argument('--val', default='val', help='split to measure on (default: %(default)s)')
    parser.add_argument('--inputs', type=Path, default=weights.SHIPPED,
                        help='folder of the single-task networks (default: the shipped ones)')
    parser.add_argument('--output', type=Path, default=Path('runs/study'),
                        help='default: %(default)s')
    parser.add_argument('--seeds', type=int, default=3, help='default: %(default)s')
    parser.add_argument('--variant', action='append', choices=networks.refinements(),
                        help='may be repeated (default: all five)')
    parser.add_argument('--depth-source', default='network', choices=('network', 'sensor'),
                        help='depth that the JRN is given (default: %(default)s)')
    parser.add_argument('--set', action='append', default=[], metavar='NAME=VALUE',
                        help='change a number of the recipe, as for jrn_train')
    arguments = parser.parse_args(argv)
    return program.run('study', lambda: run(arguments), "pip install '.[train,evaluate]'",
                       (RuntimeError,))


def run(arguments: argparse.Namespace) -> int:
    """Train and measure what is missing, then write the study."""
    if arguments.seeds < 1:
        raise ValueError(f'--seeds {arguments.seeds}: at least 1')
    folders = {seed: arguments.output / f'seed{seed}' for seed in range(arguments.seeds)}
    for seed, folder in folders.items():
        code = train_seed(arguments, seed, folder) or measure(arguments, folder)
        if code:
            return code
    document = study.collect(folders, variants_of(arguments))
    documents.write(document, arguments.output / 'study.json')
    (arguments.output / 'study.md').write_text(study.markdown(document), encoding='utf-8')
    print(f'written: study.json and study.md in {arguments.output}')
    return program.DONE


def variants_of(arguments: argparse.Namespace) -> tuple[str, ...]:
    """Return the variants of the study, each once."""
    return tuple(dict.fromkeys(arguments.variant or networks.refinements()))


def train_seed(arguments: argparse.Namespace, seed: int, folder: Path) -> int:
    """Train the variants that the folder lacks; return the exit code."""
    missing = [variant for variant in variants_of(arguments)
               if not (folder / f'jrn_{variant}.safetensors').is_file()]
    if not missing:
        return program.DONE
    folder.mkdir(parents=True, exist_ok=True)
    for task, variant in networks.find('jrn').inputs:
        for suffix in ('.safetensors', '.json'):
            name = f'{networks.find(task, variant).name}{suffix}'
            shutil.copyfile(arguments.inputs / name, folder / name)
    return train.main([
        'jrn', '--data', str(arguments.data), '--reader', arguments.reader,
        '--fit', arguments.fit, '--val', arguments.val, '--output', str(folder),
        '--seed', str(seed), '--depth-power', str(DEPTH_POWER),
        '--depth-input', arguments.depth_source, '--options', json.dumps(OPTIONS),
        *(word for change in arguments.set for word in ('--set', change)),
        *(word for variant in missing for word in ('--variant', variant))])


def measure(arguments: argparse.Namespace, folder: Path) -> int:
    """Run the influence test on the weights of a folder, once; return the exit code."""
    if (folder / 'influence.json').is_file():
        return program.DONE
    sensor = ['--depth-source', 'sensor', '--simulate-sensor', '0']
    return evaluate.main([
        'influence', '--variants', *variants_of(arguments), '--weights', str(folder),
        '--reader', arguments.reader, '--data', str(arguments.data), '--split', arguments.val,
        '--output', str(folder), *(sensor if arguments.depth_source == 'sensor' else [])])


if __name__ == '__main__':
    sys.exit(main())
