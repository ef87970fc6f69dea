# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""ScanNet (Dai et al., CVPR 2017): rooms scanned with a depth camera, exported as frames."""

from __future__ import annotations

from collections.abc import Sequence
import csv
from pathlib import Path

import cv2
from jrn_perception.datasets.decoding import (
    DamagedSampleError,
    listed,
    read_colour,
    read_map,
    read_pose,
    to_metres,
    translate,
)
from jrn_perception.frame import Frame
from jrn_perception.labels import (
    LABEL_SETS,
    map_labels,
    NYU40,
    NYU40_TO_SCANNET20,
    SCANNET20,
    UNLABELLED,
)
import numpy as np

LABEL_MAP = 'scannetv2-labels.combined.tsv'
# The aspects of ScanNet's pictures (1296x968) and depth (640x480) differ by 0.4 %.
_SHAPE_TOLERANCE = 0.02


class ScanNet(Sequence):
    """
    The frames of the scenes of one split: rgb, depth (NaN = none), labels.

    ``root`` holds:

    * ``scans/<scene>/`` with the files that ScanNet's SensReader exports: ``color/N.jpg``,
      ``depth/N.png`` (uint16 millimetres, 0 = none) and ``intrinsic/intrinsic_color.txt`` (without
      it ``camera_matrix`` is None); and the unpacked ``label-filt/N.png`` (ScanNet's own ids);
    * ``scans/<scene>/pose/N.txt``, if it is there: the 4x4 matrix from camera to world;
    * ``scannetv2-labels.combined.tsv``, ScanNet's table of these ids;
    * ``scannetv2_<split>.txt`` with the scenes of a split (``split`` None: all scenes).

    If the table exists, every frame has labels in the label set ``labels``, 'nyu40' or
    'scannet20'. If neither table nor label-filt exists, no frame has labels.

    Depth (640x480) and labels are resized to the picture's size (1296x968) by nearest neighbour.
    Raises FileNotFoundError if ``root`` lacks a file or folder, ValueError for a damaged table,
    DamagedSampleError on access to a damaged frame or to a missing scene of the split.
    """

    def __init__(self, root: str | Path, split: str | None = None, labels: str = 'nyu40'):
        self.root = Path(root)
        if labels not in (NYU40.name, SCANNET20.name):
            raise ValueError(f'ScanNet has labels in nyu40 or scannet20, not in {labels!r}')
        scans = self.root / 'scans'
        if split:
            scenes = listed(self.root / f'scannetv2_{split}.txt',
                            "the lists are in Tasks/Benchmark of ScanNet's repository")
        else:
            scenes = sorted(path.name for path in scans.glob('*') if path.is_dir())
        # Count an empty scene as a sample, so that its missing frames are reported.
        self.names = [name for scene in scenes for name in _frames(scans / scene) or [(scene, '')]]
        if not any(number for _, number in self.names):
            raise FileNotFoundError(f'{scans}: should hold <scene>/color/N.jpg and '
                                    '<scene>/depth/N.png')
        self.labels = self._table = None
        if (self.root / LABEL_MAP).is_file():
            self.labels = LABEL_SETS[labels]
            self._table = read_label_map(self.root / LABEL_MAP)
        elif any((scans / scene / 'label-filt').is_dir() for scene in scenes):
            raise FileNotFoundError(f'{self.root / LABEL_MAP}: missing; the ids in label-filt '
                                    'mean nothing without it (download-scannet.py --label_map)')

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Frame:
        scene, number = self.names[index]
        folder = self.root / 'scans' / scene
        if not number:
            raise DamagedSampleError(f'{folder}: no frames in color/ and depth/')
        rgb = read_colour(folder / 'color' / f'{number}.jpg')
        path = folder / 'depth' / f'{number}.png'
        depth = _resize(read_map(path, np.uint16), rgb.shape[:2], path)
        labels = None
        if self._table is not None:
            path = folder / 'label-filt' / f'{number}.png'
            ids = _resize(read_map(path, np.uint16, np.uint8), rgb.shape[:2], path)
            labels = translate(ids, self._table, path)
            if self.labels == SCANNET20:
                labels = map_labels(labels, NYU40_TO_SCANNET20)
        return Frame(rgb, f'{scene}/{number}', depth=to_metres(depth), labels=labels,
                     camera_matrix=_camera_matrix(folder / 'intrinsic' / 'intrinsic_color.txt'),
                     pose=read_pose(folder / 'pose' / f'{number}.txt'))

    def neighbours(self, index: int, step: int) -> tuple[Frame | None, Frame | None]:
        """Return the pictures of the frame's scene whose numbers are ``step`` less and more."""
        scene, number = self.names[index]
        folder = self.root / 'scans' / scene

        def read(other: int) -> Frame | None:
            path = folder / 'color' / f'{other}.jpg'
            if not path.is_file():
                return None
            return Frame(read_colour(path), f'{scene}/{other}',
                         pose=read_pose(folder / 'pose' / f'{other}.txt'))

        if not number.isdecimal():
            return None, None
        return read(int(number) - step), read(int(number) + step)


