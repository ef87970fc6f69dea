# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The data sets on which a network can be evaluated, by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
import re

from jrn_perception import weights
from jrn_perception.datasets import nyuv2
from jrn_perception.datasets.registry import open_dataset, READERS
from jrn_perception.datasets.sensor import WithSensor
from jrn_perception.datasets.subsets import Selection
from jrn_perception.evaluation.measures.metrics import Crop
from jrn_perception.frame import Frame
from jrn_perception.labels import NYU40
from jrn_perception.perception import Perception
from jrn_perception.perception.inputs.interface import NETWORK, SENSOR
from jrn_perception.rooms import scenes

SCENES = 'scenes'
SCENE_COUNT = 20
NAMES = (*READERS, SCENES)
# The part of the picture that the literature evaluates, for data sets with such a convention.
CROPS = {'nyuv2': nyuv2.CROP, 'nyuv2_mat': nyuv2.CROP}


class SceneFrames(Sequence):
    """
    The first frame of each of ``count`` procedural rooms, labels in ``NYU40``.

    The rooms are drawn from ``seed`` on; no data set is needed.
    """

    labels = NYU40

    def __init__(self, count: int, seed: int = 0):
        self.count, self.seed = count, seed

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Frame:
        if not 0 <= index < self.count:
            raise IndexError(f'frame {index} of {self.count}')
        return next(scenes.scenes(1, self.seed + index))


def open_frames(reader: str, data: str = '', split: str = '', limit: int = 0,
                seed: int | None = None) -> Sequence[Frame]:
    """
    Return the frames that the options of the command line select.

    '', 0 and None mean "not given". ``limit`` takes the first frames; ``seed`` is the first room
    of ``scenes``. Raises ValueError for an option that the reader does not use, and the errors of
    ``open_dataset``.
    """
    if limit < 0:
        raise ValueError(f'limit {limit}: must be a number of frames, 0 for all')
    if reader == SCENES:
        if data or split:
            raise ValueError(f'reader {SCENES} draws its frames: it has no --data and no '
                             '--split')
        return SceneFrames(limit or SCENE_COUNT, seed or 0)
    if seed is not None:
        raise ValueError(f'reader {reader} has no --seed: only {SCENES} has')
    if not data:
        raise ValueError(f'reader {reader} needs --data, the folder of the data set (reader '
                         f'{SCENES} needs none)')
    frames = open_dataset(reader, data, split or None)
    return Selection(frames, range(min(limit, len(frames)))) if limit else frames


def open_as_trained(path: Path, card: weights.Card, frames: Sequence[Frame], device: str = 'auto'
                    ) -> tuple[Perception, Sequence[Frame]]:
    """
    Return a weights file in torch behind the source of depth that it learned from, and the frames.

    For weights that learned from a depth camera, the frames have what a simulated one measures.
    """
    source = card.sources.get('depth', NETWORK)
    perception = Perception.load(card.architecture, card.variant, weights_file=str(path),
                                 device=device, backend='torch', depth_source=source)
    return perception, WithSensor(frames) if source == SENSOR else frames


def parse_crop(text: str, reader: str) -> Crop | None:
    """
    Return the crop for ``text``: '' is the reader's own; else none, nyu, or ``y0:y1,x0:x1``.

    Raises a ValueError that shows the notation.
    """
    if not text:
        return CROPS.get(reader)
    if text in ('none', 'nyu'):
        return nyuv2.CROP if text == 'nyu' else None
    found = re.fullmatch(r'(\d+):(\d+),(\d+):(\d+)', text)
    top, bottom, left, right = map(int, found.groups()) if found else (0, 0, 0, 0)
    if not (top < bottom and left < right):
        raise ValueError(f'crop {text!r}: choose from nyu, none, or rows and columns y0:y1,x0:x1 '
                         'with y0 < y1 and x0 < x1')
    return slice(top, bottom), slice(left, right)


def parse_range(text: str) -> tuple[float, float]:
    """Return (low, high) of ``low:high`` in metres; ValueError unless 0 < low < high."""
    try:
        low, high = map(float, text.split(':'))
    except ValueError:
        low = high = 0.
    if not 0 < low < high < float('inf'):
        raise ValueError(f'depth range {text!r}: low:high in metres with 0 < low < high')
    return low, high
