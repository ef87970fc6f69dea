# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
The recordings that a command line names.

A source is a recording, a folder with recordings below it, a glob, or a manifest: a text file
(``.txt``) with a source on each line. Each may be local or a URL such as ``s3://bucket/folder``.
The address of a recording is an absolute path or a URL.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
import glob
import os
from pathlib import Path
import posixpath
import re

from jrn_perception.fleet.remote import file_system, is_url

STORAGE = ('.mcap', '.db3', '.bag')
COMPRESSED = ('.zstd', '.zst')
METADATA = 'metadata.yaml'
MANIFEST = '.txt'
# rosbag2 numbers the files of one recording.
_SPLIT = re.compile(r'(.*)_(\d+)')


@dataclass(frozen=True)
class Shard:
    """Part ``index`` (from 0) of ``count`` parts of a fleet."""

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Return the shard that ``text`` names, as in 0/8; ValueError."""
        match = re.fullmatch(r'(\d+)/(\d+)', text)
        if not match or not int(match[1]) < int(match[2]):
            raise ValueError(f'shard {text!r}: expected I/N with I from 0 to N - 1')
        return cls(int(match[1]), int(match[2]))

    def of(self, addresses: Sequence[str]) -> list[str]:
        """Return every ``count``-th address, so that the shards are about equally long."""
        return list(addresses[self.index::self.count])


def find(sources: Sequence[str]) -> list[str]:
    """
    Return the addresses of all recordings in ``sources``, each once, in the order of the sources.

    The recordings of one source are sorted. A line of a manifest that leads to no recording is
    kept as an address, so that one missing recording does not end the work on the others. Raises
    FileNotFoundError or ValueError for a source without recordings.
    """
    found: list[str] = []
    for source in sources:
        found += _manifest(source) if _suffix(source) == MANIFEST else _recordings(source)
    return list(dict.fromkeys(found))


def names(addresses: Sequence[str]) -> list[str]:
    """Return a short, unique name of each address: the part that not all of them share."""
    if len(addresses) == 1:
        return [addresses[0].rstrip('/').rpartition('/')[2]]
    parts = [address.split('/') for address in addresses]
    # The last part stays, also where an address is the beginning of another.
    shared = len(os.path.commonprefix([part[:-1] for part in parts]))
    return ['/'.join(part[shared:]) for part in parts]


def _manifest(source: str) -> list[str]:
    system, path = file_system(source) if is_url(source) else (None, source)
    data = system.cat_file(path) if system else Path(source).read_bytes()
    try:
        lines = data.decode('utf-8-sig').splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f'{source}: is not UTF-8 text: {error}') from error
    lines = [line.strip() for line in lines]
    lines = [line for line in lines if line and not line.startswith('#')]
    if not lines:
        raise ValueError(f'{source}: names no recordings')
    # Relative to the manifest, so that it can move with its recordings.
    folder = source.rpartition('/')[0]
    found = []
    for line in lines:
        entry = line if is_url(line) or not folder else posixpath.join(folder, line)
        try:
            found += _recordings(entry)
        except (FileNotFoundError, ValueError):
            found.append(entry if is_url(entry) else os.path.abspath(entry))
    return found


def _recordings(source: str) -> list[str]:
    if source.startswith('file://'):
        source = source.removeprefix('file://')
    found = _remote(source) if is_url(source) else _local(source)
    if not found:
        raise ValueError(f'{source}: no recordings; they are folders with {METADATA}, or files '
                         f'that end in {", ".join(STORAGE)}; a list of them ends in {MANIFEST}')
    return found


def _local(source: str) -> list[str]:
    source = os.path.expanduser(source)
    matches = [source]
    if not os.path.exists(source):
        matches = sorted(glob.glob(source, recursive=True))
        if not matches:
            raise FileNotFoundError(f'{source}: no such file or folder')
    files: list[str] = []
    for match in map(os.path.abspath, matches):
        if os.path.isdir(match):
            for folder, _, inside in os.walk(match):
                files += [os.path.join(folder, name) for name in inside]
        else:
            files.append(match)
    return group(files, alone=() if len(matches) > 1 else map(os.path.abspath, matches))


def _remote(source: str) -> list[str]:
    system, path = file_system(source)
    paths = system.glob(path) if glob.has_magic(path) else [path]
    files: list[str] = []
    for each in paths:
        # A prefix of a bucket is a folder if anything is below it.
        files += system.find(each) or ([each] if system.exists(each) else [])
    if not files:
        raise FileNotFoundError(f'{source}: no such file or folder')
    alone = () if len(paths) > 1 else paths
    return [system.unstrip_protocol(address) for address in group(files, alone)]


def group(files: Iterable[str], alone: Iterable[str] = ()) -> list[str]:
    """
    Return the sorted recordings among file paths: folders, or single storage files.

    A folder with metadata.yaml is a recording, and so is a folder whose storage files have the
    numbers of one split recording; other storage files are a recording each. A path in ``alone``
    is a recording even if its storage file is one of several.
    """
    folders: dict[str, set[str]] = {}
    for file in files:
        folder, _, name = file.rpartition('/')
        folders.setdefault(folder, set()).add(name)
    found = []
    alone = set(alone)
    for folder, inside in folders.items():
        stored = sorted(name for name in inside if _suffix(name) in STORAGE)
        paths = [f'{folder}/{name}' for name in stored]
        whole = METADATA in inside or (len(stored) > 1 and _is_split(stored))
        found += [folder] if stored and whole and not alone & set(paths) else paths
    return sorted(set(found))


def _is_split(stored: Sequence[str]) -> bool:
    matches = [_SPLIT.fullmatch(name.partition('.')[0]) for name in stored]
    return all(matches) and len({match[1] for match in matches if match}) == 1


def _suffix(name: str) -> str:
    for ending in COMPRESSED:
        name = name.removesuffix(ending)
    return posixpath.splitext(name)[1].lower()
