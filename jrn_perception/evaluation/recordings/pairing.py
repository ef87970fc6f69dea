# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Pair each message of a topic with the messages of other topics whose stamps are nearest."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
import struct
from typing import Any, NamedTuple


class Stamped(NamedTuple):
    """A message, the stamp of its header in ns, and the ``topic`` that it came on."""

    topic: str
    stamp_ns: int
    message: Any


class Match(NamedTuple):
    """A message and its partner from each other topic; None if no message is near enough."""

    message: Stamped
    partners: Mapping[str, Stamped | None]


class BackwardsError(ValueError):
    """A stamp is earlier than the previous stamp of its topic; one line that says where."""


def stamp_of(data: bytes) -> int:
    """Return the stamp, ns, of a CDR message that begins with a header; ValueError."""
    if len(data) < 12:
        raise ValueError(f'{len(data)} bytes are no message with a header')
    # Byte 1 of the encapsulation: odd is little-endian.
    seconds, nanoseconds = struct.unpack_from('<iI' if data[1] & 1 else '>iI', data, 4)
    return seconds * 10**9 + nanoseconds


def written(stamp_ns: int) -> str:
    """Return a stamp in seconds, with all nine digits."""
    return f'{stamp_ns // 10**9}.{stamp_ns % 10**9:09d}'


class Pairing:
    """
    Pairs a stream of messages; keeps in memory only messages that still wait.

    ``add`` each message in the order of reception, then ``end``; both return the matches that are
    decided, in the order of the leading topic. A partner is the message of its topic whose stamp
    is nearest, at most ``tolerance_ns`` away; of two equally near messages the earlier one. A
    message may be the partner of several. A message waits until each other topic has a message
    with an equal or later stamp, or until any message is ``patience_ns`` later. Stamp 0 means "not
    stamped": such a message has no partner and is no partner; ``unstamped`` counts such messages
    by topic.
    """

    def __init__(self, leader: str, others: Sequence[str], tolerance_ns: int,
                 patience_ns: int = 2 * 10**9):
        if tolerance_ns < 0:
            raise ValueError(f'tolerance {tolerance_ns / 1e9} s: not below zero')
        self._leader, self._tolerance = leader, tolerance_ns
        self._patience = max(patience_ns, tolerance_ns)
        self._waiting: deque[Stamped] = deque()
        self._candidates: dict[str, deque[Stamped]] = {
            topic: deque() for topic in others}
        self._last: dict[str, int] = {}
        self.unstamped: Counter[str] = Counter()

    def add(self, stamped: Stamped) -> list[Match]:
        """
        Return the matches that this message decides.

        Raises BackwardsError if its stamp is earlier than the previous stamp of its topic: with a
        clock that jumps, the nearest message is ambiguous.
        """
        topic, stamp, _ = stamped
        if not stamp:
            self.unstamped[topic] += 1
        last = self._last.get(topic, stamp)
        if stamp < last:
            raise BackwardsError(f'{topic}: stamp {written(stamp)} goes back by '
                                 f'{(last - stamp) / 1e9:.3f} s')
        self._last[topic] = stamp
        if topic == self._leader:
            self._waiting.append(stamped)
        elif stamp:
            self._candidates[topic].append(stamped)
        decided = []
        while self._waiting and self._is_decided(self._waiting[0].stamp_ns):
            decided.append(self._match(self._waiting.popleft()))
        self._forget()
        return decided

    def end(self) -> list[Match]:
        """Return the matches of all messages that still wait."""
        decided = [self._match(stamped) for stamped in self._waiting]
        self._waiting.clear()
        return decided

    def _is_decided(self, stamp: int) -> bool:
        return not stamp or max(self._last.values()) - stamp > self._patience or all(
            self._last.get(topic, stamp - 1) >= stamp for topic in self._candidates)

    def _match(self, stamped: Stamped) -> Match:
        def distance(candidate: Stamped) -> int:
            return abs(candidate.stamp_ns - stamped.stamp_ns)

        partners = {}
        for topic, candidates in self._candidates.items():
            nearest = min(candidates, key=distance, default=None)
            near = nearest is not None and distance(nearest) <= self._tolerance
            partners[topic] = nearest if stamped.stamp_ns and near else None
        return Match(stamped, partners)

    def _forget(self) -> None:
        """Drop the candidates that cannot be the nearest of any waiting or future message."""
        leader = self._waiting[0].stamp_ns if self._waiting else self._last.get(self._leader, 0)
        for topic, candidates in self._candidates.items():
            # Candidates also grow too old while the leading topic is silent.
            floor = max(leader, self._last.get(topic, 0) - self._patience) - self._tolerance
            while candidates and candidates[0].stamp_ns < floor:
                candidates.popleft()


def pair(messages: Iterable[Stamped], pairing: Pairing) -> Iterator[Match]:
    """Yield the matches of a whole stream, also of messages that wait when it breaks off."""
    try:
        for stamped in messages:
            yield from pairing.add(stamped)
    # A stamp that goes back, or a recording that breaks off.
    except ValueError:
        yield from pairing.end()
        raise
    yield from pairing.end()
