# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
MCAP files that break off, read as if they had been closed after their last whole record.

A recorder that was killed, a full disk or an incomplete copy leaves a file without its summary,
and ``rosbags`` does not open a file without a summary. ``find_break`` makes one: a reader sees
the file up to the place where it breaks off, followed by an index of the chunks. Writers may also
leave out parts of the summary that ``rosbags`` needs; such a file gets a new index as well. The
records are defined in https://mcap.dev/spec.
"""

from __future__ import annotations

import io
from pathlib import Path
import struct
from typing import BinaryIO, NamedTuple

from jrn_perception.recordings.mended import Break

MAGIC = b'\x89MCAP0\r\n'
FOOTER, CHANNEL, CHUNK, MESSAGE_INDEX, CHUNK_INDEX, STATISTICS, DATA_END = 2, 4, 6, 7, 8, 11, 15
LARGEST_CHUNK = 2 ** 30
_HEAD = struct.Struct('<BQ')
# First and last time, size and checksum of the uncompressed records.
_CHUNK = struct.Struct('<QQQI')
# Messages, schemas, channels, attachments, metadata, chunks, first and last time.
_STATISTICS = struct.Struct('<QHIIIIQQ')
# Start of the summary, start of its offsets, checksum.
_FOOTER = struct.Struct('<QQI')
# An unfinished chunk has no index of its channels; writers number channels from 0 or 1.
_FIRST_CHANNELS = range(256)


class _Chunk(NamedTuple):
    """An indexed chunk; ``index_size`` bytes of message indices follow the chunk in the file."""

    start: int
    size: int
    head: tuple[int, int, int, int]
    compression: bytes
    compressed_size: int
    index_size: int = 0
    offsets: dict[int, int] = {}

    def record(self) -> bytes:
        first, last, size, _ = self.head
        offsets = b''.join(struct.pack('<HQ', *item) for item in self.offsets.items())
        return _record(CHUNK_INDEX, struct.pack(
            '<QQQQ', first, last, self.start, self.size) + _sized(offsets) + struct.pack(
            '<Q', self.index_size) + _sized(self.compression) + struct.pack(
            '<QQ', self.compressed_size, size))


def find_break(path: Path) -> Break | None:
    """
    Return where an MCAP file breaks off, with an index for ``rosbags``.

    None for a whole file with its own index, and for another kind of file.
    """
    with open(path, 'rb') as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(max(0, size - len(MAGIC)))
        ends = size > 2 * len(MAGIC) and file.read() == MAGIC
        file.seek(0)
        if file.read(len(MAGIC)) != MAGIC or ends and _has_index(file, size):
            return None
        place, chunks, complete = len(MAGIC), [], False
        for code, start, end in _records(file, place, size):
            if code == CHUNK:
                chunks.append(_chunk(file, start, end))
            elif code == MESSAGE_INDEX and chunks:
                chunks[-1] = _indexed(chunks[-1], file, start, end)
            complete |= code == DATA_END
            place = end
        part = b'' if complete else _part_of_chunk(file, place, size)
        if part:
            chunks.append(_chunk(io.BytesIO(part), 0, len(part))._replace(start=place))
    chunks = [_guessed(chunk, chunks) if not chunk.offsets or chunk is chunks[-1] and not complete
              else chunk for chunk in chunks]
    return Break(size, place, part + _end(chunks, place + len(part)), complete)


def _has_index(file: BinaryIO, size: int) -> bool:
    """Return whether a whole file has the parts of its summary that ``rosbags`` relies on."""
    file.seek(max(0, size - len(MAGIC) - _FOOTER.size))
    summary, _, _ = _FOOTER.unpack(file.read(_FOOTER.size))
    counts, channels, chunks = None, set(), 0
    for code, start, end in _records(file, summary, size) if summary else ():
        file.seek(start + _HEAD.size)
        content = file.read(end - start - _HEAD.size)
        if code == STATISTICS:
            if len(content) % 10 != (_STATISTICS.size + 4) % 10:
                return False  # Not as in the specification.
            counts = _STATISTICS.unpack_from(content)
            counted = {key for key, _ in struct.iter_unpack('<HQ', content[_STATISTICS.size + 4:])}
        elif code == CHANNEL:
            channels.add(int.from_bytes(content[:2], 'little'))
        elif code == CHUNK_INDEX:
            chunks += 1
            if not int.from_bytes(content[32:36], 'little'):
                return False  # The index does not say which channels are in the chunk.
    return (counts is not None and chunks == counts[5] and counted <= channels
            and bool(counted) == bool(counts[0]))


def _records(file: BinaryIO, place: int, size: int):
    """Yield (code, start, end) of the whole records between the bytes ``place`` and ``size``."""
    while True:
        file.seek(place)
        head = file.read(_HEAD.size)
        if len(head) < _HEAD.size:
            return
        code, length = _HEAD.unpack(head)
        end = place + _HEAD.size + length
        # A crash may leave zeros at the end of a file; these are no records.
        if code in (0, FOOTER) or end > size:
            return
        yield code, place, end
        place = end


def _chunk(file: BinaryIO, start: int, end: int) -> _Chunk:
    file.seek(start + _HEAD.size)
    head = _CHUNK.unpack(file.read(_CHUNK.size))
    compression = file.read(*struct.unpack('<I', file.read(4)))
    return _Chunk(start, end - start, head, compression, *struct.unpack('<Q', file.read(8)))


def _indexed(chunk: _Chunk, file: BinaryIO, start: int, end: int) -> _Chunk:
    """Return the chunk with one more index of a channel's messages."""
    file.seek(start + _HEAD.size)
    channel, = struct.unpack('<H', file.read(2))
    return chunk._replace(index_size=chunk.index_size + end - start,
                          offsets={**chunk.offsets, channel: start})


