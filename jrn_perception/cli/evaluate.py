# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
``jrn_evaluate``: how good a network is, and how much one modality helps the other.

A subcommand is a function that adds its parser, names its handler (``run``) and the extras that
the handler imports (``needs``); ``COMMANDS`` lists them. A handler may return an exit code.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
import importlib.util
from pathlib import Path
import sys

from jrn_perception import networks, weights
from jrn_perception.cli.evaluate_bag import add_bag, add_record
from jrn_perception.cli.evaluate_options import (
    add_correction,
    add_limits,
    add_machine,
    add_network,
    load,
    new_file,
    protocol_of,
)
from jrn_perception.cli.interruption import INTERRUPTED, interruption
from jrn_perception.datasets.registry import layouts
from jrn_perception.evaluation.measures import comparison, frames, influence
from jrn_perception.evaluation.reports import documents
from jrn_perception.frame import Frame
from jrn_perception.networks.jrn import MUTE_VALUES
from jrn_perception.perception import Perception
from jrn_perception.perception.stream import Track


class Parser(argparse.ArgumentParser):
    """Errors in one line."""

    def error(self, message: str):
        self.exit(2, f'{self.prog}: {message}\n')


def main(arguments: list[str] | None = None) -> int:
    """
    Run a subcommand; return the exit code.

    0, 2 for what the user can mend, 3 where the results are partial, 130 on Ctrl-C, with which
    those of comparison, bag and record are kept.
    """
    parser = Parser('jrn_evaluate', description=__doc__.strip().splitlines()[0])
    commands = parser.add_subparsers(required=True, metavar='COMMAND')
    for add in COMMANDS:
        add(commands)
    options = parser.parse_args(arguments)
    try:
        _require(*options.needs)
        return options.run(options) or 0
    except KeyboardInterrupt:
        return INTERRUPTED
    except (ImportError, OSError, ValueError) as error:
        print(f'jrn_evaluate: {" ".join(str(error).split())}', file=sys.stderr)
        return 2


def add_dataset(commands) -> None:
    """Add ``jrn_evaluate dataset``."""
    parser = commands.add_parser('dataset', help='metrics of a network on a data set')
    add_network(parser)
    parser.add_argument('--json', type=new_file, metavar='FILE', help='write all results there')
    parser.add_argument('--per-image', action='store_true',
                        help='a row for every image, on the terminal and in the json')
    _add_source(parser)
    add_correction(parser)
    parser.set_defaults(run=run_dataset, needs=('rich',))


def run_dataset(options: argparse.Namespace) -> int:
    """Evaluate one network."""
    from jrn_perception.evaluation.reports import tables

    protocol, frames = protocol_of(options, options.reader, options.labels), _frames(options)
    perception = load(options)
    with interruption() as interrupted:
        evaluation = comparison.evaluate(perception, frames, protocol, options.skip_damaged,
                                      _progress('evaluating'), interrupted.is_set)
    document = documents.dataset_document(evaluation, perception, protocol, _source(options),
                                       options.per_image)
    # Should a file not be to be written, the numbers have been seen.
    tables.print_dataset(document, tables.console())
    if options.json:
        documents.write(document, options.json)
    if evaluation.reason:
        print(f'jrn_evaluate: partial: {evaluation.reason}', file=sys.stderr)
    return INTERRUPTED if interrupted.is_set() else 0


def add_influence(commands) -> None:
    """Add ``jrn_evaluate influence``."""
    parser = commands.add_parser('influence', help='influence of depth and semantics on each '
                                 'other in the JRN variants (Eq. 2 and 3 of the paper)')
    parser.add_argument('--variants', nargs='+', default=list(networks.ARCHITECTURES['jrn']),
                        choices=networks.ARCHITECTURES['jrn'], metavar='VARIANT',
                        help=f'default: {" ".join(networks.ARCHITECTURES["jrn"])}')
    parser.add_argument('--weights', default='', metavar='DIR',
                        help='folder with jrn_VARIANT.safetensors, or random; default: the '
                        'shipped ones')
    parser.add_argument('--plot-value', default=MUTE_VALUES[0], choices=MUTE_VALUES,
                        help='mute value that the plots show; the tables have all')
    parser.add_argument('--output', type=Path, default=Path('influence'), metavar='DIR',
                        help='default: %(default)s; gets influence.json, influence.md and two '
                        'plots')
    add_machine(parser)
    _add_source(parser)
    add_correction(parser)
    parser.set_defaults(run=run_influence, needs=('matplotlib', 'rich'))


