# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The pictures of a recording."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

from jrn_perception.frame import Frame
from jrn_perception.recordings.reader import Recording, RecordingError, Span, Topic
from jrn_perception.sources.source import Report, Source
import numpy as np

# The rate is estimated from this many messages only, since each one holds a whole picture.
RATE_SAMPLES = 20
# Messages come in bursts if the time between bursts is as many of their median periods.
BURST = 10
# No camera takes pictures faster.
SHORTEST_NS = 500_000


class Recorded(Source):
    """
    The pictures of one image topic of a recording, with the stamps of the headers.

    ``span`` limits the recording. ``noted`` is called once for each reason why pictures have no
    camera, and for topics with fewer messages than announced.
    """

    def __init__(self, path: Path, topic: str = '', damaged: Report | None = None,
                 span: Span | None = None, noted: Report | None = None):
        super().__init__(str(path), damaged)
        self.path, self._span, self._noted = path, span, noted or (lambda text: None)
        with Recording(path, span) as recording:
            for note in recording.notes:
                self._noted(note)
            found = recording.image_topic(topic)
            self.topic = found.name
            self.length = None if span else found.count
            self.frame_id = recording.frame_id(found.name)
            self.rate = _rate(recording, found)

    def __iter__(self) -> Iterator[Frame]:
        with Recording(self.path, self._span) as recording:
            try:
                yield from recording.frames(self.topic, self._skip if self._damaged else None,
                                            self._noted)
            except RecordingError as error:
                if self._damaged is None:
                    raise
                # The pictures before are whole, as those of a video that ends early.
                self._skip(str(error))


def _rate(recording: Recording, topic: Topic) -> float | None:
    """Return the Hz at the beginning of a topic: it may start late and pause later."""
    stamps: list[int] = []
    with suppress(RecordingError):  # The recording may break off earlier.
        stamps.extend(record.stamp_ns for record in islice(recording.records([topic.name]),
                                                           RATE_SAMPLES))
    periods = np.diff(stamps)
    if not len(periods):
        return None
    period = np.median(periods)
    # One long period is a pause; several of them are the time between bursts of messages.
    bursts = np.count_nonzero(periods > BURST * period) >= max(2, len(periods) // 10)
    if bursts or period < SHORTEST_NS:
        period = periods.mean()
    return 1e9 / period if period > 0 else None
