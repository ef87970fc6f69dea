# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""SUN RGB-D (Song et al., CVPR 2015): rooms before four depth cameras, with labels."""

from __future__ import annotations

from collections.abc import Sequence
import os
from pathlib import Path
import zlib

from jrn_perception.datasets.decoding import (
    DamagedSampleError,
    read_colour,
    read_map,
    require_size,
    translate,
)
from jrn_perception.frame import Frame
from jrn_perception.labels import LABEL_SETS, NYU40, SUNRGBD37, UNLABELLED
import numpy as np

CAMERAS = ('kv1', 'kv2', 'realsense', 'xtion')
# The frames of NYU-Depth v2, cropped; test frames of either data set are among them.
NYU, WITH_NYU = 'kv1/NYUdata/', '+nyu'
SPLIT_FILE = 'SUNRGBDtoolbox/traintestSUNRGBD/allsplit.mat'
META_FILE = 'SUNRGBDtoolbox/Metadata/SUNRGBDMeta.mat'
LABEL_FILE = 'SUNRGBDtoolbox/Metadata/SUNRGBD2Dseg.mat'
_SPLITS = {'train': 'alltrain', 'test': 'alltest', 'all': ''}
# The toolbox clips depth to 8 m (read3dPoints.m).
_FARTHEST = 8.
# Void 0 -> 255, class 1..37 -> 0..36, in NYU40 as in SUNRGBD37.
_IDS = np.array((UNLABELLED, *range(len(SUNRGBD37))), np.int16)


class SUNRGBD(Sequence):
    """
    The frames of one split: rgb, in-painted depth (NaN = none), labels in NYU40 or SUNRGBD37.

    ``root`` holds the two archives, unpacked:

    * ``SUNRGBD/<camera>/.../`` with ``image/*.jpg``, ``depth_bfx/*.png`` and ``intrinsics.txt``
      for each frame. ``<camera>`` is kv1, kv2, realsense or xtion; the pictures of each have
      another size.
    * ``SUNRGBDtoolbox/`` with the splits (``traintestSUNRGBD/allsplit.mat``) and the labels
      (``SUNRGBDMeta.mat`` and ``SUNRGBD2Dseg.mat`` in ``Metadata/``). Without ``SUNRGBD2Dseg.mat``
      no frame has labels and ``labels`` is None.

    ``split`` is ``train``, ``test`` or ``all``. The frames of NYU-Depth v2 in ``kv1/NYUdata`` are
    left out, because its test frames are among SUN RGB-D's training frames; ``train+nyu``,
    ``test+nyu`` and ``all+nyu`` include them. ``labels`` is 'nyu40' (its last three classes never
    occur) or 'sunrgbd37'. Depth beyond 8 m, where the toolbox clips it, is unknown.

    Raises FileNotFoundError if ``root`` lacks a file or folder, ValueError for another split or a
    damaged file of the toolbox, DamagedSampleError on access to a damaged frame.
    """

    def __init__(self, root: str | Path, split: str = 'test', labels: str = NYU40.name):
        self.root = Path(root)
        if labels not in (NYU40.name, SUNRGBD37.name):
            raise ValueError(f'SUN RGB-D has labels in nyu40 or sunrgbd37, not in {labels!r}')
        part = split.removesuffix(WITH_NYU)
        if part not in _SPLITS:
            raise ValueError(f'{self.root}: no split {split!r}; there are {", ".join(_SPLITS)}, '
                             f'and each of them with {WITH_NYU}')
        if not (self.root / 'SUNRGBD').is_dir():
            raise FileNotFoundError(f'{self.root}: should hold SUNRGBD/ and SUNRGBDtoolbox/')
        found = read_split(self.root / SPLIT_FILE, _SPLITS[part]) if _SPLITS[part] else (
            _folders(self.root / 'SUNRGBD'))
        self.names = [name for name in found
                      if split.endswith(WITH_NYU) or not name.startswith(NYU)]
        if not self.names:
            raise FileNotFoundError(f'{self.root}: holds no frames SUNRGBD/<camera>/.../image/ '
                                    f'for split {split}')
        self.labels = None
        self._numbers: dict[str, int] = {}
        if (self.root / LABEL_FILE).is_file():
            self.labels = LABEL_SETS[labels]
            self._numbers = {
                name: number for number, name in enumerate(read_meta(self.root / META_FILE))}
            self._check(self.root / LABEL_FILE)

    def _check(self, path: Path) -> None:
        # Only labels need h5py, which is installed by extras.
        import h5py
        try:
            with h5py.File(path, 'r') as file:
                count = file['SUNRGBD2Dseg/seglabel'].size
        except (OSError, KeyError) as error:
            raise ValueError(f'{path}: not a whole HDF5 file with SUNRGBD2Dseg.seglabel '
                             f'({error})') from error
        if count != len(self._numbers):
            raise ValueError(f'{path}: has labels of {count} frames, {META_FILE} names '
                             f'{len(self._numbers)}')

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Frame:
        name = self.names[index]
        folder = self.root / 'SUNRGBD' / name
        rgb = read_colour(_only(folder / 'image', '.jpg'))
        path = _only(folder / 'depth_bfx', '.png')
        encoded = read_map(path, np.uint16)
        require_size(encoded, rgb.shape[:2], path)
        return Frame(rgb, name, depth=decode_depth(encoded),
                     labels=self._read_labels(name, rgb.shape[:2]) if self.labels else None,
                     camera_matrix=_camera_matrix(folder / 'intrinsics.txt'))

    def _read_labels(self, name: str, size: tuple[int, int]) -> np.ndarray:
        import h5py
        where = f'{self.root / LABEL_FILE}: frame {name}'
        if name not in self._numbers:
            raise DamagedSampleError(f'{where}: {META_FILE} does not name it')
        try:
            with h5py.File(self.root / LABEL_FILE, 'r') as file:
                cells = file['SUNRGBD2Dseg/seglabel']
                cell = cells[np.unravel_index(self._numbers[name], cells.shape)]
                # MATLAB's rows are HDF5's columns.
                stored = np.ascontiguousarray(file[cell][()].T)
        except OSError as error:
            raise DamagedSampleError(f'{where}: {error}') from error
        if stored.shape != size:
            raise DamagedSampleError(f'{where}: labels have the shape {stored.shape}, the picture '
                                     f'{size}')
        # MATLAB may have stored them as doubles.
        ids = stored.astype(np.uint16)
        if (ids != stored).any():
            raise DamagedSampleError(f'{where}: labels are not whole numbers from 0 to 37')
        return translate(ids, _IDS, where)


