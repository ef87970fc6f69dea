# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""NYU-Depth v2 (Silberman et al., ECCV 2012) from its file ``nyu_depth_v2_labeled.mat``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import resources
import json
from pathlib import Path

from jrn_perception.datasets.decoding import DamagedSampleError, translate
from jrn_perception.datasets.nyuv2 import CAMERA_MATRIX
from jrn_perception.frame import Frame
from jrn_perception.labels import NYU40, UNLABELLED
import numpy as np

FILE_NAME = 'nyu_depth_v2_labeled.mat'
COUNT = 1449
# The official training split, numbered from 1 as in MATLAB (trainNdxs of the data set's
# splits.mat); the other 654 frames are the test split.
_TRAIN = (
    '3-8 10-13 19-20 22-27 44-45 48-55 58 64-75 80-83 92-116 120-124 130 135-136 138-152 156-166 '
    '170 177-179 203-206 213-219 223-249 251-263 265-270 274-278 286-295 303-309 313-314 318-324 '
    '336-350 353-354 365-383 391-394 398-410 415-429 436-440 449-461 467-468 478-507 514 527-530 '
    '534-536 540-548 552-554 572-578 584-590 595-602 608-611 614-616 622-632 639-643 646-649 '
    '652-655 659-662 665-667 674-675 682-685 691-692 695-696 700-705 714-716 719-723 729-730 '
    '735-742 745-758 788-799 805-809 815-820 824-832 847-849 853-856 863-868 872-905 909-916 '
    '920-925 929-931 936-944 948-958 963-964 968-969 978-990 996-1000 1005-1009 1013-1020 '
    '1024-1031 1035-1037 1040-1047 1050-1051 1054-1056 1059-1074 1085-1087 1097 1105 1110-1116 '
    '1120-1122 1132-1134 1137-1143 1159-1161 1168-1169 1172-1173 1177-1178 1185-1191 1197-1200 '
    '1213-1215 1221-1225 1231-1232 1236-1246 1251-1253 1266-1274 1281-1284 1296 1300-1301 '
    '1309-1313 1316-1328 1333-1334 1341-1346 1350-1352 1357-1363 1366-1367 1370-1383 1392-1393 '
    '1402-1406 1415-1420 1425-1429 1434-1440')
# The frames of the training split that this project does not train on but tunes on: whole runs,
# that is whole scenes.
_VAL = (
    '3-8 10-13 22-27 177-179 313-314 449-461 467-468 608-611 659-662 695-696 729-730 735-742 '
    '745-758 968-969 996-1000 1059-1074 1172-1173 1197-1200 1221-1225 1296 1300-1301 1392-1393 '
    '1434-1440')
# Shapes of the file's arrays in HDF5. MATLAB stores the first axis contiguously, so HDF5 has the
# axes in reverse: MATLAB's height x width x 3 x 1449 is (1449, 3, width, height).
_SHAPES = {'images': (COUNT, 3, 640, 480), 'depths': (COUNT, 640, 480),
           'labels': (COUNT, 640, 480)}


def split_numbers(split: str) -> tuple[int, ...]:
    """Return the frame numbers, from 1, of train, test or all, or of this project's fit or val."""
    train, val = (
        {n for run in text.split()
         for n in range(int(run.split('-')[0]), int(run.split('-')[-1]) + 1)}
        for text in (_TRAIN, _VAL))
    every = set(range(1, COUNT + 1))
    splits = {'train': train, 'test': every - train, 'val': val, 'fit': train - val, 'all': every}
    if split not in splits:
        raise ValueError(f'no split {split!r}; there are {", ".join(splits)}')
    return tuple(sorted(splits[split]))


@cache
def class_map() -> dict[str, int]:
    """
    Return the NYU40 id of each of the 894 names, in the order of the file's labels 1..894.

    Source: Gupta et al., CVPR 2013, mapClass of classMapping40.mat, which counts from 1.
    """
    text = (resources.files('jrn_perception.datasets') / 'nyuv2_classes.json').read_text('utf-8')
    return {name: number - 1 for name, number in json.loads(text)['nyu40'].items()}


