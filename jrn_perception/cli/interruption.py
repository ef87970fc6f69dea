# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Ctrl-C as a wish to end early, with the results that are there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import signal
import threading

INTERRUPTED = 130


@contextmanager
def interruption() -> Iterator[threading.Event]:
    """Yield an event that the first Ctrl-C sets; the second raises KeyboardInterrupt as ever."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event  # Only the main thread gets signals.
        return

    def stop(*_: object) -> None:
        signal.signal(signal.SIGINT, previous)
        event.set()

    previous = signal.signal(signal.SIGINT, stop)
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, previous)
