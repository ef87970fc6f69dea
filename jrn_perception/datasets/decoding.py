# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Files of data sets as arrays: pictures, maps and lists of names; damage as an error."""

from __future__ import annotations

import codecs
from collections.abc import Callable
from pathlib import Path

import cv2
from jrn_perception.messages.decoding import decode, decode_ids, DecodingError
import numpy as np


class DamagedSampleError(ValueError):
    """A file of a data set that is missing or unreadable; the message names it."""


def read_pose(path: Path) -> np.ndarray | None:
    """
    Return the 4x4 matrix from camera to world coordinates in a text file.

    None without the file, and for a matrix that is not finite, as ScanNet writes for a camera that
    lost its way. Raises DamagedSampleError for anything else.
    """
    if not path.is_file():
        return None
    try:
        pose = np.array(path.read_text().split(), float).reshape(4, 4)
    except ValueError:
        raise DamagedSampleError(f'{path}: not a 4x4 matrix') from None
    return pose if np.isfinite(pose).all() else None


def read_colour(path: Path) -> np.ndarray:
    """
    Return the picture at ``path`` as RGB, uint8 (H, W, 3); DamagedSampleError.

    An EXIF orientation is ignored, because depth and labels belong to the pixels as they are
    stored. Damage that the JPEG decoder conceals is not detected.
    """
    return cv2.cvtColor(_read(path, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION),
                        cv2.COLOR_BGR2RGB)


def read_map(path: Path, *dtypes: type) -> np.ndarray:
    """
    Return the map at ``path``, (H, W) with one of ``dtypes``; DamagedSampleError.

    Of a PNG with a palette the map has the indices, see ``messages.decoding.decode_ids``.
    """
    picture = _decoded(path, decode_ids)
    if picture.ndim != 2 or picture.dtype not in dtypes:
        wanted = ' or '.join(np.dtype(d).name for d in dtypes)
        raise DamagedSampleError(f'{path}: is {picture.dtype} {picture.shape}, '
                                 f'expected one channel of {wanted}')
    return picture


def read_bytes(path: Path) -> bytes:
    """Return the content of a file; DamagedSampleError if it is missing or unreadable."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise DamagedSampleError(f'{path}: missing') from None
    except OSError as error:
        raise DamagedSampleError(f'{path}: {error.strerror}') from error


def _read(path: Path, flags: int) -> np.ndarray:
    return _decoded(path, lambda data: decode(data, flags))


def _decoded(path: Path, decoder: Callable[[bytes], np.ndarray]) -> np.ndarray:
    data = read_bytes(path)
    try:
        return decoder(data)
    except DecodingError as error:
        raise DamagedSampleError(f'{path}: {error}') from error


def listed(path: Path, hint: str) -> list[str]:
    """
    Return the names in the text file of a split, one in each line.

    Raises FileNotFoundError, ending with ``hint``, if the file does not exist; ValueError if it
    names no frames.
    """
    if not path.is_file():
        raise FileNotFoundError(f'{path}: no such split; {hint}')
    names = [line.strip() for line in read_text(path).splitlines()]
    names = [name for name in names if name]
    if not names:
        raise ValueError(f'{path}: names no frames')
    return names


def read_text(path: Path) -> str:
    """
    Return a text in UTF-8, with or without its mark, or in UTF-16 with its mark.

    Raises ValueError, which names the file and the cure, for another encoding.
    """
    data = path.read_bytes()
    if data.startswith(b'version https://git-lfs'):
        raise ValueError(f'{path}: is a pointer of Git LFS, not the text: run `git lfs pull`')
    utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode('utf-16' if utf16 else 'utf-8-sig')
        if '\0' in text:
            raise ValueError('it has zero bytes')
    except ValueError as error:
        raise ValueError(f'{path}: is not a text in UTF-8, save it as such ({error})') from error
    return text


def to_metres(millimetres: np.ndarray) -> np.ndarray:
    """Return float32 metres for whole millimetres, NaN for 0, which means "unknown"."""
    metres = millimetres.astype(np.float32) / 1000
    metres[millimetres == 0] = np.nan
    return metres


def require_size(array: np.ndarray, size: tuple[int, int], path: Path) -> None:
    """Raise DamagedSampleError if ``array`` does not have the (H, W) of its picture, ``size``."""
    if array.shape[:2] != tuple(size):
        raise DamagedSampleError(f'{path}: is {array.shape[1]}x{array.shape[0]}, '
                                 f'its picture is {size[1]}x{size[0]}')


def translate(ids: np.ndarray, table: np.ndarray, path: Path | str) -> np.ndarray:
    """
    Return class ids, uint8, for the ids of a data set.

    ``table`` is int16; its index is the data set's id, its value the class id, 255 for
    unlabelled, or -1 for an id that the data set does not have. Raises DamagedSampleError, naming
    ``path``, if ``ids`` contains such an id or an id beyond the table.
    """
    classes = table.take(ids, mode='clip')
    wrong = (ids >= len(table)) | (classes < 0)
    if wrong.any():
        raise DamagedSampleError(f'{path}: {np.count_nonzero(wrong)} pixels with ids that the '
                                 f'data set does not have, {ids[wrong][0]} among them')
    return classes.astype(np.uint8)
