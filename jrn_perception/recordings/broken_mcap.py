# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
MCAP files that break off, read as if they had been closed after their last whole record.

A recorder that was killed, a full disk or an incomplete copy leaves a file without its summary,
and ``rosbags`` does not open a file without a summary. ``BrokenPath`` appends one: a reader sees
the file up to the place where it breaks off, followed by an index of the chunks, made here. The
records are defined in https://mcap.dev/spec.
"""

from __future__ import annotations

import io
from pathlib import Path
import struct
from typing import BinaryIO, NamedTuple

MAGIC = b'\x89MCAP0\r\n'
FOOTER, CHUNK, MESSAGE_INDEX, CHUNK_INDEX, STATISTICS, DATA_END = 2, 6, 7, 8, 11, 15
LARGEST_CHUNK = 2 ** 30
_HEAD = struct.Struct('<BQ')
# First and last time, size and checksum of the uncompressed records.
_CHUNK = struct.Struct('<QQQI')
# An unfinished chunk has no index of its channels; writers number channels from 0 or 1.
_FIRST_CHANNELS = range(256)


class Break(NamedTuple):
    """
    Where a file of ``size`` bytes breaks off.

    The first ``kept`` bytes are whole records. ``tail`` is appended to them: the whole records of
    an unfinished chunk, an index and an end. ``complete`` says that no message is missing.
    """

    size: int
    kept: int
    tail: bytes
    complete: bool


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


class BrokenPath(type(Path())):
    """A path of an MCAP file, or of its folder, that can be read although the file breaks off."""

    def open(self, mode: str = 'r', *arguments, **options):  # noqa: A003 pathlib names it so
        """Open the file; append an end if it breaks off."""
        found = find_break(self) if mode == 'rb' and self.suffix == '.mcap' else None
        if found is None:
            return super().open(mode, *arguments, **options)
        return io.BufferedReader(_Mended(self, found))


class _Mended(io.RawIOBase):
    """The kept part of a file, followed by its tail, as one stream."""

    def __init__(self, path: Path, found: Break):
        self._file, self._found, self._place = open(path, 'rb'), found, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        end = self._found.kept + len(self._found.tail)
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: end}[whence]
        self._place = origin + offset
        return self._place

    def readinto(self, buffer) -> int:
        kept, tail = self._found.kept, self._found.tail
        if self._place < kept:
            self._file.seek(self._place)
            data = self._file.read(min(len(buffer), kept - self._place))
        else:
            data = tail[self._place - kept:self._place - kept + len(buffer)]
        buffer[:len(data)] = data
        self._place += len(data)
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()


def describe(path: Path) -> str:
    """Return where a file breaks off, in words; '' if all messages are there."""
    found = find_break(path)
    return '' if found is None or found.complete else f'{found.kept} of {found.size}'


def find_break(path: Path) -> Break | None:
    """Return where an MCAP file breaks off; None if it is whole or no MCAP file."""
    with open(path, 'rb') as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(max(0, size - len(MAGIC)))
        ends = size > 2 * len(MAGIC) and file.read() == MAGIC
        file.seek(0)
        if ends or file.read(len(MAGIC)) != MAGIC:
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
    if chunks and not complete:
        chunks[-1] = _guessed(chunks)
    return Break(size, place, part + _end(chunks, place + len(part)), complete)


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


def _guessed(chunks: list[_Chunk]) -> _Chunk:
    """Return the last chunk with all possible channels: part of its index may be missing."""
    last = chunks[-1]
    channels = {*_FIRST_CHANNELS, *(channel for chunk in chunks for channel in chunk.offsets)}
    # An index with one message: 15 bytes, and 16 bytes for the message.
    start = last.start + last.size
    return last._replace(index_size=31 * len(channels), offsets={
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
