# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
A network over a recording, with ground truth where there is some.

Pictures are decoded ahead and predictions are measured behind in threads, so that the network
waits for nothing; what is kept does not grow with the recording.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import chain, islice, pairwise
import math
import os
from pathlib import Path
import time
from typing import NamedTuple

from jrn_perception.evaluation.measures.drift import Drift, drift
from jrn_perception.evaluation.recordings.camera import scale_of
from jrn_perception.evaluation.recordings.pairing import (
    BackwardsError,
    Match,
    pair,
    stamp_of,
    Stamped,
    written,
)
from jrn_perception.evaluation.recordings.session import BagEvaluation, Picture, Request, Session
from jrn_perception.evaluation.recordings.totals import Measured, Remarks, Timing
from jrn_perception.frame import Frame
from jrn_perception.messages.images import BadImage, compressed_to_rgb, to_rgb
from jrn_perception.networks.interface import Maps
from jrn_perception.perception import Perception
from jrn_perception.perception.prediction import limit_depth
from jrn_perception.perception.threads import ahead, until
from jrn_perception.recordings.reader import IMAGE, Record, Recording, RecordingError
import numpy as np
from torch import Tensor

Track = Callable[[Iterable, int], Iterable]


class _Decoded(NamedTuple):
    """A picture ready for the network, or the ``fault`` for which there is none."""

    frame: Frame
    tensor: Tensor | None
    preprocess_s: float
    remarks: Remarks
    fault: str = ''
    scale: float | None = None


class _Inferred(NamedTuple):
    decoded: _Decoded
    maps: Maps | None
    inference_s: float


def evaluate_bag(perception: Perception, path: Path | str, request: Request | None = None,
                 track: Track = lambda items, total: items,
                 interrupted: Callable[[], bool] = lambda: False) -> BagEvaluation:
    """
    Return what ``perception`` is worth on a recording.

    Where the recording breaks off, its stamps go backwards, or pictures are damaged, what could be
    evaluated is kept and ``reasons`` say what is missing. Raises ValueError (RecordingError among
    them) of one line if nothing could be evaluated or the request does not fit the recording.
    ``track`` wraps the frames, of which the second argument is the number, for a progress bar.
    ``interrupted`` is asked before each frame and ends it, as where the recording breaks off;
    KeyboardInterrupt if there is nothing to keep.
    """
    request = request or Request()
    if request.limit < 0:
        raise ValueError(f'limit {request.limit}: a number of frames, 0 for all')
    with Recording(path) as recording:
        inputs = bool(perception.card.spec.inputs)
        return _Run(perception, recording, request, inputs).evaluate(track, interrupted)