def _folders(root: Path) -> list[str]:
    """Return the folders of frames, relative to ``root``: the folders that contain image/."""
    found = []
    for camera in CAMERAS:
        for folder, below, _ in os.walk(root / camera):
            if 'image' in below:
                found.append(Path(folder).relative_to(root).as_posix())
                below.clear()
    return sorted(found)


def _only(folder: Path, suffix: str) -> Path:
    """Return the file with ``suffix`` in a folder; DamagedSampleError if there is not just one."""
    paths = list(folder.glob(f'*{suffix}'))
    if len(paths) != 1:
        raise DamagedSampleError(f'{folder}: holds {len(paths) or "no"} pictures *{suffix}, '
                                 'expected one')
    return paths[0]


def decode_depth(encoded: np.ndarray) -> np.ndarray:
    """
    Return float32 metres, NaN = unknown, for the uint16 of a depth picture.

    The files hold millimetres whose bits are rotated to the left by 3 (read3dPoints.m of the
    toolbox).
    """
    metres = ((encoded >> 3) | (encoded << 13)).astype(np.float32) / 1000
    metres[(metres == 0) | (metres > _FARTHEST)] = np.nan
    return metres


def _camera_matrix(path: Path) -> np.ndarray:
    try:
        matrix = np.array(path.read_text().split(), float).reshape(3, 3)
    except FileNotFoundError:
        raise DamagedSampleError(f'{path}: missing') from None
    except (OSError, ValueError) as error:
        raise DamagedSampleError(f'{path}: not a 3x3 matrix ({error})') from error
    if not (matrix[0, 0] > 0 and matrix[1, 1] > 0):
        raise DamagedSampleError(f'{path}: focal lengths {matrix[0, 0]} and {matrix[1, 1]} must '
                                 'be positive')
    return matrix


# --- the toolbox --------------------------------------------------------------------------------

def read_split(path: Path, key: str) -> list[str]:
    """Return the frames ('kv1/b3dodata/img_0063') that ``allsplit.mat`` lists under ``key``."""
    return [_relative(text) for text in _load(path, key)]


def read_meta(path: Path) -> list[str]:
    """Return the frames in the order of the labels, from ``SUNRGBDMeta.mat``."""
    entries = _load(path, 'SUNRGBDMeta')
    if 'sequenceName' not in (entries.dtype.names or ()):
        raise ValueError(f'{path}: SUNRGBDMeta has no sequenceName')
    return [_relative(text) for text in entries['sequenceName']]


def _load(path: Path, key: str) -> np.ndarray:
    """Return an array of a MATLAB 5 file; FileNotFoundError; ValueError if it is damaged."""
    # Only this data set needs scipy, which is installed by extras.
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError
    if not path.is_file():
        raise FileNotFoundError(f'{path}: missing; it is in SUNRGBDtoolbox.zip')
    try:
        return np.ravel(loadmat(path, squeeze_me=True, variable_names=[key])[key])
    except (OSError, ValueError, TypeError, LookupError, NotImplementedError, zlib.error,
            MatReadError) as error:
        raise ValueError(f'{path}: not a whole MATLAB 5 file with {key} ({error})') from error


def _relative(text: object) -> str:
    """Return the part after SUNRGBD/ of a path: the lists have folders of their authors' disk."""
    # Some of the paths have doubled and final slashes.
    return '/'.join(filter(None, str(text).rpartition('SUNRGBD/')[2].split('/')))
