# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Recordings that were not finished, or not copied to their end."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
import tempfile

from jrn_perception.recordings import broken_mcap, broken_sqlite

# Functions that say where a storage file breaks off, '' if it is whole.
_PLACES = {'.mcap': broken_mcap.describe, '.db3': broken_sqlite.describe}
STORAGE_SUFFIXES = tuple(_PLACES)


def storage_files(path: Path) -> list[Path]:
    """Return the storage files in a folder, or ``path`` itself if it is a storage file."""
    found = sorted(path.iterdir()) if path.is_dir() else [path]
    return [file for file in found if file.suffix in STORAGE_SUFFIXES]


def find_recording(path: Path) -> Path:
    """Return ``path``; for a folder without metadata and with one storage file, that file."""
    if path.is_dir() and not (path / 'metadata.yaml').exists():
        files = storage_files(path)
        return files[0] if len(files) == 1 else path
    return path


def describe(path: Path) -> str:
    """Return in one line which file of a recording breaks off, and where; '' if all are whole."""
    for file in storage_files(path):
        place = _PLACES[file.suffix](file)
        if place:
            return (f'{file}: breaks off at byte {place}: its recorder was killed, or this is '
                    'part of a copy')
    return ''


def readable(path: Path, copies: ExitStack) -> Path:
    """
    Return a path at which ``rosbags`` can read all messages that are left.

    The path is ``path`` unless an SQLite file breaks off or was not closed; then it is a copy,
    which exists until ``copies`` closes, because a recording is never changed in place. Raises
    sqlite3.Error if no message of such a file can be read.
    """
    copy = {}
    for file in storage_files(path):
        if file.suffix == '.db3' and broken_sqlite.describe(file):
            copy[file] = broken_sqlite.salvage
        elif file.suffix == '.db3' and broken_sqlite.is_open(file):
            copy[file] = broken_sqlite.complete
    if not copy:
        return broken_mcap.BrokenPath(path)
    folder = Path(copies.enter_context(tempfile.TemporaryDirectory()))
    for file in path.iterdir() if path.is_dir() else [path]:
        if file in copy:
            copy[file](file, folder / file.name)
        elif not file.name.endswith(broken_sqlite.BESIDE):
            (folder / file.name).symlink_to(file.resolve())
    return folder if path.is_dir() else folder / path.name
