# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""A file that breaks off or has no usable index, as a stream with an index made here."""

from __future__ import annotations

import io
from pathlib import Path
from typing import NamedTuple


class Break(NamedTuple):
    """
    Where a file of ``size`` bytes breaks off.

    The first ``kept`` bytes are whole records. ``tail`` is appended to them: the whole records of
    an unfinished chunk, an index and an end. ``complete`` says that no message is missing.
    ``head`` replaces as many bytes at the beginning of the file.
    """

    size: int
    kept: int
    tail: bytes
    complete: bool
    head: bytes = b''


class Mended(io.RawIOBase):
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
        head, kept, tail = self._found.head, self._found.kept, self._found.tail
        if self._place < len(head):
            data = head[self._place:self._place + len(buffer)]
        elif self._place < kept:
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
