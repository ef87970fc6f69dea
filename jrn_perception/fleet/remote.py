# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Files that may be far away: local paths, and the URLs that fsspec opens.

Access is set up as fsspec and its file systems document, for S3 by the variables
AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_ENDPOINT_URL.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import hashlib
import os
from pathlib import Path
import tempfile
from typing import Any

BLOCK = 2 ** 20


def is_url(address: str) -> bool:
    """Return whether an address is a URL, not a local path."""
    return '://' in address


def file_system(url: str) -> tuple[Any, str]:
    """
    Return the fsspec file system of a URL and the path in it.

    Raises ImportError that says what to install, ValueError for an unknown protocol.
    """
    try:
        from fsspec.core import url_to_fs
        return url_to_fs(url)
    except ImportError as error:
        raise ImportError(f"{url}: {error}; pip install '.[fleet]' installs s3fs, which opens "
                          's3://') from error


@contextmanager
def local_copy(address: str) -> Iterator[Path]:
    """
    Yield the local path of a recording; a remote one is copied, and the copy deleted at the end.

    A copy, because SQLite and zstd need a file, and the readers of broken files read twice. An
    OSError or ValueError of the work on the copy becomes a ValueError that names the address.
    """
    if not is_url(address):
        yield Path(address)
        return
    system, path = file_system(address)
    with tempfile.TemporaryDirectory(prefix='jrn-') as folder:
        target = Path(folder) / path.rstrip('/').rpartition('/')[2]
        system.get(path, str(target), recursive=system.isdir(path))
        try:
            yield target
        except (OSError, ValueError) as error:
            # The copy is gone before anybody reads its path.
            raise ValueError(str(error).replace(str(target), address)) from error


def digest(address: str) -> str:
    """
    Return a digest of the content of a recording: of its files' names and bytes.

    A remote file is not read for this: its checksum on the server, such as the ETag of S3, stands
    for its bytes. Raises OSError if a file cannot be read.
    """
    found = hashlib.sha256()
    if is_url(address):
        system, path = file_system(address)
        system.invalidate_cache()
        files = system.find(path)
        if not files:
            raise FileNotFoundError(f'{address}: no such file or folder')
        for file in sorted(files):
            found.update(f'{file[len(path):]} {system.checksum(file)}\n'.encode())
        return found.hexdigest()
    path = Path(address)
    if not path.exists():
        raise FileNotFoundError(f'{address}: no such file or folder')
    files = sorted(file for file in path.rglob('*') if file.is_file()) if path.is_dir() else [path]
    for file in files:
        content = hashlib.sha256()
        with file.open('rb') as stream:
            while block := stream.read(BLOCK):
                content.update(block)
        name = file.relative_to(path) if path.is_dir() else ''
        found.update(f'{name} {content.hexdigest()}\n'.encode())
    return found.hexdigest()


class Store:
    """
    A folder of results, local or remote; a file in it is either absent or whole.

    ``read`` returns None for an absent file.
    """

    def __init__(self, address: str):
        self.address = address.rstrip('/') if is_url(address) else os.path.abspath(address)
        self._system, self._path = (file_system(self.address) if is_url(address)
                                    else (None, self.address))

    def path(self, name: str) -> str:
        """Return the address of a file."""
        return f'{self.address}/{name}'

    def exists(self, name: str) -> bool:
        """Return whether there is such a file."""
        if self._system is None:
            return Path(self.path(name)).is_file()
        self._system.invalidate_cache()
        return bool(self._system.exists(f'{self._path}/{name}'))

    def read(self, name: str) -> bytes | None:
        """Return the content of a file, None if it is absent."""
        try:
            if self._system is None:
                return Path(self.path(name)).read_bytes()
            return self._system.cat_file(f'{self._path}/{name}')
        except FileNotFoundError:
            return None

    def write(self, name: str, content: bytes) -> None:
        """Write a file; OSError. A process that is killed meanwhile leaves no part of it."""
        if self._system is not None:
            self._system.pipe_file(f'{self._path}/{name}', content)
            return
        target = Path(self.path(name))
        target.parent.mkdir(parents=True, exist_ok=True)
        # Another process may write the same result at the same time.
        handle, part = tempfile.mkstemp(prefix='.part-', dir=target.parent)
        try:
            # The mode that an ordinary new file gets; mkstemp lets its owner alone read it.
            mask = os.umask(0)
            os.umask(mask)
            os.fchmod(handle, 0o666 & ~mask)
            with os.fdopen(handle, 'wb') as file:
                file.write(content)
            os.replace(part, target)
        except BaseException:
            os.unlink(part)
            raise
