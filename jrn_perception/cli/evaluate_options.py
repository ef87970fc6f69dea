# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Options that the subcommands of ``jrn_evaluate`` share, and what they mean."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from jrn_perception import networks
from jrn_perception.evaluation.measures.comparison import find_label_set, Protocol
from jrn_perception.evaluation.measures.frames import parse_crop, parse_range
from jrn_perception.perception import Perception
from jrn_perception.perception.backends.torch import PRECISIONS


def new_file(text: str) -> Path:
    """Return the path of a file to write, whose folder need not exist; type of an argument."""
    path = Path(text)
    if path.is_dir():
        raise argparse.ArgumentTypeError(f'{text} is a folder; name a file')
    return path


def add_network(parser: argparse.ArgumentParser) -> None:
    """Add which network runs and how, see ``load``."""
    parser.add_argument('--architecture', default='jrn', choices=networks.ARCHITECTURES)
    parser.add_argument('--variant', default='', help='default: the first of the architecture')
    parser.add_argument('--weights', default='', metavar='FILE',
                        help='a safetensors file, or random; default: the shipped ones')
    add_machine(parser)


def add_machine(parser: argparse.ArgumentParser) -> None:
    """Add how a network runs."""
    parser.add_argument('--device', default='auto', help='auto, cpu, cuda, cuda:N')
    parser.add_argument('--precision', default='auto', choices=PRECISIONS)
    parser.add_argument('--height', type=int, default=0, help='of the network input; default: '
                        'as trained')
    parser.add_argument('--width', type=int, default=0, help='likewise')


def load(options: argparse.Namespace) -> Perception:
    """Return the network that the options of ``add_network`` name."""
    return Perception.load(
        options.architecture, options.variant, weights_file=options.weights,
        device=options.device, precision=options.precision, height=options.height,
        width=options.width)


def add_limits(parser: argparse.ArgumentParser) -> None:
    """Add which depths count, see ``protocol_of``."""
    parser.add_argument('--cap', type=float, default=math.inf, metavar='METRES',
                        help='ignore true depth beyond')
    parser.add_argument('--clamp', default='', metavar='LOW:HIGH',
                        help='metres that predicted depth is clamped to; default: the depth '
                        "range of the network's card, scaled as the depth is")


def add_correction(parser: argparse.ArgumentParser) -> None:
    """Add whether depth is scaled for the camera."""
    parser.add_argument('--no-focal-correction', dest='focal_correction', action='store_false',
                        help='leave depth as it is for the focal length of training')


def protocol_of(options: argparse.Namespace, reader: str, label_set: str) -> Protocol:
    """Return what ``--crop`` and the options of ``add_limits`` ask for; ValueError."""
    return Protocol(parse_crop(options.crop, reader), options.cap,
                    parse_range(options.clamp) if options.clamp else None,
                    find_label_set(label_set), options.focal_correction)