def scene_names(root: str | Path, *splits: str) -> list[str]:
    """
    Return the scenes of the frames of ``splits``, sorted: their folders in the raw recordings.

    ``root`` is the file or its folder. Raises FileNotFoundError if it does not exist, ValueError
    for an unknown split or if the file differs from the official file.
    """
    frames = NYUv2Mat(root)
    numbers = {number for split in splits for number in split_numbers(split)}
    found = set()
    with frames._open() as file:
        # A frame's scene, and the folder of its raw depth: <scene>/d-<seconds>-<ticks>.pgm.
        for key in ('scenes', 'rawDepthFilenames'):
            texts = _texts(file, key)
            if len(texts) != COUNT:
                raise ValueError(f'{frames.path}: {key} has {len(texts)} entries, where the '
                                 f'official file has {COUNT}')
            found |= {texts[number - 1].partition('/')[0] for number in numbers}
    return sorted(found)


def _texts(file, key: str) -> list[str]:
    """Return the texts in a cell array of an open file; none if it does not exist."""
    cells = file[key][()].ravel() if key in file else ()
    return [file[cell][()].tobytes().decode('utf-16-le') for cell in cells]


class NYUv2Mat(Sequence):
    """
    The labelled frames of one split: rgb 640x480, in-painted depth, labels in ``NYU40``.

    ``root`` is the file (MATLAB 7.3, that is HDF5) or its folder; ``split`` is a split of
    ``split_numbers``. The file is opened for each frame, so that worker processes may share the
    reader. Raises FileNotFoundError if the file does not exist, ValueError if it differs from the
    official file or is cut off, DamagedSampleError on access to a damaged frame.
    """

    labels = NYU40

    def __init__(self, root: str | Path, split: str = 'test'):
        self.path = Path(root) / FILE_NAME if Path(root).is_dir() else Path(root)
        if not self.path.is_file():
            raise FileNotFoundError(f'{self.path}: missing')
        self.numbers = split_numbers(split)
        try:
            with self._open() as file:
                self._check(file)
        except OSError as error:
            raise ValueError(f'{self.path}: not a whole HDF5 file ({error})') from error
        self._table = np.array((UNLABELLED, *class_map().values()), np.int16)

    def _open(self):
        # Only this reader needs h5py, which is installed by extras.
        import h5py
        return h5py.File(self.path, 'r')

    def _check(self, file) -> None:
        for name, shape in _SHAPES.items():
            found = file[name].shape if name in file else 'missing'
            if found != shape:
                raise ValueError(f'{self.path}: {name} is {found}, where the official file has '
                                 f'{shape}')
        names = _texts(file, 'names')
        expected = list(class_map())
        if names != expected:
            first = next((pair for pair in zip(names, expected) if pair[0] != pair[1]),
                         (f'{len(names)} names', f'{len(expected)} names'))
            raise ValueError(f'{self.path}: names holds {first[0]!r} where the official file has '
                             f'{first[1]!r}, so the map to 40 classes does not fit')

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int) -> Frame:
        number = self.numbers[index]
        where = f'{self.path}: frame {number}'
        try:
            with self._open() as file:
                rgb, depth, labels = (file[name][number - 1].T for name in _SHAPES)
        except OSError as error:
            raise DamagedSampleError(f'{where}: {error}') from error
        metres = np.ascontiguousarray(depth, np.float32)
        metres[~(np.isfinite(metres) & (metres > 0))] = np.nan
        return Frame(np.ascontiguousarray(rgb), f'{number:04d}', depth=metres,
                     labels=translate(np.ascontiguousarray(labels), self._table, where),
                     camera_matrix=CAMERA_MATRIX)
