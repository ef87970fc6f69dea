# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""ADE20K (Zhou et al., CVPR 2017) as its scene parsing benchmark: labels alone, in NYU40."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jrn_perception.datasets.decoding import (
    read_colour,
    read_map,
    require_size,
    translate,
)
from jrn_perception.frame import Frame
from jrn_perception.labels import ADE20K150_TO_NYU40, NYU40, UNLABELLED
import numpy as np

SCENES = 'sceneCategories.txt'
PARTS = ('training', 'validation')
INDOOR = '-indoor'
# The kinds of rooms that NYU-Depth v2 shows (sceneTypes of its file), in ADE20K's words.
ROOMS = frozenset((
    'alcove', 'art_studio', 'attic', 'basement', 'bathroom', 'bedchamber', 'bedroom',
    'billiard_room', 'bookstore', 'bow_window_indoor', 'breakroom', 'cafeteria', 'childs_room',
    'classroom', 'closet', 'coffee_shop', 'computer_lab', 'computer_room', 'conference_room',
    'corridor', 'day_care_center', 'designers_office', 'dinette_home', 'dining_hall',
    'dining_room', 'dorm_room', 'dormitory', 'dressing_room', 'entrance_hall', 'game_room',
    'gym_indoor', 'hallway', 'home_office', 'home_theater', 'hospital_room', 'hotel_room',
    'kindergarden_classroom', 'kitchen', 'kitchenette', 'laundromat', 'lecture_room', 'library',
    'library_indoor', 'living_room', 'lobby', 'nursery', 'office', 'office_cubicles', 'pantry',
    'parlor', 'playroom', 'poolroom_home', 'reading_room', 'reception', 'recreation_room', 'room',
    'sewing_room', 'shower_room', 'staircase', 'storage_room', 'utility_room', 'waiting_room',
    'washroom', 'youth_hostel'))


def nyu40_table() -> np.ndarray:
    """Return the NYU40 id for each of ADE20K's ids 0..150, int16; 255 = no counterpart."""
    return np.concatenate(([UNLABELLED], ADE20K150_TO_NYU40)).astype(np.int16)


class ADE20K(Sequence):
    """
    The pictures of one split with labels in ``NYU40``, without depth; of any size.

    ``root`` is ``ADEChallengeData2016``: it holds ``images/<part>/N.jpg`` and
    ``annotations/<part>/N.png`` (uint8, 0 = other, 1..150 = the classes). ``split`` is a part,
    ``training`` or ``validation``, or ``training-indoor`` or ``validation-indoor``: the pictures
    of rooms alone (``ROOMS``) by ``sceneCategories.txt``. A class without a counterpart in NYU40
    is unlabelled.

    Raises FileNotFoundError if ``root`` lacks a file or folder, ValueError for another split or a
    damaged ``sceneCategories.txt``, DamagedSampleError on access to a damaged frame.
    """

    labels = NYU40

    def __init__(self, root: str | Path, split: str = 'validation'):
        self.root, self.part = Path(root), split.removesuffix(INDOOR)
        if self.part not in PARTS:
            raise ValueError(f'{self.root}: no split {split!r}; there are {", ".join(PARTS)}, '
                             f'and each of them with {INDOOR}')
        # Count a sample if either file exists, so that a missing companion is reported.
        self.names = sorted({path.stem for pattern in (f'images/{self.part}/*.jpg',
                                                       f'annotations/{self.part}/*.png')
                             for path in self.root.glob(pattern)})
        if not self.names or not (self.root / 'annotations' / self.part).is_dir():
            raise FileNotFoundError(f'{self.root}: should hold images/{self.part}/N.jpg and '
                                    f'annotations/{self.part}/N.png')
        if split.endswith(INDOOR):
            path = self.root / SCENES
            scenes = read_scenes(path)
            unknown = next((name for name in self.names if name not in scenes), None)
            if unknown:
                raise ValueError(f'{path}: has no line for {unknown}')
            self.names = [name for name in self.names if scenes[name] in ROOMS]
            if not self.names:
                raise FileNotFoundError(f'{self.root}: holds no pictures of rooms in {self.part}')
        self._table = nyu40_table()

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Frame:
        name = self.names[index]
        rgb = read_colour(self.root / 'images' / self.part / f'{name}.jpg')
        path = self.root / 'annotations' / self.part / f'{name}.png'
        ids = read_map(path, np.uint8)
        require_size(ids, rgb.shape[:2], path)
        return Frame(rgb, name, labels=translate(ids, self._table, path))


def read_scenes(path: Path) -> dict[str, str]:
    """
    Return the kind of scene of each picture ('ADE_val_00000001': 'bedroom').

    Raises FileNotFoundError, or ValueError that names a line without name and kind.
    """
    if not path.is_file():
        raise FileNotFoundError(f'{path}: missing; it is in ADEChallengeData2016.zip')
    scenes = {}
    for number, line in enumerate(path.read_text(errors='replace').splitlines(), 1):
        words = line.split()
        if not words:
            continue
        if len(words) != 2:
            raise ValueError(f'{path}: line {number}: expected a picture and its kind of scene, '
                             f'not {line!r}')
        scenes[words[0]] = words[1]
    return scenes
