# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Cityscapes (Cordts et al., CVPR 2016): streets with labels and with depth from stereo."""

from __future__ import annotations

from collections.abc import Sequence
import json
from pathlib import Path
from typing import NamedTuple

from jrn_perception.datasets.decoding import (
    DamagedSampleError,
    read_colour,
    read_map,
    require_size,
    translate,
)
from jrn_perception.datasets.kitti import CITYSCAPES_TABLE
from jrn_perception.frame import Frame
from jrn_perception.labels import CITYSCAPES19
import numpy as np

_PARTS = {'leftImg8bit': '_leftImg8bit.png', 'gtFine': '_gtFine_labelIds.png',
          'disparity': '_disparity.png'}


class Camera(NamedTuple):
    """The left camera of a stereo pair: 3x3 matrix (pixels), metres to the right camera."""

    matrix: np.ndarray
    baseline: float


class Cityscapes(Sequence):
    """
    The frames of one split: rgb, labels in ``CITYSCAPES19``, depth from stereo (NaN = none).

    ``root`` holds a folder for each downloaded package of the data set:
    ``leftImg8bit/<split>/<city>/<name>_leftImg8bit.png``, and in the same way
    ``gtFine/…_gtFine_labelIds.png`` (uint8 ids), ``disparity/…_disparity.png`` (uint16; disparity
    in pixels = (value - 1) / 256, 0 = none) and ``camera/…_camera.json``. Depth is baseline * fx /
    disparity. A package without a folder for the split counts as not installed: without gtFine,
    frames have no labels and ``labels`` is None; without disparity, they have no depth. A file
    that is missing inside an installed package is damage. The labels of split ``test`` are not
    public: its gtFine marks only the car and the border, so every pixel is unlabelled.

    ``leftImg8bit_sequence/<split>/<city>/<city>_<n>_<frame>_leftImg8bit.png``, if installed, holds
    the 30 pictures of the snippet of which each annotated picture is the 20th.

    Raises FileNotFoundError if there are no pictures or no annotations, or disparity but no
    camera; DamagedSampleError on access to a frame with a missing or damaged file.
    """

    # Hoyer et al.'s limit; beyond it a disparity is less than 5 pixels.
    depth_range = (1., 100.)

    def __init__(self, root: str | Path, split: str = 'val'):
        self.root, self.split = Path(root), split
        self.parts = {part for part in (*_PARTS, 'camera') if (self.root / part / split).is_dir()}
        if 'leftImg8bit' not in self.parts or not self.parts & {'gtFine', 'disparity'}:
            raise FileNotFoundError(f'{self.root}: should hold leftImg8bit/{split}, and '
                                    f'gtFine/{split} or disparity/{split} or both')
        if 'disparity' in self.parts and 'camera' not in self.parts:
            raise FileNotFoundError(f'{self.root}: holds disparity/{split} but no camera/{split}; '
                                    'disparity becomes metres only with the camera')
        self.labels = CITYSCAPES19 if 'gtFine' in self.parts else None
        # Count a sample if any of its files exists, so that a missing companion is reported.
        self.names = sorted({
            f'{path.parent.name}/{path.name[:-len(suffix)]}' for part, suffix in _PARTS.items()
            for path in (self.root / part / split).glob(f'*/*{suffix}')})
        if not self.names:
            raise FileNotFoundError(f'{self.root}: holds no pictures for {split}')

    def __len__(self) -> int:
        return len(self.names)

    def _path(self, part: str, name: str, suffix: str) -> Path:
        return self.root / part / self.split / f'{name}{suffix}'

    def __getitem__(self, index: int) -> Frame:
        name = self.names[index]
        rgb = read_colour(self._path('leftImg8bit', name, _PARTS['leftImg8bit']))
        labels = depth = matrix = None
        if 'gtFine' in self.parts:
            path = self._path('gtFine', name, _PARTS['gtFine'])
            ids = read_map(path, np.uint8)
            require_size(ids, rgb.shape[:2], path)
            labels = translate(ids, CITYSCAPES_TABLE, path)
        if 'camera' in self.parts:
            matrix, baseline = read_camera(self._path('camera', name, '_camera.json'))
        if 'disparity' in self.parts:
            path = self._path('disparity', name, _PARTS['disparity'])
            stored = read_map(path, np.uint16)
            require_size(stored, rgb.shape[:2], path)
            # 1 is disparity 0, a point at infinity: no depth either.
            disparity = np.where(stored > 1, (stored - np.float32(1)) / 256, np.float32(np.nan))
            depth = (baseline * matrix[0, 0] / disparity).astype(np.float32)
        return Frame(rgb, name.split('/')[1], depth=depth, labels=labels, camera_matrix=matrix)

    def neighbours(self, index: int, step: int) -> tuple[Frame | None, Frame | None]:
        """Return the pictures ``step`` frames before and after in the frame's snippet."""
        snippet, _, number = self.names[index].rpartition('_')
        suffix = _PARTS['leftImg8bit']

        def read(other: int) -> Frame | None:
            name = f'{snippet}_{other:0{len(number)}d}'
            path = self._path('leftImg8bit_sequence', name, suffix)
            return Frame(read_colour(path), path.name[:-len(suffix)]) if path.is_file() else None

        return read(int(number) - step), read(int(number) + step)


def read_camera(path: Path) -> Camera:
    """Return the camera in a ``_camera.json``; DamagedSampleError if missing or incomplete."""
    try:
        content = json.loads(path.read_text())
        inner = content['intrinsic']
        fx, fy, u0, v0 = (float(inner[key]) for key in ('fx', 'fy', 'u0', 'v0'))
        baseline = float(content['extrinsic']['baseline'])
    except FileNotFoundError:
        raise DamagedSampleError(f'{path}: missing') from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedSampleError(f'{path}: not a camera calibration ({error!r})') from error
    if not (fx > 0 and fy > 0 and baseline > 0):
        raise DamagedSampleError(f'{path}: fx {fx}, fy {fy} and baseline {baseline} must be '
                                 'positive')
    return Camera(np.array(((fx, 0., u0), (0., fy, v0), (0., 0., 1.))), baseline)
