# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Storage files that were not finished, or not copied to their end."""

from __future__ import annotations

from contextlib import ExitStack
import io
from pathlib import Path
import tempfile

from jrn_perception.recordings import broken_bag, broken_mcap, broken_sqlite
from jrn_perception.recordings.files import COMPRESSED
from jrn_perception.recordings.mended import Mended

_FINDERS = {'.mcap': broken_mcap.find_break, '.bag': broken_bag.find_break}


class BrokenPath(type(Path())):
    """A path of a storage file that can be read although the file breaks off."""

    def open(self, mode: str = 'r', *arguments, **options):  # noqa: A003 pathlib names it so
        """Open the file; append an end if it breaks off."""
        found = _FINDERS[self.suffix](self) if mode == 'rb' and self.suffix in _FINDERS else None
        if found is None:
            return super().open(mode, *arguments, **options)
        return io.BufferedReader(Mended(self, found))


def describe(file: Path) -> str:
    """Return in one line where a storage file breaks off; '' if it is whole."""
    if file.suffix == '.db3':
        place = broken_sqlite.describe(file)
    else:
        found = _FINDERS[file.suffix](file)
        place = '' if found is None or found.complete else f'{found.kept} of {found.size}'
    return place and (f'{file}: breaks off at byte {place}: its recorder was killed, or this is '
                      'part of a copy')


def readable(file: Path, copies: ExitStack) -> Path:
    """
    Return a path at which ``rosbags`` can read all messages that are left.

    It is a view of the file unless an SQLite file breaks off or was not closed; then it is a copy,
    which exists until ``copies`` closes, because a recording is never changed in place. Raises
    sqlite3.Error if no message of such a file can be read.
    """
    if file.suffix != '.db3':
        return BrokenPath(file)
    if broken_sqlite.describe(file):
        mend = broken_sqlite.salvage
    elif broken_sqlite.is_open(file):
        mend = broken_sqlite.complete
    else:
        return file
    copy = Path(copies.enter_context(tempfile.TemporaryDirectory())) / file.name
    mend(file, copy)
    return copy


def decompress(file: Path, copies: ExitStack) -> tuple[Path, str]:
    """
    Decompress a .zstd file to a copy that exists until ``copies`` closes.

    Return the copy, which has all that is before a damage, and where the damage is, in words.
    """
    # The decoder that rosbags brings along: Python 3.14's own, or backports.zstd.
    from rosbags.rosbag2.reader import zstd

    copy = (Path(copies.enter_context(tempfile.TemporaryDirectory()))
            / file.name.removesuffix(COMPRESSED))
    with open(file, 'rb') as source, open(copy, 'wb') as target:
        decoder = zstd.ZstdDecompressor()
        while data := source.read(1 << 20):
            try:
                while data:
                    target.write(decoder.decompress(data))
                    data = decoder.unused_data
                    if decoder.eof:  # Several frames may follow each other.
                        finished, decoder = True, zstd.ZstdDecompressor()
                    else:
                        finished, data = False, b''
            except zstd.ZstdError as error:
                return copy, f'{file}: breaks off near byte {source.tell()}: {error}'
    if not finished:
        return copy, (f'{file}: breaks off at byte {file.stat().st_size}: its recorder was '
                      'killed, or this is part of a copy')
    return copy, ''