def run_influence(options: argparse.Namespace) -> None:
    """Measure the influence in all variants."""
    from jrn_perception.evaluation.reports import plots, tables

    protocol, frames = protocol_of(options, options.reader, options.labels), _frames(options)
    variants = list(dict.fromkeys(options.variants))
    loaded = [weights.load('jrn', variant, _weights_of(options.weights, variant))
              for variant in variants]
    perceptions = {
        variant: Perception(item, options.device, options.precision, options.height, options.width)
        for variant, item in zip(variants, loaded)}
    measurement = influence.measure(perceptions, frames, protocol, options.skip_damaged,
                                    _progress('muting'))
    found = influence.influences(measurement)
    document = documents.influence_document(measurement, found, perceptions, protocol,
                                         _source(options))
    out = tables.console()
    tables.print_influence(document, out)
    documents.write(document, options.output / 'influence.json')
    (options.output / 'influence.md').write_text(documents.influence_markdown(document),
                                                 encoding='utf-8')
    for direction, *_ in plots.PANELS:
        plots.plot(document, direction, options.output / f'{direction}.png', options.plot_value)
    out.print(f'written: influence.json, influence.md, depth_to_semantics.png, '
              f'semantics_to_depth.png in {options.output}', markup=False)


COMMANDS: tuple[Callable, ...] = (add_dataset, add_influence, add_bag, add_record)


def _add_source(parser: argparse.ArgumentParser) -> None:
    """Add what the subcommands on a data set have in common."""
    parser.epilog = layouts()
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument('--reader', default='nyuv2', choices=frames.NAMES,
                        help='see below; scenes are drawn and need no data; default: %(default)s')
    parser.add_argument('--data', default='', metavar='DIR', help='folder of the data set')
    parser.add_argument('--split', default='', help="default: the reader's own")
    parser.add_argument('--seed', type=int, help='first room of reader scenes; default: 0')
    parser.add_argument('--limit', type=int, default=0, metavar='N',
                        help=f'first N frames; default: all, {frames.SCENE_COUNT} scenes')
    parser.add_argument('--labels', default='', metavar='SET',
                        help="label set of the comparison; default: the network's")
    parser.add_argument('--crop', default='', metavar='CROP',
                        help="nyu, none, or y0:y1,x0:x1; default: the reader's")
    add_limits(parser)
    parser.add_argument('--skip-damaged', action='store_true',
                        help='name and count damaged samples instead of stopping at the first')


def _frames(options: argparse.Namespace) -> Sequence[Frame]:
    return frames.open_frames(options.reader, options.data, options.split, options.limit,
                               options.seed)


def _source(options: argparse.Namespace) -> dict:
    """Return what identifies the frames, without the folder they lie in."""
    if options.reader == frames.SCENES:
        return {'reader': options.reader, 'seed': options.seed or 0}
    return {'reader': options.reader, 'split': options.split or None}


def _weights_of(folder: str, variant: str) -> str:
    if folder in ('', weights.RANDOM):
        return folder
    return str(Path(folder) / f'{networks.find("jrn", variant).name}.safetensors')


def _progress(title: str) -> Track:
    from rich.console import Console
    from rich.progress import track

    out = Console(stderr=True)
    return lambda steps, total: track(steps, title, total, console=out, transient=True,
                                      disable=not out.is_terminal)


def _require(*modules: str) -> None:
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise ValueError(f"{', '.join(missing)} is missing: pip install "
                         "'.[evaluate]'")


if __name__ == '__main__':
    sys.exit(main())
