# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Export weights for other runtimes: ``jrn_export``."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
import sys
import tempfile

from jrn_perception import networks, weights
from jrn_perception.cli import program
from jrn_perception.datasets.registry import layouts, NamedFrames, open_dataset, READERS
import numpy as np

DESCRIPTION = """\
Export a network to ONNX, for the backends onnxruntime and openvino.

Write OUTPUT (NAME.onnx), its card NAME.json and, for a jrn, NAME_inputs.onnx with the single-task
networks. Each installed runtime must compute the same maps as torch, on the frames of --data or
on drawn rooms: depth within 1 mm and 99.99 % of the labels. Otherwise nothing is written.

--int8 and --bf16 write a file that runs faster in a lower precision. Its accuracy on the annotated
frames of --data is measured before and after, and is written into the card. If it loses more than
0.2 points of mean IoU or 1 % of the rms error of depth, nothing is written without --accept.
"""
# Frames on which the ranges of int8 are measured.
CALIBRATION = 100
# Of these frames, those on which the fp32 file is compared with torch.
COMPARED = 20


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    result = argparse.ArgumentParser('jrn_export', description=DESCRIPTION, epilog=layouts(),
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    result.add_argument('network', metavar='WEIGHTS', help='a safetensors file, or the name of '
                        'shipped weights, ARCHITECTURE_VARIANT or ARCHITECTURE: '
                        f'{", ".join(networks.list_networks(shipped=True))}')
    result.add_argument('output', type=program.new_file, help='NAME.onnx')
    result.add_argument('--data', default='', metavar='DIR',
                        help='folder of frames to compare on; default: drawn rooms')
    result.add_argument('--reader', default='nyuv2', choices=tuple(READERS),
                        help='layout of the folder, see below; default: %(default)s')
    result.add_argument('--split', help='frames of the folder; default: fit, and val with --int8 '
                        'or --bf16')
    result.add_argument('--limit', type=int, metavar='N', help='first N frames; default: all')
    reduced = result.add_argument_group('lower precision')
    which = reduced.add_mutually_exclusive_group()
    which.add_argument('--int8', dest='precision', action='store_const', const='int8',
                       help='quantise the decoders and heads, for OpenVINO and ONNX Runtime')
    which.add_argument('--bf16', dest='precision', action='store_const', const='bf16',
                       help='compute in bfloat16, in OpenVINO on CPUs with such instructions')
    reduced.add_argument('--calibrate', default='', metavar='READER=FOLDER[@SPLIT]',
                         help='frames, which need no annotations, that give the ranges of int8, '
                         f'at most {CALIBRATION} of them; default: the split fit of --data')
    reduced.add_argument('--accept', action='store_true',
                         help='write the file even if it loses more accuracy than allowed')
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``jrn_export``; return its exit code."""
    options = parser().parse_args(argv)
    work = _export_reduced if options.precision else _export
    return program.run('jrn_export', lambda: work(options), "pip install '.[export]'")


def _export(options: argparse.Namespace) -> None:
    from jrn_perception.perception.export import export

    for name in ('calibrate', 'accept'):
        if getattr(options, name):
            raise ValueError(f'--{name}: only with --int8 or --bf16')
    result = export(_load(options.network), options.output, _pictures(options))
    differences = ', '.join(
        f'{name}: depth within {1000 * parity.depth_m:.2g} mm, {100 * parity.labels:.4g} % of the '
        'labels' for name, parity in result.parity.items())
    print(f'{result.path}: {result.card.spec.name}, as torch in {differences}')


def _export_reduced(options: argparse.Namespace) -> None:
    from jrn_perception.evaluation.measures.comparison import Protocol
    from jrn_perception.evaluation.measures.frames import open_frames, parse_crop
    from jrn_perception.evaluation.measures.precision import measure
    from jrn_perception.perception import reduced
    from jrn_perception.perception.export import export

    if not options.data:
        raise ValueError(f'--{options.precision} needs --data: annotated frames, on which the '
                         'accuracy is measured')
    _check_limit(options)
    truth = NamedFrames('', options.reader, options.data, _split(options, 'val') or '')
    frames = open_frames(truth.reader, truth.folder, truth.split, options.limit or 0)
    measured = partial(measure, frames=frames, track=partial(program.track, title='measuring'),
                       protocol=Protocol(parse_crop('', options.reader)))
    source = _calibration(options)
    runtimes = reduced.runtimes(options.precision)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.output.parent, prefix='.export-') as folder:
        plain, output = (Path(folder) / name / options.output.name for name in ('fp32', 'low'))
        export(_load(options.network), plain, islice(_spread(source), COMPARED))
        before = measured(_open(plain, runtimes[0]))
        reduced.reduce(plain, output, options.precision, _spread(source))
        facts, losses = {'fp32': before.fact()}, []
        for runtime in runtimes:
            perception = _open(output, runtime)
            after = measured(perception)
            facts[perception.backend_name] = after.fact()
            loss = after.loss_from(before)
            print(f'{options.output}: {perception.card.spec.name} in {options.precision}, '
                  f'{perception.backend_name}: mean IoU {after.mean_iou:.2f} % (fp32 '
                  f'{before.mean_iou:.2f}), rms {after.rms:.4f} m (fp32 {before.rms:.4f})')
            losses += [f'in {perception.backend_name} {loss}'] if loss else []
        if losses and not options.accept:
            raise ValueError(f'{options.output}: not written: {"; ".join(losses)}; --accept '
                             'writes it')
        reduced.finish(output, options.output.parent, {
            'precision': options.precision, 'accuracy': {
                'frames': truth.fact, 'count': len(frames), **facts},
            **({'calibration': source.fact} if options.precision == 'int8' else {})})


def _calibration(options: argparse.Namespace) -> NamedFrames:
    if options.calibrate:
        if options.precision != 'int8':
            raise ValueError('--calibrate: only --int8 needs it')
        return NamedFrames.parse(options.calibrate, '--calibrate')
    splits = READERS[options.reader].splits
    return NamedFrames('', options.reader, options.data, 'fit' if splits else '')


def _spread(source: NamedFrames) -> Iterable[np.ndarray]:
    """Yield the pictures of frames that are spread evenly over a data set."""
    frames = source.open()
    count = min(CALIBRATION, len(frames))
    for index in range(count):
        yield frames[index * len(frames) // count].rgb


def _open(path: Path, backend: str):
    from jrn_perception.perception import Perception

    card = weights.read_card(path)
    return Perception.load(card.architecture, card.variant, weights_file=str(path),
                           backend=backend)


def _load(name: str) -> weights.Loaded:
    """Return the network of a weights file or of shipped weights; ValueError."""
    path = Path(name)
    if path.suffix:
        card = weights.read_card(path)
        return weights.load(card.architecture, card.variant, name)
    architecture, _, variant = name.partition('_')
    return weights.load(architecture, variant)


def _pictures(options: argparse.Namespace) -> Iterable[np.ndarray]:
    from jrn_perception.perception.loading import drawn_rooms

    _check_limit(options)
    if options.split and not options.data:
        raise ValueError('--split needs --data, the folder of the frames')
    if not options.data:
        return islice(drawn_rooms(), options.limit)
    frames = open_dataset(options.reader, options.data, _split(options, 'fit'))
    return (frame.rgb for frame in islice(iter(frames), options.limit))


def _check_limit(options: argparse.Namespace) -> None:
    if options.limit is not None and options.limit < 1:
        raise ValueError('--limit: at least 1')


def _split(options: argparse.Namespace, default: str) -> str | None:
    """Return the split of --data; None for a data set without splits."""
    if not READERS[options.reader].splits:
        return options.split
    return options.split or default


if __name__ == '__main__':
    sys.exit(main())
