# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
KITTI: streets with depth (Uhrig et al., 3DV 2017) or semantics (Alhaija et al., IJCV 2018).

The two data sets come from the same car. The size of the pictures differs by a few pixels between
days.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jrn_perception.datasets.decoding import (
    DamagedSampleError,
    read_colour,
    read_map,
    require_size,
    translate,
)
from jrn_perception.frame import Frame
from jrn_perception.labels import CITYSCAPES19, CITYSCAPES_IDS_TO_CITYSCAPES19, UNLABELLED
import numpy as np

# The ids are Cityscapes'. A licence plate has the id -1, which is 255 in 8 bits.
CITYSCAPES_TABLE = np.full(256, -1, np.int16)
CITYSCAPES_TABLE[:len(CITYSCAPES_IDS_TO_CITYSCAPES19)] = CITYSCAPES_IDS_TO_CITYSCAPES19
CITYSCAPES_TABLE[255] = UNLABELLED


class KITTIDepth(Sequence):
    """
    Frames of the left colour camera with accumulated laser depth (NaN = none: most pixels).

    ``root`` holds ``<split>/<drive>/proj_depth/groundtruth/image_02/N.png`` (uint16, metres times
    256, 0 = none). ``raw`` (default: ``root``) holds the raw data: the pictures
    ``<date>/<drive>/image_02/data/N.png`` and ``<date>/calib_cam_to_cam.txt``; without the latter
    ``camera_matrix`` is None. Raises FileNotFoundError if the split holds no depth,
    DamagedSampleError on access to a damaged frame.
    """

    labels = None

    def __init__(self, root: str | Path, split: str = 'val', raw: str | Path | None = None):
        self.root = Path(root)
        self.raw = self.root if raw is None else Path(raw)
        pattern = '*/proj_depth/groundtruth/image_02/*.png'
        self.paths = sorted((self.root / split).glob(pattern))
        if not self.paths:
            raise FileNotFoundError(f'{self.root / split}: holds no {pattern}')

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Frame:
        path = self.paths[index]
        drive = path.parents[3].name
        # The name of a drive begins with its date: 2011_09_26_drive_0001_sync.
        date = self.raw / drive[:len('2011_09_26')]
        rgb = read_colour(date / drive / 'image_02' / 'data' / path.name)
        depth = read_map(path, np.uint16)
        require_size(depth, rgb.shape[:2], path)
        metres = depth.astype(np.float32) / 256
        metres[depth == 0] = np.nan
        return Frame(rgb, f'{drive}/{path.stem}', depth=metres,
                     camera_matrix=_camera_matrix(date / 'calib_cam_to_cam.txt'))


def _camera_matrix(path: Path) -> np.ndarray | None:
    """Return the 3x3 matrix of the rectified left colour camera; None without the file."""
    if not path.is_file():
        return None
    for line in path.read_text(errors='replace').splitlines():
        key, _, values = line.partition(':')
        if key == 'P_rect_02':
            try:
                return np.array(values.split(), float).reshape(3, 4)[:, :3]
            except ValueError:
                break
    raise DamagedSampleError(f'{path}: holds no line P_rect_02 of 12 numbers')


class KITTISemantics(Sequence):
    """
    The 200 frames with labels in ``CITYSCAPES19``.

    ``root`` holds ``training/image_2/N_10.png`` and ``training/semantic/N_10.png`` (uint8, ids of
    Cityscapes). The pictures ``N_11.png`` in the same folder belong to the scene flow benchmark,
    have no labels and are ignored. Raises FileNotFoundError if there are no frames,
    DamagedSampleError on access to a frame with a missing or damaged file.
    """

    labels = CITYSCAPES19

    def __init__(self, root: str | Path):
        self.root = Path(root) / 'training'
        # Count a sample if either file exists, so that a missing companion is reported.
        self.names = sorted({path.name for folder in ('image_2', 'semantic')
                             for path in (self.root / folder).glob('*_10.png')})
        if not self.names or not (self.root / 'semantic').is_dir():
            raise FileNotFoundError(f'{self.root}: should hold image_2/N_10.png and '
                                    'semantic/N_10.png')

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Frame:
        name = self.names[index]
        rgb = read_colour(self.root / 'image_2' / name)
        path = self.root / 'semantic' / name
        ids = read_map(path, np.uint8)
        require_size(ids, rgb.shape[:2], path)
        return Frame(rgb, Path(name).stem, labels=translate(ids, CITYSCAPES_TABLE, path))
