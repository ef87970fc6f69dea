# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Export weights for other runtimes: ``jrn_export``."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
import sys

from jrn_perception import networks, weights
from jrn_perception.cli import program
from jrn_perception.datasets.registry import layouts, open_dataset, READERS
import numpy as np

DESCRIPTION = """\
Export a network to ONNX, for the backends onnxruntime and openvino.

Write OUTPUT (NAME.onnx), its card NAME.json and, for a jrn, NAME_inputs.onnx with the single-task
networks. Each installed runtime must compute the same maps as torch, on the frames of --data or
on drawn rooms: depth within 1 mm and 99.99 % of the labels. Otherwise nothing is written.
"""


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
    result.add_argument('--split', default='fit', help='frames of the folder; default: '
                        '%(default)s')
    result.add_argument('--limit', type=int, metavar='N', help='first N frames; default: all')
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``jrn_export``; return its exit code."""
    options = parser().parse_args(argv)
    return program.run('jrn_export', lambda: _export(options), "pip install '.[export]'")


def _export(options: argparse.Namespace) -> None:
    from jrn_perception.perception.export import export

    result = export(_load(options.network), options.output, _pictures(options))
    differences = ', '.join(
        f'{name}: depth within {1000 * parity.depth_m:.2g} mm, {100 * parity.labels:.4g} % of the '
        'labels' for name, parity in result.parity.items())
    print(f'{result.path}: {result.card.spec.name}, as torch in {differences}')


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

    if options.limit is not None and options.limit < 1:
        raise ValueError('--limit: at least 1')
    if not options.data:
        return islice(drawn_rooms(), options.limit)
    split = options.split if READERS[options.reader].splits else None
    frames = open_dataset(options.reader, options.data, split)
    return (frame.rgb for frame in islice(iter(frames), options.limit))


if __name__ == '__main__':
    sys.exit(main())
