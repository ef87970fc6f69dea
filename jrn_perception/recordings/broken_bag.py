# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
ROS 1 bags without an index: a recorder that was killed, or a part of a copy.

``rosbags`` reads no bag without an index. ``find_break`` makes one from the whole chunks. The
records are defined in https://wiki.ros.org/Bags/Format/2.0.
"""

from __future__ import annotations

import bz2
from collections import defaultdict
from collections.abc import Iterator
import io
from pathlib import Path
import struct
from typing import BinaryIO, NamedTuple

from jrn_perception.recordings.mended import Break

MAGIC = b'#ROSBAG V2.0\n'
MESSAGE, BAG, INDEX, CHUNK, CHUNK_INFO, CONNECTION = 2, 3, 4, 5, 6, 7
# A header with a first field as long as this is no header.
_LONGEST = 2 ** 24


class _Record(NamedTuple):
    """A record from ``start``: the fields of its header, and where its data begins and ends."""

    start: int
    fields: dict[bytes, bytes]
    data: int
    end: int

    @property
    def kind(self) -> int:
        return int.from_bytes(self.fields.get(b'op', b''), 'little')


class _Chunk(NamedTuple):
    """A chunk: the (time, offset) of its messages by connection."""

    start: int
    index: dict[int, list[tuple[int, int]]]


def find_break(path: Path) -> Break | None:
    """Return where a bag breaks off, with an index; None if it has one or is no bag."""
    with open(path, 'rb') as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        if file.read(len(MAGIC)) != MAGIC:
            return None
        bag = next(_records(file, len(MAGIC), size), None)
        if bag is None or bag.kind != BAG:
            return None
        index, = struct.unpack('<Q', bag.fields[b'index_pos'])
        # A copy that breaks off names an index beyond its end.
        if 0 < index < size and _reaches(file, index, size):
            return None
        chunks: list[_Chunk] = []
        connections: dict[int, bytes] = {}
        kept = bag.end
        for record in _records(file, bag.end, size):
            if record.kind == CHUNK:
                found = _read_chunk(file, record, connections)
                if found is None:
                    break
                chunks.append(found)
                kept = record.end
            elif record.kind != INDEX:
                break
        file.seek(0)
        return _mend(size, kept, file.read(bag.data), chunks, connections)


def _reaches(file: BinaryIO, index: int, size: int) -> bool:
    """Return whether whole records follow from ``index`` to the end of the file."""
    end = index
    for record in _records(file, index, size):
        end = record.end
    return end == size


def _records(file: BinaryIO, place: int, size: int) -> Iterator[_Record]:
    """Yield the whole records between the bytes ``place`` and ``size``."""
    while place + 8 <= size:
        file.seek(place)
        length, = struct.unpack('<I', file.read(4))
        if length > _LONGEST or place + 8 + length > size:
            return
        fields, header = {}, file.read(length)
        while header:
            count = int.from_bytes(header[:4], 'little')
            name, _, value = header[4:4 + count].partition(b'=')
            fields[name] = value
            header = header[4 + count:]
        data = place + 8 + length
        end = data + struct.unpack('<I', file.read(4))[0]
        if b'op' not in fields or end > size:
            return
        yield _Record(place, fields, data, end)
        place = end


def _read_chunk(file: BinaryIO, chunk: _Record, connections: dict[int, bytes]) -> _Chunk | None:
    """Return the index of a chunk, and collect its connections; None if it cannot be read."""
    file.seek(chunk.data)
    data = file.read(chunk.end - chunk.data)
    try:
        if chunk.fields[b'compression'] == b'bz2':
            data = bz2.decompress(data)
        elif chunk.fields[b'compression'] == b'lz4':
            # What rosbags decompresses with.
            from rosbags.rosbag1.reader import lz4_decompress
            data = lz4_decompress(data)
    except (OSError, RuntimeError, ValueError):
        return None
    index = defaultdict(list)
    for record in _records(io.BytesIO(data), 0, len(data)):
        number = int.from_bytes(record.fields.get(b'conn', b''), 'little')
        if record.kind == CONNECTION:
            connections[number] = data[record.start:record.end]
        elif record.kind == MESSAGE:
            seconds, nanoseconds = struct.unpack('<II', record.fields[b'time'])
            index[number].append((seconds * 10**9 + nanoseconds, record.start))
    return _Chunk(chunk.start, dict(index))


def _mend(size: int, kept: int, head: bytes, chunks: list[_Chunk],
          connections: dict[int, bytes]) -> Break:
    """Return the kept chunks with the index of the last chunk and of the bag behind them."""
    # A chunk before the last one is followed by its own index.
    tail = b''.join(
        _record(INDEX, b''.join(_time(time) + _u32(offset) for time, offset in entries),
                ver=_u32(1), conn=_u32(number), count=_u32(len(entries)))
        for chunk in chunks[-1:] for number, entries in chunk.index.items())
    index_pos = kept + len(tail)
    tail += b''.join(connections.values())
    for chunk in chunks:
        times = [time for entries in chunk.index.values() for time, _ in entries] or [0]
        counts = b''.join(_u32(number) + _u32(len(entries))
                          for number, entries in chunk.index.items())
        tail += _record(CHUNK_INFO, counts, ver=_u32(1), chunk_pos=struct.pack('<Q', chunk.start),
                        start_time=_time(min(times)), end_time=_time(max(times)),
                        count=_u32(len(chunk.index)))
    for name, value in ((b'index_pos=', struct.pack('<Q', index_pos)),
                        (b'conn_count=', _u32(len(connections))),
                        (b'chunk_count=', _u32(len(chunks)))):
        place = head.index(name) + len(name)
        head = head[:place] + value + head[place + len(value):]
    return Break(size, kept, tail, False, head)


def _u32(number: int) -> bytes:
    return struct.pack('<I', number)


def _time(stamp: int) -> bytes:
    return struct.pack('<II', *divmod(stamp, 10**9))


def _record(kind: int, data: bytes, **fields: bytes) -> bytes:
    header = b''.join(struct.pack('<I', len(name) + 1 + len(value)) + name.encode() + b'=' + value
                      for name, value in {'op': bytes([kind]), **fields}.items())
    return struct.pack('<I', len(header)) + header + struct.pack('<I', len(data)) + data
