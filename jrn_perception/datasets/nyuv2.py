# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
NYU-Depth v2 (Silberman et al., ECCV 2012) as folders of pictures.

The folder holds ``rgb/NNNN.jpg``, ``depth_mm/NNNN.png`` (uint16 millimetres, 0 = unknown),
``label40/NNNN.png`` (0 = void, 1..40 = the classes of Gupta et al.), and a text file with the
NNNN of each split.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jrn_perception.datasets.decoding import (
    listed,
    read_colour,
    read_map,
    require_size,
    to_metres,
    translate,
)
from jrn_perception.frame import Frame
from jrn_perception.labels import NYU40, UNLABELLED
import numpy as np

# The Kinect's colour camera, 640x480 (the data set's toolbox, camera_params.m).
CAMERA_MATRIX = np.array(((518.85790117450188, 0., 325.58244941119034),
                          (0., 519.46961112127485, 253.73616633400465),
                          (0., 0., 1.)))
# The part of the 640x480 picture that the field evaluates: all but the white rim (Gupta et al.).
CROP = (slice(45, 471), slice(41, 601))
# Void 0 -> 255, class 1..40 -> 0..39.
_IDS = np.array((UNLABELLED, *range(len(NYU40))), np.int16)


class NYUv2(Sequence):
    """
    The labelled frames of one split: rgb 640x480, depth (NaN = none), labels in ``NYU40``.

    ``split`` is the name of a text file in ``root`` without ``.txt`` (``train``, ``fit``,
    ``val``). Raises FileNotFoundError if the text file does not exist, ValueError if it is empty,
    DamagedSampleError on access to a damaged frame.
    """

    labels = NYU40

    def __init__(self, root: str | Path, split: str = 'val'):
        self.root = Path(root)
        self.names = listed(
            self.root / f'{split}.txt',
            f'{self.root} should hold rgb/, depth_mm/, label40/ and a text file for each split')

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Frame:
        name = self.names[index]
        rgb = read_colour(self.root / 'rgb' / f'{name}.jpg')
        path = self.root / 'depth_mm' / f'{name}.png'
        depth = read_map(path, np.uint16)
        require_size(depth, rgb.shape[:2], path)
        path = self.root / 'label40' / f'{name}.png'
        labels = read_map(path, np.uint8)
        require_size(labels, rgb.shape[:2], path)
        return Frame(rgb, name, depth=to_metres(depth), labels=translate(labels, _IDS, path),
                     camera_matrix=_camera(rgb))


class NYUv2DepthOnly(Sequence):
    """
    Frames of the raw recordings, with depth only: ``<scene>/N.jpg`` and ``<scene>/N.png``.

    The pictures are 320x240. The depth picture is uint8 in steps of 4 cm: 255 = 10 m, 0 = none.
    Raises FileNotFoundError if there are no pictures, DamagedSampleError on access to a damaged
    frame.
    """

    labels = None

    def __init__(self, root: str | Path):
        self.root = Path(root)
        self.paths = sorted(self.root.glob('*/*.jpg'))
        if not self.paths:
            raise FileNotFoundError(f'{self.root}: holds no <scene>/N.jpg')

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Frame:
        path = self.paths[index]
        rgb = read_colour(path)
        path = path.with_suffix('.png')
        depth = read_map(path, np.uint8)
        require_size(depth, rgb.shape[:2], path)
        metres = depth.astype(np.float32) * (10 / 255)
        metres[depth == 0] = np.nan
        return Frame(rgb, f'{path.parent.name}/{path.stem}', depth=metres,
                     camera_matrix=_camera(rgb))


def _camera(rgb: np.ndarray) -> np.ndarray:
    """Return the camera matrix for a picture that is not cropped, at its size."""
    return np.diag((rgb.shape[1] / 640, rgb.shape[0] / 480, 1.)) @ CAMERA_MATRIX
