# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""One thread that serves several cameras, always with their newest frames, and a rate limit."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
import threading
from time import monotonic
from typing import Any


class RateLimit:
    """Chooses at most so many items a second out of all that arrive."""

    def __init__(self):
        self._due = 0.0

    def is_due(self, max_rate: float) -> bool:
        """Return whether to take the item that arrives now; a ``max_rate`` (Hz) of 0 takes all."""
        if not max_rate:
            return True
        now, period = monotonic(), 1 / max_rate
        if abs(now - self._due) > period:  # After a pause, or after a change of the limit.
            self._due = now
        if now < self._due:
            return False
        # Count from the due time, not from now: otherwise 30 Hz limited to 20 would become 15.
        self._due += period
        return True


class Slot:
    """
    The place for the next item of one source, made by ``Worker.open_slot``.

    An item that nobody has taken yet is replaced by a newer one.
    """

    def __init__(self, worker: Worker, process: Callable[[Any], None],
                 on_failure: Callable[[Exception], None]):
        self.process, self.on_failure = process, on_failure
        self.item: Any = None
        self._worker = worker

    def offer(self, item: Any) -> bool:
        """Put ``item`` in the slot; return whether it replaced an item nobody had processed."""
        return self._worker.fill(self, item)

    def busy_for(self) -> float:
        """Return for how many seconds an item of this slot has been processed, 0 if none is."""
        return self._worker.busy_for(self)


class Worker:
    """
    Processes one item at a time on a thread of its own.

    Items come from slots, which take turns. A task runs before all items that wait. An
    exception goes to the slot's (or the task's) ``on_failure`` and does not end the thread.
    """

    def __init__(self):
        self._ready: deque[Slot] = deque()
        self._tasks: deque[tuple[Callable[[], Any], Callable[[Exception], None]]] = deque()
        self._stopping = False
        # The slot whose item is being processed (None for a task), and since when.
        self._current: tuple[Slot | None, float] | None = None
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name='worker', daemon=True)

    def start(self) -> None:
        """Begin to process."""
        self._thread.start()

    def open_slot(self, process: Callable[[Any], None],
                  on_failure: Callable[[Exception], None]) -> Slot:
        """Return a new slot, whose items ``process`` is called with."""
        return Slot(self, process, on_failure)

    def fill(self, slot: Slot, item: Any) -> bool:
        """Put ``item`` in ``slot``; see ``Slot.offer``."""
        with self._changed:
            if self._stopping:
                return False
            replaced = slot.item is not None
            slot.item = item
            if not replaced:
                self._ready.append(slot)
            self._changed.notify()
        return replaced

    def call(self, task: Callable[[], Any], on_failure: Callable[[Exception], None]) -> None:
        """Run ``task`` on this thread, after the current item and before the next."""
        with self._changed:
            self._tasks.append((task, on_failure))
            self._changed.notify()

    def busy_for(self, slot: Slot) -> float:
        """Return for how many seconds an item of ``slot`` has been processed, 0 if none is."""
        current = self._current
        if current is None or current[0] is not slot:
            return 0.0
        return monotonic() - current[1]

    def stop(self) -> None:
        """Finish the current item, forget all others, and end the thread."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopping or self._tasks or self._ready)
                if self._stopping:
                    return
                slot = None
                if self._tasks:
                    work, on_failure = self._tasks.popleft()
                else:
                    slot = self._ready.popleft()
                    work, on_failure = partial(slot.process, slot.item), slot.on_failure
                    slot.item = None
            self._current = slot, monotonic()
            try:
                work()
            except Exception as error:  # noqa: B902, BLE001 one bad frame must not end all
                on_failure(error)
            self._current = None
