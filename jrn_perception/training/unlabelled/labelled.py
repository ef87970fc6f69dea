# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Which frames keep their labels, in trainings with few of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jrn_perception.datasets.decoding import listed
from jrn_perception.datasets.label_fractions import FRACTIONS, labelled_names
from jrn_perception.datasets.subsets import Selection
from jrn_perception.frame import Frame
from jrn_perception.training.folds import Parts
from jrn_perception.training.recipes import Settings


def with_labels(frames: Sequence[Frame], settings: Settings) -> Parts:
    """
    Return the frames that keep their labels, and the others.

    ``settings.labels`` is 1/N or a text file of names. For the split ``fit`` of NYU-Depth v2 the
    package has lists of names (``datasets.label_fractions``); of other frames every N-th keeps its
    labels. Raises ValueError for another text, and for names that are not there.
    """
    text = settings.labels
    if Path(text).is_file():
        return _by_names(frames, listed(Path(text), ''), text)
    first, _, count = text.partition('/')
    if first != '1' or not count.isdecimal() or int(count) < 1:
        raise ValueError(f'--labels {text}: expected 1/N, for example 1/8, or a file of names')
    if (settings.reader, settings.fit) == ('nyuv2', 'fit') and text in FRACTIONS:
        names = labelled_names(text)
        if set(names) <= set(frames_names(frames)):
            return _by_names(frames, names, text)
    every = int(count)
    return _parts(frames, [index % every == 0 for index in range(len(frames))])


def frames_names(frames: Sequence[Frame]) -> list[str]:
    """Return the names of a data set's frames; of most readers without reading a frame."""
    if isinstance(frames, Selection):
        names = frames_names(frames.frames)
        return [names[index] for index in frames.indices]
    names = getattr(frames, 'names', None)
    if names and isinstance(names[0], str):
        return list(names)
    return [frames[index].name for index in range(len(frames))]


def _by_names(frames: Sequence[Frame], names: Sequence[str], text: str) -> Parts:
    wanted, there = set(names), frames_names(frames)
    missing = sorted(wanted - set(there))
    if missing:
        raise ValueError(f'--labels {text}: names {len(missing)} frames that are not in --fit, '
                         f'{missing[0]} among them')
    return _parts(frames, [name in wanted for name in there])


def _parts(frames: Sequence[Frame], labelled: Sequence[bool]) -> Parts:
    return Parts(*(Selection(frames, [index for index, kept in enumerate(labelled)
                                      if kept == wanted]) for wanted in (True, False)))