class _Run(Session):
    """One evaluation: the stages of a frame, in the order in which it passes them."""

    def evaluate(self, track: Track, interrupted: Callable[[], bool]) -> BagEvaluation:
        """Evaluate all frames."""
        request, network_s = self.request, 0.0
        start = time.perf_counter()
        total = self.topics['image'].count
        total = min(request.limit, total) if request.limit else total
        matches = islice(pair(self._messages(), self.pairing), request.limit or None)
        workers = max(2, os.cpu_count() or 2)
        with ThreadPoolExecutor(workers) as pool:
            decoded = ahead(self._decode, self._unbroken(matches), pool, 2 * workers)
            inferred = map(self._infer, until(interrupted, track(decoded, total)))
            measured = ahead(self._measure, inferred, pool, 2 * workers)
            for result in ahead(self._drift, pairwise(chain([None], measured)), pool, workers):
                self.totals.add(result)
                network_s += result.timing.inference_s if result.timing else 0.0
        wall_s = time.perf_counter() - start
        done, reasons = self.totals.frames + self.totals.num_damaged, []
        if interrupted() and done < total:
            if not self.totals.frames:
                raise KeyboardInterrupt
            reasons.append(f'{self.recording.path}: interrupted after {done} of {total} pictures')
        return self.result(reasons, wall_s=wall_s, network_s=network_s)

    def _messages(self) -> Iterator[Stamped]:
        camera = self.camera.topic
        for record in self.recording.records([*self.rates, *([camera.name] if camera else [])]):
            if record.topic == camera:
                self.camera.hear(record)
                continue
            try:
                stamp = stamp_of(record.data)
            except ValueError as error:
                raise RecordingError(f'{self.recording.path}: {record.topic.name} at '
                                     f'{record.stamp_ns} ns: {error}') from error
            self.rates[record.topic.name].append(stamp)
            message = record
            if record.topic == self.topics['image']:
                message = Picture(record, self.camera.info)
            yield Stamped(record.topic.name, stamp, message)

    def _unbroken(self, matches: Iterator[Match]) -> Iterator[Match]:
        """Yield what comes before the recording breaks off."""
        try:
            yield from matches
        except BackwardsError as error:
            self.stopped = f'{self.recording.path}: {error}; what follows was left out'
        except RecordingError as error:
            self.stopped = str(error)

    def _decode(self, match: Match) -> _Decoded:
        stamped = match.message
        name = f'{stamped.topic}@{written(stamped.stamp_ns)}'
        remarks = Remarks([], {})
        try:
            frame = Frame(decode_picture(self.recording, stamped.message.record), name,
                          stamped.stamp_ns)
            scale = scale_of(self.perception, self.camera.topic, stamped.message.camera_info,
                             frame.rgb.shape[:2], remarks.notes)
            truth = self.truths(match, frame, remarks)
        except (BadImage, RecordingError) as error:
            empty = Frame(np.zeros((1, 1, 3), np.uint8), name, stamped.stamp_ns)
            return _Decoded(empty, None, 0.0, remarks, f'{name}: {error}')
        start = time.perf_counter()
        tensor = self.perception.preprocess(frame.rgb)
        seconds = time.perf_counter() - start
        return _Decoded(replace(frame, **truth), tensor, seconds, remarks, scale=scale)

    def _infer(self, decoded: _Decoded) -> _Inferred:
        if decoded.tensor is None:
            return _Inferred(decoded, None, 0.0)
        start = time.perf_counter()
        maps = self.perception.infer(decoded.tensor)
        return _Inferred(decoded, maps, time.perf_counter() - start)

    def _measure(self, inferred: _Inferred) -> Measured:
        decoded, frame = inferred.decoded, inferred.decoded.frame
        if inferred.maps is None:
            return Measured(frame, decoded.remarks, decoded.fault)
        start = time.perf_counter()
        scale = 1.0 if decoded.scale is None else decoded.scale
        prediction = self.comparison.prediction(inferred.maps, frame.rgb.shape[:2], scale)
        depth, labels = prediction.depth, prediction.labels
        timing = Timing(decoded.preprocess_s, inferred.inference_s, time.perf_counter() - start)
        if depth is not None:
            depth = limit_depth(depth, *self.comparison.depth_range_at(scale))
        measured = Measured(frame, decoded.remarks, '', timing, depth, labels)
        measured.scale = math.nan if decoded.scale is None else decoded.scale
        try:
            measured.count(prediction.confidence, self.request.confidence)
            measured.compare(self.comparison, prediction, bool(self.totals.inputs))
        except ValueError as error:
            return Measured(frame, decoded.remarks, str(error))
        return measured

    def _drift(self, frames: tuple[Measured | None, Measured]) -> Measured:
        previous, measured = frames
        found = Drift()
        if previous is not None:
            found = drift(measured.depth, measured.labels, previous.depth, previous.labels)
        measured.drift = found
        return measured


def decode_picture(recording: Recording, record: Record) -> np.ndarray:
    """Return the picture of a record, uint8 (H, W, 3); BadImage, RecordingError."""
    msg = recording.decode(record)
    return to_rgb(msg) if record.topic.msgtype == IMAGE else compressed_to_rgb(msg)
