# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""A thread that always works on the newest item, and a limit to how many a second."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
import threading
from time import monotonic
from typing import Any

_STOP = object()


class RateLimit:
    """Tells which of the items that come are due, so many a second at most."""

    def __init__(self):
        self._due = 0.0

    def is_due(self, max_rate: float) -> bool:
        """Return whether an item that comes now is; with a ``max_rate`` (Hz) of 0 every one is."""
        if not max_rate:
            return True
        now, period = monotonic(), 1 / max_rate
        if abs(now - self._due) > period:  # After a pause, or when the limit was another.
            self._due = now
        if now < self._due:
            return False
        # Counted from the due time, not from now, or 30 Hz limited to 20 would come out as 15.
        self._due += period
        return True


class Worker:
    """
    Calls ``process`` with one item at a time, on a thread of its own.

    A slot holds the next item; a newer one takes its place. Tasks are called between two items. An
    exception goes to ``on_failure`` and does not end the thread: the next item has its chance.
    """

    def __init__(self, process: Callable[[Any], None], on_failure: Callable[[Exception], None]):
        self._process, self._on_failure = process, on_failure
        self._slot: Any = None
        self._tasks: deque[Callable[[], Any]] = deque()
        self._began: float | None = None
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name='worker', daemon=True)
        self._thread.start()

    def offer(self, item: Any) -> bool:
        """Put ``item`` in the slot; return whether an item that nobody processed had to go."""
        with self._changed:
            if self._slot is _STOP:
                return False
            replaced, self._slot = self._slot is not None, item
            self._changed.notify()
        return replaced

    def call(self, task: Callable[[], Any]) -> None:
        """Have ``task`` called on this thread, after the item in work and before the next."""
        with self._changed:
            self._tasks.append(task)
            self._changed.notify()

    def busy_for(self) -> float:
        """Return for how many seconds an item has been in work, 0 if none is."""
        began = self._began
        return 0.0 if began is None else monotonic() - began

    def stop(self) -> None:
        """Finish the item in work, forget the one in the slot, and end the thread."""
        self.offer(_STOP)
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._slot is not None or self._tasks)
                if self._slot is _STOP:
                    return
                if self._tasks:
                    work = self._tasks.popleft()
                else:
                    work, self._slot = partial(self._process, self._slot), None
            self._began = monotonic()
            try:
                work()
            except Exception as error:  # noqa: B902, BLE001 one bad frame must not end all
                self._on_failure(error)
            self._began = None
