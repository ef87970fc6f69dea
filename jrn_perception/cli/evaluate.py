# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
``jrn_evaluate``: how good a network is, and how much one modality helps the other.

``COMMANDS`` lists a function for each subcommand. The function adds the subcommand's parser, with
the handler as ``run`` and the packages of the extra that the handler imports as ``needs``. A
handler returns an exit code of ``program``, or None for DONE.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
import importlib.util
from pathlib import Path
import sys

from jrn_perception import networks, weights
from jrn_perception.cli import program
from jrn_perception.cli.evaluate_bag import add_bag, add_record
from jrn_perception.cli.evaluate_bags import add_bags
from jrn_perception.cli.evaluate_options import add_correction, add_limits, protocol_of
from jrn_perception.datasets.registry import layouts
from jrn_perception.datasets.sensor import WithSensor
from jrn_perception.evaluation.measures import comparison, frames, influence, sampling
from jrn_perception.evaluation.reports import documents
from jrn_perception.frame import Frame
from jrn_perception.networks.interface import MUTE_VALUES
from jrn_perception.perception import Perception

# The architectures whose modalities can be muted.
INFLUENCED = ('jrn', 'symbiosis')
INSTALL = "pip install '.[evaluate]'"


class Parser(argparse.ArgumentParser):
    """Errors in one line: the usage of a subcommand fills a screen."""

    def error(self, message: str):
        self.exit(program.USAGE, f'{self.prog}: {message}\n')


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand; return the exit code."""
    parser = Parser('jrn_evaluate', description=__doc__.strip().splitlines()[0])
    commands = parser.add_subparsers(required=True, metavar='COMMAND')
    for add in COMMANDS:
        add(commands)
    return program.run('jrn_evaluate', partial(_run, parser.parse_args(argv)), INSTALL)


def _run(options: argparse.Namespace) -> int | None:
    # Before hours of work, and all that is missing at once.
    _require(options.needs)
    return options.run(options)


def _require(packages: Sequence[str]) -> None:
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise ImportError(f'{", ".join(missing)} is missing: {INSTALL}')


def add_dataset(commands) -> None:
    """Add ``jrn_evaluate dataset``."""
    parser = commands.add_parser('dataset', help='metrics of a network on a data set')
    program.add_network(parser)
    parser.add_argument('--json', type=program.new_file, metavar='FILE',
                        help='write all results there')
    parser.add_argument('--reliability', type=program.new_file, metavar='FILE.png',
                        help='write a plot of the share of right pixels over the confidence')
    parser.add_argument('--per-image', action='store_true',
                        help='a row for every image, on the terminal and in the json')
    _add_source(parser)
    add_correction(parser)
    _add_sampling(parser)
    parser.set_defaults(run=run_dataset, needs=('rich',))


def run_dataset(options: argparse.Namespace) -> int:
    """Evaluate one network."""
    from jrn_perception.evaluation.reports import plots, tables

    if options.reliability:
        _require(('matplotlib',))
    protocol = replace(protocol_of(options, options.reader, options.labels),
                       sampling=_sampling(options))
    frames = _frames(options)
    perception = program.load(options, measured=True)
    frames = _measured(options, frames, perception)
    if options.reliability:
        comparison.Comparison(perception, frames.labels, protocol)
    if options.reliability and None in (perception.label_set, frames.labels):
        missing = 'network predicts' if perception.label_set is None else 'data set has'
        raise ValueError(f'--reliability: the {missing} no labels')
    with program.interruption() as interrupted:
        evaluation = comparison.evaluate(perception, frames, protocol, options.skip_damaged,
                                         partial(program.track, title='evaluating'),
                                         interrupted.is_set)
    document = documents.dataset_document(evaluation, perception, protocol, _source(options),
                                          options.per_image)
    # Print first, so that a failed write does not lose the numbers.
    tables.print_dataset(document, tables.console())
    if options.json:
        documents.write(document, options.json)
    if options.reliability:
        plots.plot_reliability(document, options.reliability)
    if evaluation.note:
        print(f'note: {evaluation.note}', file=sys.stderr)
    if evaluation.reason:
        print(f'jrn_evaluate: partial: {evaluation.reason}', file=sys.stderr)
    return program.INTERRUPTED if interrupted.is_set() else program.DONE


def add_influence(commands) -> None:
    """Add ``jrn_evaluate influence``."""
    parser = commands.add_parser('influence', help='influence of depth and semantics on each '
                                 'other in the JRN variants (Eq. 2 and 3 of the paper) or in a '
                                 'symbiosis network')
    parser.add_argument('--architecture', default='jrn', choices=INFLUENCED,
                        help='network whose influences are measured; default: %(default)s')
    parser.add_argument('--variants', nargs='+', default=[], metavar='VARIANT',
                        choices=[variant for name in INFLUENCED
                                 for variant in networks.variants(name)],
                        help=f'default: {" ".join(networks.refinements())} of the jrn, nyu40 of '
                        'symbiosis')
    parser.add_argument('--weights', default='', metavar='DIR',
                        help='folder with ARCHITECTURE_VARIANT.safetensors, or random; default: '
                        'the shipped ones')
    parser.add_argument('--plot-value', default=MUTE_VALUES[0], choices=MUTE_VALUES,
                        help='mute value that the plots show; the tables show all; default: '
                        '%(default)s')
    parser.add_argument('--output', type=Path, default=Path('influence'), metavar='DIR',
                        help='folder for influence.json, influence.md and two plots; default: '
                        '%(default)s')
    program.add_sources(parser)
    program.add_inference(parser)
    _add_source(parser)
    add_correction(parser)
    parser.set_defaults(run=run_influence, needs=('matplotlib', 'rich'))


def run_influence(options: argparse.Namespace) -> None:
    """Measure the influence in all variants."""
    from jrn_perception.evaluation.reports import plots, tables

    protocol, frames = protocol_of(options, options.reader, options.labels), _frames(options)
    architecture = options.architecture
    usual = networks.refinements() if architecture == 'jrn' else networks.variants(
        architecture)[:1]
    variants = list(dict.fromkeys(options.variants or usual))
    perceptions = {
        variant: program.load_network(options, architecture, variant,
                                      _weights_of(options.weights, architecture, variant),
                                      mutes=True)
        for variant in variants}
    frames = _measured(options, frames, perceptions[variants[0]])
    measurement = influence.measure(perceptions, frames, protocol, options.skip_damaged,
                                    partial(program.track, title='muting'))
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


COMMANDS: tuple[Callable, ...] = (add_dataset, add_influence, add_bag, add_bags, add_record)


def _add_source(parser: argparse.ArgumentParser) -> None:
    """Add the options that the subcommands on a data set share."""
    parser.epilog = layouts()
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument('--reader', default='nyuv2', choices=frames.NAMES,
                        help='layout of the data set, see below; scenes are drawn and need no '
                        'data; default: %(default)s')
    parser.add_argument('--data', default='', metavar='DIR', help='folder of the data set')
    parser.add_argument('--split', default='', help="default: the reader's own")
    parser.add_argument('--seed', type=int, help='first room of reader scenes; default: 0')
    parser.add_argument('--limit', type=int, default=0, metavar='N',
                        help=f'first N frames; default: all, {frames.SCENE_COUNT} scenes')
    parser.add_argument('--simulate-sensor', type=int, metavar='SEED', help='a simulated depth '
                        'camera on the true depth, for --depth-source sensor; dataset then also '
                        'shows the errors in its holes, beside two simple methods')
    parser.add_argument('--labels', default='', metavar='SET',
                        help="label set of the comparison; default: the network's")
    parser.add_argument('--crop', default='', metavar='CROP',
                        help="nyu, none, or y0:y1,x0:x1; default: the reader's")
    add_limits(parser)
    parser.add_argument('--skip-damaged', action='store_true',
                        help='name and count damaged samples instead of stopping at the first')


def _add_sampling(parser: argparse.ArgumentParser) -> None:
    """Add the options for range points that are drawn from the ground truth."""
    parser.add_argument('--range', default='', metavar='SENSOR', dest='sensor',
                        help='measure depth a second time, corrected by points of the true '
                        'depth: points:N, line or image')
    parser.add_argument('--range-noise', type=float, metavar='SHARE',
                        help='relative standard deviation of these points; default: '
                        f'{sampling.NOISE:g}')
    parser.add_argument('--range-outliers', type=float, metavar='SHARE',
                        help='share of these points with a wrong depth, drawn from {:g} to {:g} '
                        'm; default: {:g}'.format(*sampling.WRONG, sampling.OUTLIERS))


def _sampling(options: argparse.Namespace) -> sampling.Sampling | None:
    given = {name: value for name, value in (('noise', options.range_noise),
                                             ('outliers', options.range_outliers))
             if value is not None}
    if options.sensor:
        return sampling.parse_sampling(options.sensor, **given)
    if given:
        raise ValueError('--range-noise and --range-outliers need --range')
    return None


def _frames(options: argparse.Namespace) -> Sequence[Frame]:
    return frames.open_frames(options.reader, options.data, options.split, options.limit,
                              options.seed)


def _measured(options: argparse.Namespace, frames: Sequence[Frame], perception: Perception
              ) -> Sequence[Frame]:
    """Return the frames, with a simulated depth camera if ``--simulate-sensor`` asks for one."""
    if options.simulate_sensor is None:
        if perception.reads_measured:
            raise ValueError('--depth-source: this source reads a depth camera, which the data '
                             'set does not have: --simulate-sensor SEED')
        return frames
    if not perception.reads_measured:
        raise ValueError('--simulate-sensor: no source of this network reads a sensor; choose '
                         '--depth-source sensor')
    return WithSensor(frames, seed=options.simulate_sensor)


def _source(options: argparse.Namespace) -> dict:
    """Return the facts that identify the frames, without their folder."""
    if options.reader == frames.SCENES:
        return {'reader': options.reader, 'seed': options.seed or 0}
    return {'reader': options.reader, 'split': options.split or None}


def _weights_of(folder: str, architecture: str, variant: str) -> str:
    if folder in ('', weights.RANDOM):
        return folder
    return str(Path(folder) / f'{networks.find(architecture, variant).name}.safetensors')


if __name__ == '__main__':
    sys.exit(main())
