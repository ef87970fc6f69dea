# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
NYU-Depth v2 (Silberman et al., ECCV 2012) as folders of pictures.

``rgb/NNNN.jpg``, ``depth_mm/NNNN.png`` (uint16 millimetres, 0 = none), ``label40/NNNN.png`` (0 =
void, 1..40 = the classes of Gupta et al.), and a text file of NNNN for each split.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
from jrn_perception.data.frame import Frame
from jrn_perception.labels import NYU40, UNLABELLED
import numpy as np

# The Kinect's colour camera, 640x480 (the data set's toolbox, camera_params.m).
CAMERA_MATRIX = np.array(((518.85790117450188, 0., 325.58244941119034),
                          (0., 519.46961112127485, 253.73616633400465),
                          (0., 0., 1.)))
# The part of the 640x480 picture that the field evaluates (Gupta et al.; without the white rim).
CROP = (slice(45, 471), slice(41, 601))


class DamagedSampleError(ValueError):
    """A file of a data set that is missing or unreadable; the message names it."""


def read_picture(path: Path, flags: int) -> np.ndarray:
    """Return the picture at ``path`` as OpenCV reads it with ``flags``; DamagedSampleError."""
    if not path.is_file():
        raise DamagedSampleError(f'{path}: missing')
    picture = cv2.imread(str(path), flags)
    if picture is None:
        raise DamagedSampleError(f'{path}: not a picture that OpenCV can decode')
    return picture


class NYUv2(Sequence):
    """
    The labelled frames of one split: rgb 640x480, depth (NaN = none), labels in ``NYU40``.

    ``split`` is the stem of a text file in ``root`` (``train``, ``fit``, ``val``). Raises
    FileNotFoundError if that is not there, DamagedSampleError on access to a damaged frame.
    """

    labels = NYU40

    def __init__(self, root: str | Path, split: str = 'val'):
        self.root = Path(root)
        listing = self.root / f'{split}.txt'
        if not listing.is_file():
            raise FileNotFoundError(f'{listing}: no such split; {self.root} should hold rgb/, '
                                    'depth_mm/, label40/ and a text file for each split')
        self.names = listing.read_text().split()

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Frame:
        name = self.names[index]
        bgr = read_picture(self.root / 'rgb' / f'{name}.jpg', cv2.IMREAD_COLOR)
        depth = read_picture(self.root / 'depth_mm' / f'{name}.png', cv2.IMREAD_UNCHANGED)
        labels = read_picture(self.root / 'label40' / f'{name}.png', cv2.IMREAD_UNCHANGED)
        if not bgr.shape[:2] == depth.shape == labels.shape:
            raise DamagedSampleError(f'{self.root}: frame {name}: picture {bgr.shape[:2]}, depth '
                                     f'{depth.shape} and labels {labels.shape} differ in size')
        metres = depth.astype(np.float32) / 1000
        metres[depth == 0] = np.nan
        # void 0 -> 255, class 1..40 -> 0..39: what uint8 arithmetic does by itself.
        ids = labels - np.uint8(1)
        ids[ids >= len(NYU40)] = UNLABELLED
        return Frame(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), name, depth=metres, labels=ids,
                     camera_matrix=CAMERA_MATRIX)


class NYUv2DepthOnly(Sequence):
    """
    Frames of the raw recordings with depth alone: ``<scene>/N.jpg`` and ``<scene>/N.png``.

    320x240; the depth picture is uint8, 255 = 10 m, 0 = none: steps of 4 cm.
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
        bgr = read_picture(path, cv2.IMREAD_COLOR)
        depth = read_picture(path.with_suffix('.png'), cv2.IMREAD_UNCHANGED)
        if bgr.shape[:2] != depth.shape:
            raise DamagedSampleError(f'{path}: picture {bgr.shape[:2]} and depth {depth.shape} '
                                     'differ in size')
        metres = depth.astype(np.float32) * (10 / 255)
        metres[depth == 0] = np.nan
        scale = np.diag((bgr.shape[1] / 640, bgr.shape[0] / 480, 1.))
        return Frame(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), f'{path.parent.name}/{path.stem}',
                     depth=metres, camera_matrix=scale @ CAMERA_MATRIX)
