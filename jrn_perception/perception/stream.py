# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
The one loop: items in, predictions out, in the order of the items.

Pictures are decoded and resized ahead and results are finished behind, in threads, so that the
network waits for nothing; what is kept does not grow with the number of items.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
import os
import time
from typing import Any, Generic, TypeVar

from jrn_perception.frame import Frame
from jrn_perception.perception.backends.interface import ArrayMaps, SetUp
from jrn_perception.perception.perception import Perception
from jrn_perception.perception.prediction import Prediction
from jrn_perception.perception.threads import ahead, until, WAITING
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

    ``frame`` is its picture, None for an item without one, which passes without a ``prediction``.
    ``picture`` is what the network gets, ``maps`` (B, ...) what it returns for the batch in which
    the picture has the place ``index``. The seconds are those of resizing, and the picture's share
    of the batch's inference.
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

    ``decode`` returns an item's frame, None if it has no picture; its depth is scaled for the
    frame's focal length, where that is known. Items without ``has_picture`` are not decoded and
    not finished: their step is yielded as it is, in its place. ``batch`` consecutive pictures of
    one size run at once. ``interrupted`` is asked before each item and ends the stream. What
    ``decode`` or ``finish`` raises is raised here, in its place.
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
    with ThreadPoolExecutor(threads) as pool:
        prepared = ahead(prepare, steps, pool, 2 * threads + batch,
                         lambda step: has_picture(step.item))
        inferred = _infer(perception, until(interrupted, prepared), set_up, batch)
        yield from ahead(finish, inferred, pool, 2 * threads,
                         lambda step: has_picture(step.item))


def _infer(perception: Perception, steps: Iterable[Step], set_up: SetUp | None,
           batch: int) -> Iterator[Step]:
    """
    Yield the steps with their predictions, as many pictures at once as ``batch`` allows.

    At most ``WAITING`` times ``batch`` steps wait for a batch to be full.
    """
    waiting: list[Step] = []

    def run() -> Iterator[Step]:
        pictured = [(step, step.frame, step.picture) for step in waiting
                    if step.frame is not None and step.picture is not None]
        if pictured:
            started = time.perf_counter()
            maps = perception.infer(np.stack([picture for _, _, picture in pictured]), set_up)
            seconds = (time.perf_counter() - started) / len(pictured)
        for index, (step, frame, _) in enumerate(pictured):
            step.maps, step.index, step.inference_s = maps, index, seconds
            step.prediction = perception.postprocess(maps, frame.rgb.shape[:2],
                                                     frame.focal_length, index)
        yield from waiting
        waiting.clear()

    for step in steps:
        sizes = {other.picture.shape for other in (*waiting, step) if other.picture is not None}
        if len(sizes) > 1:
            yield from run()
        waiting.append(step)
        # A picture may be the last one for a long time, while items without a picture go on.
        if (sum(other.picture is not None for other in waiting) in (0, batch)
                or len(waiting) >= WAITING * batch):
            yield from run()
    yield from run()
