# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
SQLite recordings that break off: their readable messages are copied into a new database.

SQLite does not open a file that is shorter than its header says unless its schema is writable,
and ``rosbags`` counts all messages at once, so it would fail on the missing pages. The header is
described in https://www.sqlite.org/fileformat2.html.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
import shutil
import sqlite3
import struct

MAGIC = b'SQLite format 3\0'
# Files beside a database that was not closed: changes to apply or to undo.
BESIDE = ('-wal', '-journal')


def describe(path: Path) -> str:
    """Return where a database breaks off, in words; '' if it is whole or no database."""
    size, whole = path.stat().st_size, _size_by_header(path)
    return f'{size} of {whole}' if size < whole else ''


def _size_by_header(path: Path) -> int:
    with open(path, 'rb') as file:
        header = file.read(100)
    # The number of pages is valid only if both counters agree.
    if len(header) < 100 or header[:16] != MAGIC or header[24:28] != header[92:96]:
        return 0
    page, = struct.unpack_from('>H', header, 16)
    pages, = struct.unpack_from('>I', header, 28)
    return pages * (65536 if page == 1 else page)


def is_open(path: Path) -> bool:
    """Return whether a killed recorder left its last messages in a file beside the database."""
    return any(beside.stat().st_size for beside in _beside(path))


def complete(path: Path, output: Path) -> None:
    """
    Copy a database and apply the changes in the files beside it to the copy.

    The recording itself is only read. rosbag2's preset "resilient" leaves such files, and
    ``rosbags`` ignores them.
    """
    for file in (path, *_beside(path)):
        shutil.copyfile(file, output.with_name(output.name + file.name[len(path.name):]))
    with closing(sqlite3.connect(output)) as database:
        # Reading undoes unfinished changes.
        database.execute('SELECT * FROM sqlite_master').fetchall()
        database.execute('PRAGMA journal_mode = DELETE')


def _beside(path: Path) -> list[Path]:
    found = [path.with_name(path.name + suffix) for suffix in BESIDE]
    return [file for file in found if file.is_file()]


def salvage(path: Path, output: Path) -> None:
    """Copy all readable rows of all tables to a new database; sqlite3.Error if there are none."""
    with closing(sqlite3.connect(f'{path.resolve().as_uri()}?mode=ro&immutable=1',
                                 uri=True)) as old, closing(sqlite3.connect(output)) as new:
        old.execute('PRAGMA writable_schema = ON')
        entries = old.execute('SELECT type, name, sql FROM sqlite_master WHERE sql NOT NULL '
                              "AND name NOT LIKE 'sqlite_%' ORDER BY type DESC").fetchall()
        # Tables before indices.
        for kind, name, sql in entries:
            new.execute(sql)
            if kind == 'table':
                _copy(old, new, name.replace('"', '""'))
        new.commit()


def _copy(old: sqlite3.Connection, new: sqlite3.Connection, table: str) -> None:
    try:
        # In the order in which the rows were written.
        for row in old.execute(f'SELECT * FROM "{table}"'):
            new.execute(f'INSERT INTO "{table}" VALUES ({", ".join("?" * len(row))})', row)
    except sqlite3.DatabaseError:
        pass  # The place where the file breaks off.
