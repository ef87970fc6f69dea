# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
The raw recordings of NYU-Depth v2 (Silberman et al., ECCV 2012): dumps of a Kinect.

Numbers and steps are those of the data set's toolbox (toolbox_nyu_depth_v2.zip: camera_params.m,
get_synched_frames.m, project_depth_map.m), so that the frames resemble the labelled frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
import os
from pathlib import Path
import re

import cv2
from jrn_perception.datasets.decoding import DamagedSampleError, listed, read_bytes
from jrn_perception.datasets.nyuv2 import CAMERA_MATRIX
from jrn_perception.frame import Frame
import numpy as np

WIDTH, HEIGHT = 640, 480
INDEX = 'INDEX.txt'
ALL, BUT = 'all', 'not-'
# Distortion in OpenCV's order: k1, k2, p1, p2, k3.
_COLOUR_DISTORTION = np.array((0.20796615318809061, -0.58613825163911781, 0.00072231363135888329,
                               0.0010479627195765181, 0.49856986684705107))
_DEPTH_MATRIX = np.array(((582.62448167737955, 0., 313.04475870804731),
                          (0., 582.69103270988637, 238.44389626620386),
                          (0., 0., 1.)))
_DEPTH_DISTORTION = np.array((-0.099897236553084481, 0.39065324602765344, 0.0019290592870229277,
                              -0.0019422022475975055, -0.51031725053400578))
# A point p of the depth camera is inverse(ROTATION) p - TRANSLATION for the colour camera. The
# toolbox negates both, which the projection cancels. Its order of the translation is t_x, t_z,
# t_y.
_ROTATION = np.array((
    (0.99997798940829263, 0.0050518419386157446, 0.0043011152014118693),
    (-0.0050359919480810989, 0.99998051861143999, -0.0036879781309514218),
    (-0.0043196624923060242, 0.0036662365748484798, 0.99998394948385538)))
_TRANSLATION = np.array((0.025031875059141302, -0.00029342312935846411, 0.00066238747008330102))
# Metres are 351.3 / (1092.5 - disparity). Smaller disparities (nearer than 0.71 m) and distances
# beyond 10 m are no measurements.
_SCALE, _OFFSET, _SMALLEST, _FARTHEST = 351.3, 1092.5, 600, 10.
_NOTHING = 2047
_DUMP = re.compile(r'r-(?P<colour>\d+\.\d+)-\d+\.ppm|d-(?P<depth>\d+\.\d+)-\d+\.pgm')
_HEADER = re.compile(rb'(P[56])\s+(\d+)\s+(\d+)\s+(\d+)\s')


class NYUv2Raw(Sequence):
    """
    Every depth picture with the colour picture nearest in time: rgb 640x480, depth (NaN = none).

    ``root`` holds a folder for each scene, ``bedroom_0001`` for example, as the archives unpack:
    ``r-<seconds>-<ticks>.ppm``, ``d-<seconds>-<ticks>.pgm`` (raw disparity) and ``INDEX.txt``, the
    list of them; without the list, the folder's own listing counts. The accelerometer's
    ``a-*.dump`` are not read. ``split`` is ``all``; or the name of a text file in ``root``
    without ``.txt``, for the scenes that it names; or ``not-`` and such a name, for all other
    scenes. ``nyuv2_mat.scene_names`` gives the scenes of the official test frames, which must
    not be trained on. A number after a slash (``all/16``) takes every 16th depth picture of each
    scene: neighbouring pictures hardly differ.

    Both pictures are undistorted, and depth is projected into the colour camera, where the nearest
    point hides others. The values remain distances from the depth camera, as in the toolbox. The
    reader differs from the toolbox in two ways: it does not interpolate disparities, and depth
    beyond 10 m is unknown instead of 10 m. The rim that undistortion leaves is white.

    Raises FileNotFoundError if the list or all scenes are missing, ValueError if the list is
    empty or the number is not positive, DamagedSampleError on access to a damaged frame or to a
    scene without frames.
    """

    labels = None

    def __init__(self, root: str | Path, split: str = ALL):
        self.root = Path(root)
        name, slash, step = split.partition('/')
        if slash and not (step.isdecimal() and int(step)):
            raise ValueError(f'{self.root}: split {split}: expected NAME or NAME/N, which takes '
                             'every N-th picture')
        # Count an empty scene as a sample, so that its missing frames are reported.
        self.names = [(scene, *pair) for scene in self._scenes(name)
                      for pair in _pairs(self.root / scene)[::int(step or 1)] or [('', '')]]
        if not any(depth for _, depth, _ in self.names):
            raise FileNotFoundError(f'{self.root}: should hold <scene>/r-*.ppm and '
                                    f'<scene>/d-*.pgm for split {split}')

    def _scenes(self, split: str) -> list[str]:
        hint = f'{self.root} should hold it, a list of names of scenes'
        if split != ALL and not split.startswith(BUT):
            return listed(self.root / f'{split}.txt', hint)
        excluded = () if split == ALL else listed(
            self.root / f'{split.removeprefix(BUT)}.txt', hint)
        return sorted(path.name for path in self.root.glob('*')
                      if path.is_dir() and path.name not in excluded)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Frame:
        scene, depth, colour = self.names[index]
        folder = self.root / scene
        if not depth:
            raise DamagedSampleError(f'{folder}: no frames r-*.ppm and d-*.pgm')
        rgb = cv2.remap(read_ppm(folder / colour), *_maps('colour'), cv2.INTER_LINEAR,
                        borderMode=cv2.BORDER_CONSTANT, borderValue=(255, 255, 255))
        # A mean of two disparities lies between objects, or between an object and nothing.
        disparity = cv2.remap(read_pgm(folder / depth), *_maps('depth'), cv2.INTER_NEAREST,
                              borderMode=cv2.BORDER_CONSTANT, borderValue=_NOTHING)
        return Frame(rgb, f'{scene}/{Path(depth).stem}', depth=project(to_metres(disparity)),
                     camera_matrix=CAMERA_MATRIX)


