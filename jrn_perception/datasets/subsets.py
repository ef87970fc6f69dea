# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Parts of a data set: selections, held-out folds, and the undamaged samples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
import logging

from jrn_perception.datasets.decoding import DamagedSampleError
from jrn_perception.frame import Frame
from jrn_perception.labels import custom, LabelSet

_log = logging.getLogger(__name__)
# A report names this many damaged samples and counts the others.
_NAMED = 10


class Selection(Sequence):
    """The samples of a data set at ``indices``, in that order."""

    def __init__(self, frames: Sequence[Frame], indices: Iterable[int]):
        self.frames = frames
        self.indices = tuple(indices)
        self.labels: LabelSet | None = frames.labels
        self.depth_range: tuple[float, float] | None = getattr(frames, 'depth_range', None)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Frame:
        return self.frames[self.indices[index]]

    def neighbours(self, index: int, step: int) -> tuple[Frame | None, Frame | None]:
        """Return the data set's neighbours of a frame, whether they are selected or not."""
        return neighbours_of(self.frames, self.indices[index], step)


class OwnClasses(Sequence):
    """A data set whose label set counts as classes of one's own, for networks that take any."""

    def __init__(self, frames: Sequence[Frame]):
        self.frames = frames
        assert frames.labels is not None
        self.labels: LabelSet | None = custom(frames.labels.names)
        self.depth_range: tuple[float, float] | None = getattr(frames, 'depth_range', None)

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> Frame:
        return self.frames[index]

    def neighbours(self, index: int, step: int) -> tuple[Frame | None, Frame | None]:
        """Return the data set's neighbours of a frame."""
        return neighbours_of(self.frames, index, step)


def neighbours_of(frames: Sequence[Frame], index: int, step: int
                  ) -> tuple[Frame | None, Frame | None]:
    """Return the pictures ``step`` frames before and after a frame; None if they are unknown."""
    find = getattr(frames, 'neighbours', None)
    return (None, None) if find is None else find(index, step)


def require_undamaged(frames: Sequence[Frame]) -> None:
    """Read every sample once; DamagedSampleError names all that are damaged."""
    damaged = []
    for index in range(len(frames)):
        try:
            frames[index]
        except DamagedSampleError as error:
            damaged.append(str(error))
    if damaged:
        raise DamagedSampleError(f'{len(damaged)} of {len(frames)} samples are damaged: '
                                 f'{"; ".join(damaged)}')


# So many consecutive frames are held out together: the length of long scenes of NYU-Depth v2.
RUN = 20


def held_out(frames: Sequence[Frame], part: int, parts: int) -> tuple[Selection, Selection]:
    """
    Return the frames without part ``part`` of ``parts`` (from 1), and the frames of that part.

    Runs of consecutive frames, which in most data sets show the same scene, go to the parts in
    turn. A network that is trained on the other parts has therefore not seen the scenes of this
    part, except scenes that the border of a run divides, and has seen scenes of all kinds even if
    the data set is sorted by kind.
    """
    if not 1 <= part <= parts:
        raise ValueError(f'part {part}/{parts}: a number from 1/{parts} to {parts}/{parts}')
    run = min(RUN, -(-len(frames) // parts))
    held = [index // run % parts == part - 1 for index in range(len(frames))]
    return tuple(Selection(frames, [index for index, out in enumerate(held) if out == wanted])
                 for wanted in (False, True))


class Undamaged:
    """
    The undamaged frames of a data set, in order.

    ``on_damage`` chooses between an error at the first damaged sample (``'raise'``) and skipping
    all of them (``'skip'``). Skipped samples are in ``damaged``, message by index, and are logged
    as a warning when an iteration ends. If every sample is damaged, iterating raises
    DamagedSampleError in both cases: nothing can be measured on no frames. ``len`` counts all
    samples. Threads may ``read`` samples in any order instead of iterating, and call
    ``report_damage`` at the end.
    """

    def __init__(self, frames: Sequence[Frame], on_damage: str = 'raise'):
        if on_damage not in ('raise', 'skip'):
            raise ValueError(f"on_damage is 'raise' or 'skip', not {on_damage!r}")
        self.frames = frames
        self.on_damage = on_damage
        self.labels: LabelSet | None = frames.labels
        self.damaged: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self.frames)

    def __iter__(self) -> Iterator[Frame]:
        self.damaged.clear()
        try:
            for index in range(len(self.frames)):
                frame = self.read(index)
                if frame is not None:
                    yield frame
        finally:
            self.report_damage()
        self.require_some()

    def read(self, index: int) -> Frame | None:
        """Return a sample, None for one that is damaged and skipped; DamagedSampleError."""
        try:
            return self.frames[index]
        except DamagedSampleError as error:
            if self.on_damage == 'raise':
                raise
            self.damaged[index] = str(error)
            return None

    def report_damage(self) -> None:
        """Log which samples were skipped, if any were."""
        self.damaged = dict(sorted(self.damaged.items()))
        if self.damaged:
            _log.warning(self.report())

    def require_some(self) -> None:
        """Raise DamagedSampleError if every sample was damaged."""
        if self.damaged and len(self.damaged) == len(self.frames):
            raise DamagedSampleError(self.report())

    def report(self) -> str:
        """Return how many samples were skipped, and the messages of the first ones."""
        text = f'{len(self.damaged)} of {len(self.frames)} samples damaged and left out'
        named = list(self.damaged.values())[:_NAMED]
        if len(named) < len(self.damaged):
            named.append(f'and {len(self.damaged) - len(named)} more')
        return '\n  '.join([text + ':' * bool(named), *named])

    def selection(self) -> Selection:
        """Read every sample once; return the undamaged ones for access in any order."""
        for _ in self:
            pass
        return Selection(self.frames, [i for i in range(len(self)) if i not in self.damaged])