def _frames(folder: Path) -> list[tuple[str, str]]:
    """Return (scene, number) of each frame with a picture or depth, in the order of numbers."""
    numbers = {path.stem for pattern in ('color/*.jpg', 'depth/*.png')
               for path in folder.glob(pattern)}
    return [(folder.name, number) for number in sorted(numbers, key=lambda n: (len(n), n))]


def _resize(array: np.ndarray, size: tuple[int, int], path: Path) -> np.ndarray:
    """Return ``array`` at ``size`` (H, W); DamagedSampleError if its aspect differs."""
    height, width = array.shape
    stretch = (width * size[0]) / (height * size[1])
    if abs(stretch - 1) > _SHAPE_TOLERANCE:
        raise DamagedSampleError(f'{path}: is {width}x{height}, its picture {size[1]}x{size[0]}: '
                                 'their aspects differ')
    return cv2.resize(array, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)


def _camera_matrix(path: Path) -> np.ndarray | None:
    if not path.is_file():
        return None
    try:
        return np.array(path.read_text().split(), float).reshape(4, 4)[:3, :3]
    except ValueError:
        raise DamagedSampleError(f'{path}: not a 4x4 matrix') from None


def read_label_map(path: Path) -> np.ndarray:
    """
    Return the table from ScanNet's ids to ``NYU40``: int16, 255 = void, -1 = no such id.

    ``path`` is ScanNet's tab-separated file; only its columns ``id`` and ``nyu40id`` are read.
    Raises ValueError that names the wrong line.
    """
    table = np.full(1 << 16, -1, np.int16)
    table[0] = UNLABELLED
    with path.open(newline='', encoding='utf-8') as stream:
        # Some names contain inch signs, which are not quotation marks.
        rows = csv.DictReader(stream, delimiter='\t', quoting=csv.QUOTE_NONE)
        if not {'id', 'nyu40id'} <= set(rows.fieldnames or ()):
            raise ValueError(f'{path}: has no columns id and nyu40id')
        for row in rows:
            try:
                raw = int(row['id'])
                # An empty cell means void; a missing cell (None) is damage.
                nyu40 = 0 if row['nyu40id'] == '' else int(row['nyu40id'])
            except (TypeError, ValueError):
                raise ValueError(f'{path}: line {rows.line_num}: id {row["id"]!r} and nyu40id '
                                 f'{row["nyu40id"]!r} should be numbers') from None
            if not (0 < raw < len(table) and 0 <= nyu40 <= len(NYU40)):
                raise ValueError(f'{path}: line {rows.line_num}: id {raw} or nyu40id {nyu40} is '
                                 'out of range')
            table[raw] = nyu40 - 1 if nyu40 else UNLABELLED
    return table