def _pairs(folder: Path) -> list[tuple[str, str]]:
    """Return each depth picture of a scene with the colour picture nearest in time."""
    if not folder.is_dir():
        return []
    index = folder / INDEX
    names = index.read_text(errors='replace').split() if index.is_file() else os.listdir(folder)
    found = [match for match in map(_DUMP.fullmatch, names) if match]
    colours, depths = (
        sorted((float(match[kind]), match[0]) for match in found if match[kind])
        for kind in ('colour', 'depth'))
    if not colours:
        return []
    times = np.array([time for time, _ in colours])
    pairs = []
    for time, name in depths:
        later = int(np.searchsorted(times, time, side='right'))
        before, after = max(later - 1, 0), min(later, len(times) - 1)
        # The toolbox takes the later picture of two that are equally near.
        nearest = after if abs(times[after] - time) <= abs(times[before] - time) else before
        pairs.append((name, colours[nearest][1]))
    return pairs


def read_ppm(path: Path) -> np.ndarray:
    """Return the colour picture in a dump, RGB, uint8 (480, 640, 3); DamagedSampleError."""
    return np.frombuffer(_pixels(path, b'P6', 255, 3), np.uint8).reshape(HEIGHT, WIDTH, 3)


def read_pgm(path: Path) -> np.ndarray:
    """
    Return the raw disparity in a dump, uint16 (480, 640); DamagedSampleError.

    The dumps are little-endian, although PGM is big-endian; therefore the toolbox swaps bytes.
    """
    return np.frombuffer(_pixels(path, b'P5', 65535, 2), '<u2').reshape(
        HEIGHT, WIDTH).astype(np.uint16)


def _pixels(path: Path, magic: bytes, largest: int, size: int) -> bytes:
    """Return the bytes after the header of a dump with ``size`` bytes for each pixel."""
    data = read_bytes(path)
    header = _HEADER.match(data)
    if not header or header[1] != magic or tuple(map(int, header.groups()[1:])) != (
            WIDTH, HEIGHT, largest):
        raise DamagedSampleError(f'{path}: does not begin with {magic.decode()} {WIDTH} {HEIGHT} '
                                 f'{largest}')
    pixels = data[header.end():]
    if len(pixels) != WIDTH * HEIGHT * size:
        raise DamagedSampleError(f'{path}: cut off or too long: {len(pixels)} bytes of pixels '
                                 f'instead of {WIDTH * HEIGHT * size}')
    return pixels


@cache
def _maps(camera: str) -> tuple[np.ndarray, np.ndarray]:
    """Return where the pixels (x, y) of the undistorted picture lie in the camera's picture."""
    matrix, distortion = {'colour': (CAMERA_MATRIX, _COLOUR_DISTORTION),
                          'depth': (_DEPTH_MATRIX, _DEPTH_DISTORTION)}[camera]
    return cv2.initUndistortRectifyMap(matrix, distortion, None, matrix, (WIDTH, HEIGHT),
                                       cv2.CV_32FC1)


def to_metres(disparity: np.ndarray) -> np.ndarray:
    """Return float32 metres for the Kinect's raw disparity, uint16; NaN = not measured."""
    metres = np.float32(_SCALE) / (np.float32(_OFFSET) - disparity.astype(np.float32))
    known = (disparity >= _SMALLEST) & (disparity < _OFFSET) & (metres <= _FARTHEST)
    return np.where(known, metres, np.float32(np.nan))


def project(depth: np.ndarray) -> np.ndarray:
    """
    Return depth seen by the colour camera, (480, 640) float32 metres, NaN where no point lies.

    ``depth`` (480, 640) are metres seen by the depth camera, NaN = unknown.
    """
    rows, columns = np.nonzero(np.isfinite(depth))
    z = depth[rows, columns]
    # The toolbox counts pixels from 1, as MATLAB does.
    pixels = np.stack((columns + 1, rows + 1, np.ones(len(z))))
    points = np.linalg.inv(_DEPTH_MATRIX) @ pixels * z
    x, y, scale = CAMERA_MATRIX @ (np.linalg.inv(_ROTATION) @ points - _TRANSLATION[:, None])
    columns, rows = (np.rint(value / scale).astype(int) - 1 for value in (x, y))
    inside = (columns >= 0) & (columns < WIDTH) & (rows >= 0) & (rows < HEIGHT)
    # Of several values for one pixel, the last stays: the nearest.
    order = np.flatnonzero(inside)[np.argsort(-z[inside], kind='stable')]
    projected = np.full((HEIGHT, WIDTH), np.nan, np.float32)
    projected[rows[order], columns[order]] = z[order]
    return projected
