# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Options of a source, which ``jrn_predict``, ``jrn_play`` and ``jrn_evaluate`` share."""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING

from jrn_perception.recordings.reader import NO_FOCAL_LENGTH, Span
from jrn_perception.sources.opening import open_source
from jrn_perception.sources.source import Focal, Report, Source

if TYPE_CHECKING:
    from collections.abc import Sequence


def add_span(parser: argparse._ActionsContainer) -> None:
    """Add the options that choose a part of a recording, see ``span_of``."""
    parser.add_argument('--start', type=_seconds, default=0.0, metavar='S',
                        help='begin a recording so many seconds after its first message')
    parser.add_argument('--duration', type=_seconds, default=math.inf, metavar='S',
                        help='end after so many seconds of a recording')


def span_of(options: argparse.Namespace) -> Span | None:
    """Return the part that the options of ``add_span`` choose, None for the whole recording."""
    span = Span(options.start, options.duration)
    return None if span == Span() else span


def add_focal_length(parser: argparse._ActionsContainer) -> None:
    """Add the option that says with which camera pictures were taken."""
    parser.add_argument('--focal-length', type=_focal_length, metavar='PIXELS',
                        help='focal length of the camera in pixels of the pictures, or X,Y; '
                        'default: from the camera_info of a recording or the EXIF of a picture; '
                        'without, depth is right for the camera of the training only')


def open_given(options: argparse.Namespace, topic: str, damaged: Report | None, noted: Report,
               size: tuple[int, int] | None = None) -> Source:
    """Return the source that ``options.source`` and the options above name; ValueError."""
    # The focal length refers to the pictures before they are resized.
    if options.focal_length is None:
        return open_source(options.source, size, topic, damaged, span_of(options), noted)

    def note(text: str) -> None:
        if not text.startswith(NO_FOCAL_LENGTH):
            noted(text)

    source = open_source(options.source, None, topic, damaged, span_of(options), note)
    return Focal(source, options.focal_length, size)


def _seconds(text: str) -> float:
    number = float(text)
    if not number >= 0:
        raise argparse.ArgumentTypeError(f'{text} is no number of seconds')
    return number


def _focal_length(text: str) -> tuple[float, float]:
    try:
        numbers: Sequence[float] = [float(part) for part in text.split(',')]
    except ValueError:
        numbers = ()
    if not 1 <= len(numbers) <= 2 or not all(0 < number < math.inf for number in numbers):
        raise argparse.ArgumentTypeError(f'{text} is no focal length in pixels; examples: 600 '
                                         'and 600,598.5')
    return numbers[0], numbers[-1]
