# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The pictures of a rosbag2 recording."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

from jrn_perception.frame import Frame
from jrn_perception.recordings.reader import Recording, RecordingError, Topic
from jrn_perception.sources.source import Report, Source
import numpy as np

# The rate is estimated from this many messages only, since each one holds a whole picture.
RATE_SAMPLES = 20


class Recorded(Source):
    """The pictures of one image topic of a rosbag2 recording, with the stamps of the headers."""

    def __init__(self, path: Path, topic: str = '', damaged: Report | None = None):
        super().__init__(str(path), damaged)
        self.path = path
        with Recording(path) as recording:
            found = recording.image_topic(topic)
            self.topic, self.length = found.name, found.count
            self.frame_id = recording.frame_id(found.name)
            self.rate = _rate(recording, found)

    def __iter__(self) -> Iterator[Frame]:
        with Recording(self.path) as recording:
            yield from recording.frames(self.topic, self._skip if self._damaged else None)


def _rate(recording: Recording, topic: Topic) -> float | None:
    """Return the Hz at the beginning of a topic: it may start late and pause later."""
    stamps: list[int] = []
    with suppress(RecordingError):  # The recording may break off earlier.
        stamps.extend(record.stamp_ns for record in islice(recording.records([topic.name]),
                                                           RATE_SAMPLES))
    periods = np.diff(stamps)
    period = np.median(periods) if len(periods) else 0
    return 1e9 / period if period > 0 else None
