# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The one loop: in order, in batches, past items without a picture, scaled for the camera."""

from collections import Counter
from dataclasses import replace
import os
import threading
import time

from jrn_perception.frame import Frame
from jrn_perception.perception import Perception, SetUp
from jrn_perception.perception.stream import stream
import numpy as np
import pytest


@pytest.fixture(scope='module')
def jrn():
    return Perception.load('jrn', 'cat1', weights_file='random', device='cpu', height=64, width=96)


def frames(count, size=(48, 64), matrix=None):
    random = np.random.default_rng(0)
    return [Frame(random.integers(0, 256, (*size, 3), np.uint8), str(index), camera_matrix=matrix)
            for index in range(count)]


def batches(perception, monkeypatch):
    """Return a list that gets the number of pictures of each run."""
    sizes, infer = [], perception.infer
    monkeypatch.setattr(perception, 'infer', lambda pictures, *arguments: (
        sizes.append(len(pictures)), infer(pictures, *arguments))[1])
    return sizes


@pytest.mark.parametrize('batch, sizes', [(1, [1] * 5), (2, [2, 2, 1]), (8, [5])])
def test_each_picture_has_its_own_prediction_in_order(jrn, monkeypatch, batch, sizes):
    source = frames(5)
    expected = [jrn(frame.rgb) for frame in source]
    ran = batches(jrn, monkeypatch)
    steps = list(stream(jrn, range(5), source.__getitem__, batch=batch))
    assert ran == sizes
    assert [step.item for step in steps] == list(range(5))
    for step, frame, alone in zip(steps, source, expected):
        assert step.frame is frame
        np.testing.assert_allclose(step.prediction.depth, alone.depth, atol=1e-4)
        np.testing.assert_allclose(step.prediction.inputs.depth, alone.inputs.depth, atol=1e-4)
        np.testing.assert_allclose(step.prediction.confidence, alone.confidence, atol=1e-4)
        assert step.inference_s > 0


def test_a_batch_has_pictures_of_one_size(monkeypatch):
    jrn = Perception.load('jrn', 'cat1', weights_file='random', device='cpu', height=64)
    source = frames(2) + frames(1, (48, 128)) + frames(1)
    ran = batches(jrn, monkeypatch)
    steps = list(stream(jrn, source, lambda frame: frame, batch=4))
    assert ran == [2, 1, 1]
    assert [step.prediction.depth.shape for step in steps] == [
        (48, 64), (48, 64), (48, 128), (48, 64)]


def test_items_without_a_picture_keep_their_place(jrn):
    source = frames(2)
    items = ['note', source[0], 'damaged', source[1], 'note']
    finished = []

    def finish(step):
        finished.append(step.item)
        return step

    steps = list(stream(jrn, items, lambda item: item if isinstance(item, Frame) else None,
                        finish=finish, has_picture=lambda item: item != 'note', batch=2))
    assert [step.item for step in steps] == items
    assert [step.prediction is not None for step in steps] == [False, True, False, True, False]
    # An item without has_picture passes untouched; one that was not decoded is finished.
    assert Counter(map(id, finished)) == Counter(map(id, items[1:4]))


def test_a_picture_does_not_wait_for_a_full_batch_forever(jrn):
    # One picture, then only other messages: what is kept must not grow with their number.
    source, taken = frames(1), []

    def items():
        for item in range(5000):
            taken.append(item)
            yield item

    steps = stream(jrn, items(), source.__getitem__, has_picture=lambda item: item == 0, batch=2)
    first = next(steps)
    assert first.prediction is not None
    assert len(taken) < 1000
    assert [step.item for step in steps] == list(range(1, 5000))


def test_depth_is_scaled_for_the_camera_of_the_frame(jrn, monkeypatch):
    monkeypatch.setattr(jrn, 'card', replace(jrn.card, focal_length=(200., 200.)))
    matrix = np.diag((100., 100., 1.))
    known, = stream(jrn, frames(1, matrix=matrix), lambda frame: frame)
    plain, = stream(jrn, frames(1), lambda frame: frame)
    assert known.prediction.depth_scale == jrn.depth_scale((48, 64), (100., 100.))
    # The input has 64x96 pixels, 4/3 and 3/2 times the picture's.
    assert known.prediction.depth_scale == pytest.approx(0.5 * (4 / 3 * 3 / 2) ** 0.5)
    assert plain.prediction.depth_scale == jrn.depth_scale((48, 64))


def test_the_set_up_is_that_of_the_run(jrn):
    frame, = frames(1)
    muted, = stream(jrn, [frame], lambda item: item, set_up=SetUp('depth', 'mean', True))
    np.testing.assert_allclose(muted.prediction.depth, jrn(frame.rgb, 'depth', 'mean').depth,
                               rtol=1e-5, atol=1e-5)
    assert muted.prediction.influence_depth is not None


@pytest.mark.parametrize('batch', [1, 4])
@pytest.mark.parametrize('stage', ['decode', 'finish'])
def test_an_error_is_raised_in_its_place(jrn, stage, batch):
    def fail(value):
        if (value.item if stage == 'finish' else value) == 2:
            raise ValueError('number 2')
        return value if stage == 'finish' else source[value]

    source, seen = frames(4), []
    stages = {'decode': source.__getitem__, 'finish': lambda step: step, stage: fail}
    with pytest.raises(ValueError, match='number 2'):
        for step in stream(jrn, range(4), stages['decode'], finish=stages['finish'],
                           batch=batch):
            seen.append(step.item)
    assert seen == [0, 1]


def test_it_ends_when_it_is_interrupted(jrn):
    source, seen = frames(6), []
    for step in stream(jrn, range(6), source.__getitem__, interrupted=lambda: len(seen) >= 2):
        seen.append(step.item)
    # Results that wait to be finished are not lost.
    assert seen == list(range(len(seen))) and 2 <= len(seen) < 6


def test_items_without_a_picture_do_not_wait_for_a_batch_forever(jrn):
    frame, taken = frames(1)[0], []

    def items():
        yield frame
        for note in range(1000):
            taken.append(note)
            yield note

    steps = stream(jrn, items(), lambda item: item, batch=2,
                   has_picture=lambda item: isinstance(item, Frame))
    assert next(steps).item is frame
    assert len(taken) < 500


def test_threads_and_source_end_when_the_consumer_stops_early(jrn, monkeypatch):
    monkeypatch.setattr(os, 'cpu_count', lambda: 4)
    frame, begun, closed = frames(1)[0], [], []

    def endless():
        try:
            while True:
                yield frame
        finally:
            closed.append(True)

    def decode(item):
        begun.append(item)
        time.sleep(0.2)
        return item

    before = threading.active_count()
    steps = stream(jrn, endless(), decode)
    next(steps)
    decoded = len(begun)
    steps.close()
    # Pictures that were not yet begun are not decoded any more.
    assert len(begun) <= decoded + 1
    assert closed == [True]
    assert threading.active_count() == before


def test_a_batch_has_a_picture_at_least(jrn):
    with pytest.raises(ValueError, match='batch 0: at least 1'):
        list(stream(jrn, [], lambda item: item, batch=0))
