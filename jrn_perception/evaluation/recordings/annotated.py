# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The pictures of a recording with their ground truth, as a data set has them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from jrn_perception.evaluation.recordings.bag import _Visit, Run
from jrn_perception.evaluation.recordings.pairing import pair
from jrn_perception.evaluation.recordings.session import Request
from jrn_perception.frame import Frame
from jrn_perception.perception import Perception
from jrn_perception.recordings.reader import Recording


class Annotated:
    """
    The pictures of an open recording that have all the ground truth of a request.

    Iterating yields every ``every``-th picture as a frame with its camera, if that is known.
    ``labels`` is the label set of the frames, None if the request names no labels; the sets of
    ``perception`` are preferred. ``left_out`` counts pictures without their ground truth;
    ``faults`` say which pictures are damaged and where the recording breaks off.
    """

    def __init__(self, perception: Perception, recording: Recording, request: Request,
                 every: int = 1):
        if every < 1:
            raise ValueError(f'every {every}: at least 1')
        self._run = Run(perception, recording, request, False)
        self._every, self.left_out = every, 0
        self.labels = self._run.ids.labels if self._run.ids else None
        self.faults: list[str] = []

    def __iter__(self) -> Iterator[Frame]:
        run = self._run
        matches = run._unbroken(pair(run._messages(), run.pairing))
        for found in islice(matches, 0, None, self._every):
            visit = _Visit(found)
            frame = run._decode(visit)
            if visit.fault or visit.remarks.faults:
                self.faults += [visit.fault] if visit.fault else visit.remarks.faults.values()
            elif any(getattr(frame, role) is None for role in run.topics if role != 'image'):
                self.left_out += 1
            else:
                yield frame
        if run.stopped:
            self.faults.append(run.stopped)


@contextmanager
def annotated(perception: Perception, path: Path, request: Request,
              every: int = 1) -> Iterator[Annotated]:
    """Open a recording for its annotated pictures, see ``Annotated``."""
    with Recording(path, request.span) as recording:
        yield Annotated(perception, recording, request, every)
