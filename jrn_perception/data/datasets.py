# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Data sets by name, and what happens to their damaged samples.

A reader is a ``Sequence[Frame]`` with an attribute ``labels``, the ``LabelSet`` of its frames or
None, and maybe ``depth_range``, the metres that its depth camera measures. It raises
``DamagedSampleError`` on access to a sample that is missing or damaged, and never yields a frame
that is not as its owner made it; ``Tolerant`` decides whether that ends the work.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
import importlib
import logging
from pathlib import Path
import textwrap

import cv2
from jrn_perception.data.frame import Frame
from jrn_perception.data.image_encodings import is_cut_off
from jrn_perception.labels import LabelSet
import numpy as np

_log = logging.getLogger(__name__)
_NAMED = 10


class DamagedSampleError(ValueError):
    """A file of a data set that is missing or unreadable; the message names it."""


def read_colour(path: Path) -> np.ndarray:
    """
    Return the picture at ``path`` as RGB, uint8 (H, W, 3); DamagedSampleError.

    An EXIF orientation is ignored: depth and labels lie on the pixels as they are stored. Damage
    inside a JPEG that its decoder conceals is not seen.
    """
    return cv2.cvtColor(_decode(path, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION),
                        cv2.COLOR_BGR2RGB)


def read_map(path: Path, *dtypes: type) -> np.ndarray:
    """Return the picture at ``path``, (H, W) of one of ``dtypes``; DamagedSampleError."""
    picture = _decode(path, cv2.IMREAD_UNCHANGED)
    if picture.ndim != 2 or picture.dtype not in dtypes:
        wanted = ' or '.join(np.dtype(d).name for d in dtypes)
        raise DamagedSampleError(f'{path}: is {picture.dtype} {picture.shape}, '
                                 f'where one channel of {wanted} belongs')
    return picture


def _decode(path: Path, flags: int) -> np.ndarray:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise DamagedSampleError(f'{path}: missing') from None
    except OSError as error:
        raise DamagedSampleError(f'{path}: {error.strerror}') from error
    # OpenCV 4 returns what there is of a picture that was cut off, and paints the rest in grey.
    if is_cut_off(data):
        raise DamagedSampleError(f'{path}: cut off after {len(data)} bytes')
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    except cv2.error:
        picture = None
    if picture is None:
        raise DamagedSampleError(f'{path}: not a picture that OpenCV can decode '
                                 f'({len(data)} bytes)')
    return picture


def listed(path: Path, hint: str) -> list[str]:
    """
    Return the names in the text file of a split.

    FileNotFoundError that ends with ``hint`` if it is not there, ValueError if it names nothing.
    """
    if not path.is_file():
        raise FileNotFoundError(f'{path}: no such split; {hint}')
    names = path.read_text().split()
    if not names:
        raise ValueError(f'{path}: names no frames')
    return names


def to_metres(millimetres: np.ndarray) -> np.ndarray:
    """Return float32 metres for whole millimetres, NaN for 0, which is "none"."""
    metres = millimetres.astype(np.float32) / 1000
    metres[millimetres == 0] = np.nan
    return metres


def require_size(array: np.ndarray, size: tuple[int, int], path: Path) -> None:
    """Raise DamagedSampleError if ``array`` is not (H, W, ...) of ``size``, its picture's."""
    if array.shape[:2] != tuple(size):
        raise DamagedSampleError(f'{path}: is {array.shape[1]}x{array.shape[0]}, '
                                 f'its picture is {size[1]}x{size[0]}')


def translate(ids: np.ndarray, table: np.ndarray, path: Path | str) -> np.ndarray:
    """
    Return class ids, uint8, for the ids of a data set.

    ``table`` is int16, index = the data set's id, value = class id or 255; -1 = no such id, which
    in ``ids`` is damage, as is one beyond the table (DamagedSampleError naming ``path``).
    """
    classes = table.take(ids, mode='clip')
    wrong = (ids >= len(table)) | (classes < 0)
    if wrong.any():
        raise DamagedSampleError(f'{path}: {np.count_nonzero(wrong)} pixels with ids that the '
                                 f'data set does not have, {ids[wrong][0]} among them')
    return classes.astype(np.uint8)


class Selection(Sequence):
    """The samples of a data set at ``indices``, in that order."""

    def __init__(self, frames: Sequence[Frame], indices: Iterable[int]):
        self.frames = frames
        self.indices = tuple(indices)
        self.labels: LabelSet | None = frames.labels
        self.depth_range: tuple[float, float] | None = getattr(frames, 'depth_range', None)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Frame:
        return self.frames[self.indices[index]]


# Frames that are held out, or not, together: as many as long scenes of NYU-Depth v2 have.
RUN = 20


