# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Which files make up a recording, and which of them are missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
import re
from typing import Any

SUFFIXES = ('.mcap', '.db3', '.bag')
COMPRESSED = '.zstd'
METADATA = 'metadata.yaml'
LFS_POINTER = b'version https://git-lfs'
# rosbag2 numbers the files of a recording, NAME_0; ROS 1 also names the time, NAME_DATE_0.
_NUMBER = re.compile(r'(?:(?:^|_)\d{4}(?:-\d\d){5})?(?:_(\d+))?$')


class RecordingError(ValueError):
    """A recording, topic or message that cannot be read; the text names it in one line."""


@dataclass(frozen=True)
class Files:
    """
    The storage files of a recording in their order.

    ``faults`` name the files that are missing. ``announced`` is the number of messages by topic in
    metadata.yaml, empty without it. ``by_message`` says whether metadata.yaml announces that each
    message is compressed, None without it.
    """

    files: list[Path]
    faults: list[str] = field(default_factory=list)
    announced: Mapping[str, int] = field(default_factory=dict)
    by_message: bool | None = None


def is_recording(path: Path) -> bool:
    """
    Return whether ``path`` is a recording: a folder, judged by its content, or a storage file.

    A folder is a recording if its metadata.yaml is one of rosbag2, or if it has storage files. A
    folder of pictures may have both a metadata.yaml of something else and a stray storage file:
    the caller decides, see ``has_metadata``.
    """
    return has_metadata(path) or bool(path.is_file() and is_storage(path)
                                      or path.is_dir() and storage_files(path))


def has_metadata(path: Path) -> bool:
    """Return whether ``path`` is a folder with the metadata.yaml of a rosbag2 recording."""
    try:
        return b'rosbag2_bagfile_information' in (path / METADATA).read_bytes()
    except OSError:
        return False


def is_storage(path: Path) -> bool:
    """Return whether a file is a storage file by its suffix, compressed or not."""
    return (path.name.removesuffix(COMPRESSED).endswith(SUFFIXES)
            and not path.name.startswith('.'))


def storage_files(folder: Path) -> list[Path]:
    """Return the storage files in a folder by name; without a compressed copy of another file."""
    found = {file.name: file for file in folder.iterdir() if is_storage(file) and file.is_file()}
    return [file for name, file in sorted(found.items())
            if name == name.removesuffix(COMPRESSED) or name.removesuffix(COMPRESSED) not in found]


def find_files(path: Path) -> Files:
    """Return the files of a recording; RecordingError if there are none or of several ones."""
    if not path.is_dir():
        return Files([path])
    metadata = read_metadata(path)
    here = storage_files(path)
    names = [PurePath(str(name)).name for name in metadata.get('relative_file_paths') or ()]
    by_name = {file.name.removesuffix(COMPRESSED): file for file in here}
    listed = [by_name[name.removesuffix(COMPRESSED)] for name in names
              if name.removesuffix(COMPRESSED) in by_name]
    if not here:
        raise RecordingError(f'{path}: holds no storage file ({" ".join(SUFFIXES)})'
                             + (f'; {METADATA} names {", ".join(names)}' if names else ''))
    if not listed:
        # Without metadata, or the files were renamed after the recording.
        return _split(path, here, metadata)
    missing = [name for name in names if name.removesuffix(COMPRESSED) not in by_name]
    return Files(listed, _missing(path, missing, len(names)), *_announced(metadata))


def _split(path: Path, files: list[Path], metadata: Mapping[str, Any]) -> Files:
    """Return the files of a folder in the order of their numbers."""
    numbers: dict[int, Path] = {}
    names = set()
    for file in files:
        plain = PurePath(file.name.removesuffix(COMPRESSED))
        match = _NUMBER.search(plain.stem)
        names.add(plain.stem[:match.start()] + plain.suffix)
        numbers[int(match[1] or 0)] = file
    if len(names) > 1 or len(numbers) < len(files):
        raise RecordingError(f'{path}: holds several recordings without {METADATA}; name one of '
                             f'{", ".join(file.name for file in files)}')
    missing = []
    if len(files) > 1:
        missing = [f'file {number}' for number in range(max(numbers)) if number not in numbers]
    return Files([numbers[number] for number in sorted(numbers)],
                 _missing(path, missing, max(numbers) + 1), *_announced(metadata))


def _missing(path: Path, names: list[str], count: int) -> list[str]:
    if not names:
        return []
    return [f'{path}: {", ".join(names)} of {count} files {"is" if len(names) == 1 else "are"} '
            'missing']


def read_metadata(folder: Path) -> Mapping[str, Any]:
    """Return the information in metadata.yaml, empty if the file is missing or unreadable."""
    # The parser that rosbags brings along.
    from rosbags.rosbag2.reader import YAML

    if not has_metadata(folder):
        return {}
    try:
        text = (folder / METADATA).read_text(encoding='utf-8')
        content = YAML(typ='safe').load(text)['rosbag2_bagfile_information']
    # A file that a killed recorder left half written: its parser raises many types.
    except Exception:  # noqa: B902, BLE001
        return {}
    return content if isinstance(content, dict) else {}


def _announced(metadata: Mapping[str, Any]) -> tuple[Mapping[str, int], bool | None]:
    counts = {}
    for entry in metadata.get('topics_with_message_count') or ():
        try:
            counts[entry['topic_metadata']['name']] = int(entry['message_count'])
        except (KeyError, TypeError, ValueError):
            continue  # Counts serve reports alone.
    mode = metadata.get('compression_mode')
    return counts, str(mode or '').lower() == 'message' if metadata else None


def is_lfs_pointer(path: Path) -> bool:
    """Return whether a file is the stand-in for a file that Git LFS has not fetched."""
    with open(path, 'rb') as file:
        return file.read(len(LFS_POINTER)) == LFS_POINTER
