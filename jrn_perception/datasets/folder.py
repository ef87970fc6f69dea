# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Your own frames as folders of pictures.

The folder holds ``rgb/NAME.jpg``, ``.jpeg`` or ``.png``; for each picture ``depth_mm/NAME.png``
(uint16 millimetres, 0 = unknown), ``labels/NAME.png`` (8 bits or a palette; 0, 255 = unlabelled,
1..K = the classes), or both; a text file for each split with a NAME in each line; and
``dataset.json``::

    {"classes": ["floor", "pallet", "person"],
     "focal_length": [615.2, 614.8],
     "depth_range": [0.3, 20]}

``poses/NAME.txt``, if it is there, is the 4x4 matrix from the camera at NAME to the world. Names
that end in numbers are the pictures of a video: ``frame0007`` comes after ``frame0006``.

``classes`` are the names of the ids 1..K, or "nyu40". ``focal_length`` (x, y) is the camera's, in
pixels of its pictures; without it, depth is right only for this camera. ``depth_range`` is the
range that the depth sensor measures, in metres; by default a Kinect's.
"""

from __future__ import annotations

from collections.abc import Sequence
import json
from pathlib import Path

from jrn_perception.datasets.decoding import (
    DamagedSampleError,
    listed,
    read_colour,
    read_map,
    read_pose,
    read_text,
    require_size,
    to_metres,
    translate,
)
from jrn_perception.frame import Frame
from jrn_perception.labels import custom, LabelSet, NYU40, UNLABELLED
import numpy as np

DESCRIPTION = 'dataset.json'
PICTURES, MAPS = ('.jpg', '.jpeg', '.png'), ('.png',)


class Folder(Sequence):
    """
    The frames of one split; ``depth`` or ``labels`` is None for a frame without that file.

    Raises FileNotFoundError if the split or ``dataset.json`` does not exist; ValueError if the
    split is empty or the json is not as above; DamagedSampleError on access to a frame that is
    damaged, has no picture, or has neither depth nor labels.
    """

    def __init__(self, root: str | Path, split: str = 'val'):
        self.root = Path(root)
        layout = (f'{self.root} should hold rgb/, depth_mm/, labels/, {DESCRIPTION} and a text '
                  'file for each split')
        self.names = listed(self.root / f'{split}.txt', layout)
        description = self.root / DESCRIPTION
        if not description.is_file():
            raise FileNotFoundError(f'{description}: missing; {layout}')
        self.labels, focal_length, self.depth_range = _read(description)
        self._ids = np.full(256, -1, np.int16)
        self._ids[:1 + len(self.labels)] = UNLABELLED, *range(len(self.labels))
        # Many tools write 255 for "no class" (void).
        self._ids[UNLABELLED] = UNLABELLED
        self._listings: dict[Path, dict[tuple[str, str], Path]] = {}
        self._focal_length = focal_length

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Frame:
        name = self.names[index]
        picture = self._find('rgb', name, PICTURES)
        if picture is None:
            raise DamagedSampleError(
                f'{self.root / "rgb" / name}.jpg: missing, and so is {name}.png (the text '
                'file names pictures without .jpg or .png)')
        rgb = read_colour(picture)
        depth = labels = None
        path = self._find('depth_mm', name, MAPS)
        if path is not None:
            millimetres = read_map(path, np.uint16)
            require_size(millimetres, rgb.shape[:2], path)
            depth = to_metres(millimetres)
            if 0 < millimetres.max() < 100:
                raise DamagedSampleError(f'{path}: its farthest depth is {millimetres.max()} mm; '
                                         'are these metres?')
        path = self._find('labels', name, MAPS)
        if path is not None:
            ids = read_map(path, np.uint8)
            require_size(ids, rgb.shape[:2], path)
            labels = translate(ids, self._ids, path)
        if depth is None and labels is None:
            raise DamagedSampleError(f'{self.root}: {name}.png is neither in depth_mm/ nor in '
                                     'labels/')
        return Frame(rgb, name, depth=depth, labels=labels, camera_matrix=self._camera(rgb),
                     pose=read_pose(self.root / 'poses' / f'{name}.txt'))

    def neighbours(self, index: int, step: int) -> tuple[Frame | None, Frame | None]:
        """Return the pictures whose names end in a number that is ``step`` less and more."""
        name = self.names[index]
        stem = name.rstrip('0123456789')
        digits = name[len(stem):]

        def read(number: int) -> Frame | None:
            other = f'{stem}{number:0{len(digits)}d}'
            path = self._find('rgb', other, PICTURES)
            if number < 0 or path is None:
                return None
            return Frame(read_colour(path), other,
                         pose=read_pose(self.root / 'poses' / f'{other}.txt'))

        return (read(int(digits) - step), read(int(digits) + step)) if digits else (None, None)

    def _find(self, part: str, name: str, suffixes: Sequence[str]) -> Path | None:
        """Return the file of a frame in a part of the folder, in any case of its suffix."""
        folder = (self.root / part / name).parent
        if folder not in self._listings:
            listing: dict[tuple[str, str], Path] = {}
            for path in folder.iterdir() if folder.is_dir() else ():
                if path.is_file():
                    listing[path.stem, path.suffix.lower()] = path
            self._listings[folder] = listing
        stem = Path(name).name
        return next((path for suffix in suffixes
                     if (path := self._listings[folder].get((stem, suffix)))), None)

    def _camera(self, rgb: np.ndarray) -> np.ndarray | None:
        if self._focal_length is None:
            return None
        height, width = rgb.shape[:2]
        x, y = self._focal_length
        return np.array(((x, 0., width / 2), (0., y, height / 2), (0., 0., 1.)))


def _read(path: Path) -> tuple[LabelSet, tuple[float, float] | None, tuple[float, float] | None]:
    """Return label set, focal length and depth range; ValueError that names the faulty entry."""
    try:
        content = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise ValueError(f'{path}: not json: {error}') from error
    known = {'classes', 'focal_length', 'depth_range'}
    if not isinstance(content, dict) or set(content) - known or 'classes' not in content:
        raise ValueError(f'{path}: expected an object with classes and, if they are known, '
                         'focal_length and depth_range')
    names = content['classes']
    if names != NYU40.name and not (isinstance(names, list) and all(
            isinstance(name, str) and name for name in names)):
        raise ValueError(f'{path}: classes are a list of names, or "{NYU40.name}"')
    try:
        labels = NYU40 if names == NYU40.name else custom(names)
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error
    return labels, *(_pair(path, content, key) for key in ('focal_length', 'depth_range'))


def _pair(path: Path, content: dict, key: str) -> tuple[float, float] | None:
    value = content.get(key)
    if value is None:
        return None
    numbers = isinstance(value, list) and len(value) == 2 and all(
        isinstance(part, (int, float)) and not isinstance(part, bool) and part > 0
        for part in value)
    if not numbers or key == 'depth_range' and not value[0] < value[1]:
        raise ValueError(f'{path}: {key} cannot be {value!r}: expected two positive numbers'
                         + (', the smaller one first' if key == 'depth_range' else ''))
    return float(value[0]), float(value[1])