def held_out(frames: Sequence[Frame], part: int, parts: int) -> tuple[Selection, Selection]:
    """
    Return the frames without part ``part`` of ``parts`` (from 1), and that part.

    Runs of neighbours, which in most data sets show the same scene, are dealt out in turn: what
    was trained on the others has not seen this part's scenes, but for those that a border cuts,
    and has seen scenes of all kinds where the data set is sorted by kind.
    """
    if not 1 <= part <= parts:
        raise ValueError(f'part {part}/{parts}: a number from 1/{parts} to {parts}/{parts}')
    run = min(RUN, -(-len(frames) // parts))
    held = [index // run % parts == part - 1 for index in range(len(frames))]
    return tuple(Selection(frames, [index for index, out in enumerate(held) if out == wanted])
                 for wanted in (False, True))


class Tolerant:
    """
    The frames of a data set, one after the other, past damaged samples or up to the first.

    ``on_damage`` is ``'raise'`` or ``'skip'``. What was skipped is in ``damaged``, message by
    index, and is logged as a warning when an iteration ends. If nothing is left, iterating raises
    DamagedSampleError all the same: no measure follows from no frames. ``len`` counts all samples.
    """

    def __init__(self, frames: Sequence[Frame], on_damage: str = 'raise'):
        if on_damage not in ('raise', 'skip'):
            raise ValueError(f"on_damage is 'raise' or 'skip', not {on_damage!r}")
        self.frames = frames
        self.on_damage = on_damage
        self.labels: LabelSet | None = frames.labels
        self.damaged: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self.frames)

    def __iter__(self) -> Iterator[Frame]:
        self.damaged.clear()
        try:
            for index in range(len(self.frames)):
                try:
                    frame = self.frames[index]
                except DamagedSampleError as error:
                    if self.on_damage == 'raise':
                        raise
                    self.damaged[index] = str(error)
                else:
                    yield frame
        finally:
            if self.damaged:
                _log.warning(self.report())
        if self.damaged and len(self.damaged) == len(self.frames):
            raise DamagedSampleError(self.report())

    def report(self) -> str:
        """Return how many samples were skipped, and the first of them by name."""
        text = f'{len(self.damaged)} of {len(self.frames)} samples damaged and left out'
        named = list(self.damaged.values())[:_NAMED]
        if len(named) < len(self.damaged):
            named.append(f'and {len(self.damaged) - len(named)} more')
        return '\n  '.join([text + ':' * bool(named), *named])

    def selection(self) -> Selection:
        """Return the sound samples for access in any order, having read every one once."""
        for _ in self:
            pass
        return Selection(self.frames, [i for i in range(len(self)) if i not in self.damaged])


@dataclass(frozen=True)
class Reader:
    """
    How a data set is opened: ``module`` of this package and the class ``reader`` in it.

    ``layout`` and ``splits`` tell a user what belongs where; a data set without splits has ''.
    """

    module: str
    reader: str
    layout: str
    splits: str = ''
    options: Mapping[str, object] = field(default_factory=dict)


READERS = {
    'folder': Reader(
        'folder', 'Folder', 'rgb/NAME.jpg or .png, depth_mm/NAME.png, labels/NAME.png, '
        'dataset.json (classes, focal_length, depth_range), <split>.txt',
        'the text files in the folder; val if none is given'),
    'nyuv2': Reader(
        'nyuv2', 'NYUv2', 'rgb/NNNN.jpg, depth_mm/NNNN.png, label40/NNNN.png, <split>.txt',
        'the text files in the folder; val if none is given'),
    'nyuv2_depth_only': Reader(
        'nyuv2', 'NYUv2DepthOnly', '<scene>/N.jpg, <scene>/N.png (uint8, 255 = 10 m)'),
    'nyuv2_mat': Reader(
        'nyuv2_mat', 'NYUv2Mat', 'nyu_depth_v2_labeled.mat, or the folder it is in',
        'train, test, fit, val, all; test if none is given'),
    'kitti_depth': Reader(
        'kitti', 'KITTIDepth', '<split>/<drive>/proj_depth/groundtruth/image_02/N.png and the raw '
        'data, <date>/<drive>/image_02/data/N.png', 'train, val; val if none is given'),
    'kitti_semantics': Reader(
        'kitti', 'KITTISemantics', 'training/image_2/N_10.png, training/semantic/N_10.png'),
    'cityscapes': Reader(
        'cityscapes', 'Cityscapes', 'leftImg8bit/, gtFine/, disparity/ and camera/, each with '
        '<split>/<city>/', 'train, val, test, train_extra; val if none is given'),
    'scannet': Reader(
        'scannet', 'ScanNet', 'scans/<scene>/ with color/, depth/, label-filt/ and intrinsic/; '
        'scannetv2-labels.combined.tsv', 'scannetv2_<split>.txt; all scenes if none is given'),
    'scannet20': Reader(
        'scannet', 'ScanNet', 'as scannet, labels in the 20 classes of its benchmark',
        'as scannet', {'labels': 'scannet20'}),
}


def layouts(names: Iterable[str] = tuple(READERS)) -> str:
    """Return what each data set looks like on disk, for a command's help."""
    lines = ['how data sets are laid out:']
    for name in names:
        entry = READERS[name]
        text = entry.layout + (f' (splits: {entry.splits})' if entry.splits else '')
        lines += textwrap.wrap(text, 78, initial_indent=f'  {name:18}', subsequent_indent=' ' * 20)
    return '\n'.join(lines)


def open_to_train(name: str, root: str | Path, split: str | None) -> Sequence[Frame]:
    """Return what ``open_dataset`` does; ValueError for the default split: it is to measure on."""
    if name in READERS and READERS[name].splits and split is None:
        raise ValueError(f'{root}: name the split to learn from; {name} has '
                         f'{READERS[name].splits.partition(";")[0]}')
    return open_dataset(name, root, split)


def open_dataset(name: str, root: str | Path, split: str | None = None) -> Sequence[Frame]:
    """
    Return the reader called ``name`` in ``READERS`` on the data set in ``root``.

    Raises ValueError for an unknown name or a split where there are none, FileNotFoundError if
    ``root`` is not laid out that way, ModuleNotFoundError if an extra is to be installed.
    """
    if name not in READERS:
        raise ValueError(f'no reader for data set {name!r}; there are {", ".join(READERS)}')
    entry = READERS[name]
    arguments = dict(entry.options)
    if split is not None:
        if not entry.splits:
            raise ValueError(f'data set {name} has no splits, so there is no {split!r}')
        arguments['split'] = split
    try:
        module = importlib.import_module(f'jrn_perception.data.{entry.module}')
        return getattr(module, entry.reader)(root, **arguments)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f'data set {name} needs the Python package {error.name}: '
            "pip install '.[evaluate]'", name=error.name) from error
