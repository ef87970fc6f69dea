# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Work done ahead in threads, its results in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import Any, Generic, TypeVar

# Other topics have some messages per picture. Not all of them can wait for a slow picture.
WAITING = 8

Item = TypeVar('Item')
Result = TypeVar('Result')


class _Done(Generic[Item]):
    """An item that needs no work, in the place of a future."""

    def __init__(self, item: Item):
        self._item = item

    def done(self) -> bool:
        return True

    def result(self) -> Item:
        return self._item


def until(ended: Callable[[], bool], items: Iterable[Item]) -> Iterator[Item]:
    """Yield ``items`` for as long as it has not ``ended``."""
    for item in items:
        if ended():
            return
        yield item


def until_failure(items: Iterable[Item], failures: list[Exception]) -> Iterator[Item]:
    """Yield ``items`` up to the first exception, which goes to ``failures``."""
    try:
        yield from items
    except Exception as error:  # noqa: B902, BLE001 raised again when all before it is done
        failures.append(error)


def ahead(function: Callable[[Item], Result], items: Iterable[Item], pool: Executor, limit: int,
          wanted: Callable[[Item], Any] = lambda item: True) -> Iterator[Result]:
    """
    Yield ``function(item)`` in the order of ``items``, at most ``limit`` of them begun ahead.

    An item that is not ``wanted`` goes through as it is, in its place, and waits there for the
    items before it: at most ``WAITING`` times ``limit`` wait, of either kind. An exception of
    ``function`` or of ``items`` is raised here, after the results of all items before it. When the
    consumer stops early, work in progress is finished and dropped.
    """
    pending: deque[Future | _Done] = deque()
    running = 0
    failures: list[Exception] = []
    try:
        for item in until_failure(items, failures):
            if wanted(item):
                pending.append(pool.submit(function, item))
                running += 1
            else:
                pending.append(_Done(item))
            while pending and (running > limit or len(pending) > WAITING * limit
                               or pending[0].done()):
                first = pending.popleft()
                running -= not isinstance(first, _Done)
                yield first.result()
        while pending:
            yield pending.popleft().result()
        if failures:
            raise failures[0]
    finally:
        for future in pending:
            if isinstance(future, Future):
                future.cancel()
