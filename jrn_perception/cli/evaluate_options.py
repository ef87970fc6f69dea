# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Options of a comparison with ground truth, which ``jrn_evaluate`` and ``jrn_replay`` share."""

from __future__ import annotations

import argparse
import math

from jrn_perception.evaluation.measures.comparison import find_label_set, Protocol
from jrn_perception.evaluation.measures.frames import parse_crop, parse_range


def add_limits(parser: argparse.ArgumentParser) -> None:
    """Add the options that limit depth, see ``protocol_of``."""
    parser.add_argument('--cap', type=float, default=math.inf, metavar='METRES',
                        help='ignore true depth beyond this')
    parser.add_argument('--clamp', default='', metavar='LOW:HIGH',
                        help='range in metres to clamp predicted depth to; default: the depth '
                        "range of the network's card, scaled as the depth is")


def add_correction(parser: argparse.ArgumentParser) -> None:
    """Add the option that turns the correction for the focal length off."""
    parser.add_argument('--no-focal-correction', dest='focal_correction', action='store_false',
                        help="do not rescale depth for the camera's focal length")


def protocol_of(options: argparse.Namespace, reader: str, label_set: str) -> Protocol:
    """Return the protocol that ``--crop`` and the options above ask for; ValueError if none."""
    return Protocol(parse_crop(options.crop, reader), options.cap,
                    parse_range(options.clamp) if options.clamp else None,
                    find_label_set(label_set), options.focal_correction)
