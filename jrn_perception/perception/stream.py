# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
The one loop: items in, predictions out, in the order of the items.

Threads decode and resize pictures before the network needs them, and finish results while the
network runs the next picture. The memory does not grow with the number of items.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
import os
import time
from typing import Any, Generic, TypeVar

from jrn_perception.frame import Frame
from jrn_perception.perception.backends.interface import ArrayMaps, join, SetUp
from jrn_perception.perception.perception import Perception
from jrn_perception.perception.prediction import Prediction
from jrn_perception.perception.threads import ahead, until, until_failure, WAITING
import numpy as np

Item = TypeVar('Item')
# Wraps items and their number, for a progress bar.
Track = Callable[[Iterable, int], Iterable]


def untracked(items: Iterable, _total: int) -> Iterable:
    """Return the items: nobody watches."""
    return items


@dataclass
class Step(Generic[Item]):
    """
    An item on its way through the stream.

    ``frame`` and ``prediction`` are None for an item without a picture. ``picture`` is the input
    of the network (h, w, 3). ``maps`` (B, ...) are the outputs for the picture's batch, ``index``
    is the picture's place in this batch. ``preprocess_s`` are the seconds of resizing,
    ``inference_s`` is the picture's share of the seconds in which the batch ran.
    """

    item: Item
    frame: Frame | None = None
    picture: np.ndarray | None = None
    maps: ArrayMaps | None = None
    index: int = 0
    prediction: Prediction | None = None
    preprocess_s: float = 0.0
    inference_s: float = 0.0


def stream(perception: Perception, items: Iterable[Item],
           decode: Callable[[Item], Frame | None], *,
           finish: Callable[[Step[Item]], Any] = lambda step: step,
           has_picture: Callable[[Item], Any] = lambda item: True,
           set_up: SetUp | None = None, batch: int = 1,
           interrupted: Callable[[], bool] = lambda: False) -> Iterator[Any]:
    """
    Yield ``finish(step)`` for each item.

    ``decode`` returns the frame of an item, None if the item has no picture. Predicted depth is
    scaled for the frame's focal length if it is known. An item without ``has_picture`` is neither
    decoded nor finished: its step is yielded unchanged, in its place. ``batch`` consecutive
    pictures of one size run at once. ``interrupted`` is asked before each item and ends the
    stream. An exception of ``items``, ``decode`` or ``finish`` is raised here, after the results
    of all earlier items. When the consumer stops early, all threads end.
    """
    if batch < 1:
        raise ValueError(f'batch {batch}: at least 1')

    def prepare(step: Step[Item]) -> Step[Item]:
        step.frame = decode(step.item)
        if step.frame is not None:
            started = time.perf_counter()
            step.picture = perception.preprocess(step.frame.rgb)
            step.preprocess_s = time.perf_counter() - started
        return step

    threads = max(2, os.cpu_count() or 2)
    steps = (Step(item) for item in items)
    pool = ThreadPoolExecutor(threads)
    try:
        prepared = ahead(prepare, steps, pool, 2 * threads + batch,
                         lambda step: has_picture(step.item))
        inferred = _infer(perception, until(interrupted, prepared), set_up, batch)
        yield from ahead(finish, inferred, pool, 2 * threads,
                         lambda step: has_picture(step.item))
    finally:
        # After an early end nobody wants the pictures that wait to be decoded.
        pool.shutdown(cancel_futures=True)


def _infer(perception: Perception, steps: Iterable[Step], set_up: SetUp | None,
           batch: int) -> Iterator[Step]:
    """
    Yield the steps with their predictions, as many pictures at once as ``batch`` allows.

    At most ``WAITING`` times ``batch`` steps wait for a batch to be full.
    """
    waiting: list[Step] = []
    failures: list[Exception] = []

    def run() -> Iterator[Step]:
        pictured = [(step, step.frame, step.picture) for step in waiting
                    if step.frame is not None and step.picture is not None]
        if pictured:
            started = time.perf_counter()
            inputs = join([perception.sourced(frame.rgb, picture, frame.measured,
                                              frame.focal_length)
                           for _, frame, picture in pictured])
            maps = perception.infer(np.stack([picture for _, _, picture in pictured]), set_up,
                                    inputs)
            seconds = (time.perf_counter() - started) / len(pictured)
        for index, (step, frame, _) in enumerate(pictured):
            step.maps, step.index, step.inference_s = maps, index, seconds
            step.prediction = perception.postprocess(maps, frame.rgb.shape[:2],
                                                     frame.focal_length, index)
        yield from waiting
        waiting.clear()

    for step in until_failure(steps, failures):
        sizes = {other.picture.shape for other in (*waiting, step) if other.picture is not None}
        if len(sizes) > 1:
            yield from run()
        waiting.append(step)
        pictures = sum(other.picture is not None for other in waiting)
        # Other items may be many more than the pictures.
        if pictures in (0, batch) or len(waiting) >= WAITING * batch:
            yield from run()
    yield from run()
    if failures:
        raise failures[0]
