# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The thread that always works on the newest item, and the limit to how many a second."""

import threading

from jrn_perception.ros.camera import worker
from jrn_perception.ros.camera.worker import RateLimit, Worker
import pytest

TIMEOUT_S = 20


class Desk:
    """A `process` that the test can hold in progress, and its slot."""

    def __init__(self):
        self.done, self.failures = [], []
        self.started, self.go_on = threading.Semaphore(0), threading.Semaphore(0)
        self.worker = Worker()
        self.slot = self.worker.open_slot(self.process, self.failures.append)
        self.worker.start()

    def call(self, task):
        self.worker.call(task, self.failures.append)

    def process(self, item):
        self.started.release()
        assert self.go_on.acquire(timeout=TIMEOUT_S)
        if isinstance(item, Exception):
            raise item
        self.done.append(item)

    def take(self, item):
        """Offer an item and return when it is being processed."""
        replaced = self.slot.offer(item)
        assert self.started.acquire(timeout=TIMEOUT_S)
        return replaced

    def finish(self, items=1):
        for _ in range(items):
            self.go_on.release()


@pytest.fixture
def desk():
    desk = Desk()
    yield desk
    desk.finish(100)
    desk.worker.stop()


def test_the_newest_item_wins_and_the_others_are_reported(desk):
    assert not desk.take(1)
    assert [desk.slot.offer(item) for item in (2, 3, 4)] == [False, True, True]
    desk.finish()
    assert desk.started.acquire(timeout=TIMEOUT_S)
    desk.finish()
    desk.worker.stop()
    assert desk.done == [1, 4]


def test_one_item_at_a_time(desk):
    desk.take(1)
    desk.slot.offer(2)
    assert not desk.started.acquire(timeout=0.1)
    desk.finish()
    assert desk.started.acquire(timeout=TIMEOUT_S)


def test_it_is_known_how_long_an_item_has_been_processed(desk, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(worker, 'monotonic', lambda: now[0])
    assert desk.slot.busy_for() == 0
    desk.take(RuntimeError('slow, and fails'))
    now[0] += 5
    # One more that waits changes nothing.
    desk.slot.offer(2)
    assert desk.slot.busy_for() == 5
    desk.finish()
    assert desk.started.acquire(timeout=TIMEOUT_S)
    assert desk.slot.busy_for() == 0
    desk.finish()
    desk.worker.stop()
    now[0] += 5
    assert desk.slot.busy_for() == 0


def test_a_task_is_called_after_the_current_item_and_before_the_next(desk):
    desk.take(1)
    desk.slot.offer(2)
    desk.call(lambda: desk.done.append('task'))
    desk.finish(2)
    assert desk.started.acquire(timeout=TIMEOUT_S)
    desk.worker.stop()
    assert desk.done == [1, 'task', 2]


def test_a_task_waits_for_no_item_and_its_failure_is_told(desk):
    error, called = RuntimeError('no context'), threading.Event()

    def fail():
        raise error
    desk.call(fail)
    desk.call(called.set)
    assert called.wait(TIMEOUT_S)
    assert desk.failures == [error]


def test_a_failure_is_told_and_the_next_item_has_its_chance(desk):
    error = RuntimeError('out of memory')
    desk.take(error)
    desk.finish()
    desk.take(2)
    desk.finish()
    desk.worker.stop()
    assert desk.failures == [error]
    assert desk.done == [2]


def test_stop_finishes_the_current_item_and_forgets_the_next(desk):
    desk.take(1)
    desk.slot.offer(2)
    ending = threading.Thread(target=desk.worker.stop)
    ending.start()
    ending.join(0.1)
    assert ending.is_alive()
    # Whoever still offers must not take the place of the order to stop.
    desk.slot.offer(3)
    desk.finish(3)
    ending.join(TIMEOUT_S)
    assert not ending.is_alive()
    assert desk.done == [1]


def test_stopping_twice_is_no_error(desk):
    desk.worker.stop()
    desk.worker.stop()


def test_sources_take_turns_each_with_its_newest_item(desk):
    other = desk.worker.open_slot(desk.process, desk.failures.append)
    desk.take('left 1')
    # The left camera is the faster one; the right camera's turn comes all the same.
    assert [desk.slot.offer('left 2'), other.offer('right 1'), desk.slot.offer('left 3'),
            other.offer('right 2')] == [False, False, True, True]
    assert (desk.slot.busy_for() > 0, other.busy_for()) == (True, 0)
    desk.finish(3)
    for _ in range(2):
        assert desk.started.acquire(timeout=TIMEOUT_S)
    desk.worker.stop()
    assert desk.done == ['left 1', 'left 3', 'right 2']


def test_items_at_30_hz_limited_to_20_are_20(monkeypatch):
    now, limit, taken = [1000.0], RateLimit(), 0
    monkeypatch.setattr(worker, 'monotonic', lambda: now[0])
    for frame in range(300):
        now[0] = 1000 + frame / 30
        taken += limit.is_due(20.0)
    assert 199 <= taken <= 201
    # After a pause no more than one at once.
    now[0] += 100
    assert [limit.is_due(20.0) for _ in range(3)] == [True, False, False]
    assert all(limit.is_due(0.0) for _ in range(3))
