# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The storage files of a recording, opened as one, by ``rosbags``."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
import heapq
from pathlib import Path
from typing import Any, NamedTuple

from jrn_perception.recordings import broken
from jrn_perception.recordings.definitions import plain_type
from jrn_perception.recordings.files import (
    COMPRESSED,
    Files,
    is_lfs_pointer,
    is_storage,
    RecordingError,
    SUFFIXES,
)

_ZSTD = b'\x28\xb5\x2f\xfd'


class Message(NamedTuple):
    """An undecoded message: CDR, or ROS 1's own format if ``ros1``."""

    topic: str
    stamp_ns: int
    data: bytes
    ros1: bool


@dataclass(frozen=True)
class _Part:
    """An open file: its reader, and its connections by topic."""

    reader: Any
    connections: dict[str, list[Any]]
    ros1: bool

    def messages(self, topics: Collection[str], limits: tuple[int | None, int | None],
                 by_message: bool | None, faults: list[str]) -> Iterator[Message]:
        """Yield the messages of topics; where they cannot be read on, append why to ``faults``."""
        from rosbags.rosbag2.reader import zstd

        chosen = [connection for topic in topics for connection in self.connections.get(topic, ())]
        # An empty list would mean all connections.
        if not chosen:
            return
        try:
            for connection, stamp, data in self.reader.messages(chosen, *limits):
                # CDR and ROS 1's messages do not begin like this.
                if by_message or by_message is None and data[:4] == _ZSTD:
                    data = zstd.decompress(data)
                yield Message(connection.topic, stamp, bytes(data), self.ros1)
        # Decoders of damaged files raise struct.error, sqlite3.Error, ZstdError, KeyError and
        # others.
        except Exception as error:  # noqa: B902, BLE001
            faults.append(one_line(error))


class Storage:
    """
    The open files of a recording; files that cannot be read are named in ``faults``.

    ``connections`` are those of ``rosbags``, by topic, with types as ROS 2 writes them. Raises
    RecordingError if no file can be read.
    """

    def __init__(self, found: Files, copies: ExitStack):
        self.faults = list(found.faults)
        self._by_message = found.by_message
        self._parts: list[_Part] = []
        failed = []
        for file in found.files:
            try:
                self._parts.append(self._open(file, copies))
            except RecordingError as error:
                failed.append(str(error))
            # As above.
            except Exception as error:  # noqa: B902, BLE001
                failed.append(f'{file}: damaged or no rosbag2 recording: {one_line(error)}')
        if not self._parts:
            raise RecordingError(failed[0])
        self.faults += failed
        self.connections: dict[str, list[Any]] = {}
        for part in self._parts:
            for topic, connections in part.connections.items():
                self.connections.setdefault(topic, []).extend(connections)

    @property
    def times(self) -> tuple[int, int] | None:
        """Return the ns of the first message and after the last one; None without messages."""
        spans = [_span(part) for part in self._parts]
        spans = [(start, end) for start, end in spans if start < end]
        return (min(start for start, _ in spans), max(end for _, end in spans)) if spans else None

    def messages(self, topics: Collection[str], limits: tuple[int | None, int | None],
                 faults: list[str]) -> Iterator[Message]:
        """
        Yield the messages of topics between two times (ns; None: no limit), in their order.

        Where a file cannot be read on, the reason is appended to ``faults``, and the next file
        follows.
        """
        group: list[Iterator[Message]] = []
        last = 0
        for part in self._parts:
            start, end = _span(part)
            # Files overlap by the messages that a recorder had not written when it changed file.
            if group and start >= last:
                yield from heapq.merge(*group, key=_stamp)
                group = []
            group.append(part.messages(topics, limits, self._by_message, faults))
            last = max(last, end)
        yield from heapq.merge(*group, key=_stamp)

    def _open(self, file: Path, copies: ExitStack) -> _Part:
        from rosbags import rosbag1, rosbag2

        if not is_storage(file):
            raise RecordingError(f'{file}: damaged or no rosbag2 recording: its suffix is none of '
                                 f'{" ".join(SUFFIXES)}')
        if file.stat().st_size == 0:
            raise RecordingError(f'{file}: damaged or no rosbag2 recording: it is empty')
        if is_lfs_pointer(file):
            raise RecordingError(f'{file}: is a pointer of Git LFS, not the file: run `git lfs '
                                 'pull`')
        fault = ''
        if file.name.endswith(COMPRESSED):
            whole, fault = broken.decompress(file, copies)
        else:
            whole = file
        fault = fault or broken.describe(whole)
        path = broken.readable(whole, copies)
        ros1 = path.suffix == '.bag'
        reader = (rosbag1 if ros1 else rosbag2).Reader(path)
        reader.open()
        copies.callback(reader.close)
        if fault:
            self.faults.append(fault)
        connections: dict[str, list[Any]] = {}
        for connection in reader.connections:
            connection = connection._replace(msgtype=plain_type(connection.msgtype))
            connections.setdefault(connection.topic, []).append(connection)
        return _Part(reader, connections, ros1)


def _span(part: _Part) -> tuple[int, int]:
    return part.reader.start_time, part.reader.end_time


def _stamp(message: Message) -> int:
    return message.stamp_ns


def one_line(error: Exception) -> str:
    """Return the type and the text of an error in one line."""
    return ' '.join(f'{type(error).__name__}: {error}'.split())