def _guessed(chunk: _Chunk, chunks: list[_Chunk]) -> _Chunk:
    """Return a chunk with all possible channels: part of its index may be missing."""
    channels = {*_FIRST_CHANNELS, *(channel for chunk in chunks for channel in chunk.offsets)}
    # An index with one message: 15 bytes, and 16 bytes for the message.
    start = chunk.start + chunk.size
    return chunk._replace(index_size=31 * len(channels), offsets={
        channel: start + 31 * place for place, channel in enumerate(sorted(channels))})


def _part_of_chunk(file: BinaryIO, start: int, size: int) -> bytes:
    """Return a chunk of the whole records in an unfinished, uncompressed chunk; b'' if none."""
    file.seek(start)
    head = file.read(_HEAD.size + _CHUNK.size + 12)
    if len(head) < _HEAD.size + _CHUNK.size + 12 or head[0] != CHUNK:
        return b''
    first, last, *_ = _CHUNK.unpack_from(head, _HEAD.size)
    # An unfinished compressed chunk cannot be read, and such a large one is not a chunk.
    if head[-12:-8] != bytes(4) or size - start > LARGEST_CHUNK:
        return b''
    data = io.BytesIO(file.read())
    end = max((end for _, _, end in _records(data, 0, size - start - len(head))), default=0)
    records = data.getvalue()[:end]
    return _record(CHUNK, _CHUNK.pack(first, last, len(records), 0) + bytes(4)
                   + struct.pack('<Q', len(records)) + records) if records else b''


def _end(chunks: list[_Chunk], start: int) -> bytes:
    """Return the end of a file: empty statistics (readers count themselves), indices, a footer."""
    statistics = _record(STATISTICS, bytes(46))
    footer = _record(FOOTER, struct.pack('<QQI', start if chunks else 0, 0, 0))
    return statistics + b''.join(chunk.record() for chunk in chunks) + footer + MAGIC


def _record(code: int, content: bytes) -> bytes:
    return _HEAD.pack(code, len(content)) + content


def _sized(content: bytes) -> bytes:
    return struct.pack('<I', len(content)) + content
