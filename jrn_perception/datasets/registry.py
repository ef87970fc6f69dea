# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Data sets by name.

A reader is a ``Sequence[Frame]`` with an attribute ``labels``: the ``LabelSet`` of its frames, or
None. It may have an attribute ``depth_range``: the metres that its depth camera measures. A reader
raises ``DamagedSampleError`` on access to a missing or damaged sample, and never yields a frame
that differs from the data set's; ``subsets.Undamaged`` stops there or skips the sample.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
import importlib
from pathlib import Path
import textwrap

from jrn_perception.frame import Frame


@dataclass(frozen=True)
class Reader:
    """
    How a data set is opened: a module of this folder and the name of the class in it.

    ``layout`` and ``splits`` describe the files for a user; ``splits`` is '' if the data set has
    none. ``options`` are further arguments of the class.
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
        'nyuv2_mat', 'NYUv2Mat', 'nyu_depth_v2_labeled.mat, or its folder',
        'train, test, fit, val, all; test if none is given'),
    'nyuv2_raw': Reader(
        'nyuv2_raw', 'NYUv2Raw', '<scene>/r-*.ppm, d-*.pgm and INDEX.txt; lists of scenes, '
        'NAME.txt', 'all, NAME (its scenes), not-NAME (all other scenes), each with /N for every '
        'N-th picture; all if none is given'),
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
        'scannet', 'ScanNet', "as scannet, with labels in the 20 classes of ScanNet's benchmark",
        'as scannet', {'labels': 'scannet20'}),
    'sunrgbd': Reader(
        'sunrgbd', 'SUNRGBD', 'SUNRGBD/<camera>/.../ with image/, depth_bfx/ and intrinsics.txt; '
        'SUNRGBDtoolbox/', 'train, test, all, without the frames of NYU-Depth v2; train+nyu, '
        'test+nyu, all+nyu, with them; test if none is given'),
    'sunrgbd37': Reader(
        'sunrgbd', 'SUNRGBD', "as sunrgbd, with labels in the 37 classes of SUN RGB-D's benchmark",
        'as sunrgbd', {'labels': 'sunrgbd37'}),
    'ade20k': Reader(
        'ade20k', 'ADE20K', 'ADEChallengeData2016: images/<part>/N.jpg, annotations/<part>/N.png, '
        'sceneCategories.txt', 'training, validation, training-indoor, validation-indoor; '
        'validation if none is given'),
}


@dataclass(frozen=True)
class NamedFrames:
    """Frames of a data set, as ``text`` READER=FOLDER[@SPLIT] of an option names them."""

    text: str
    reader: str
    folder: str
    split: str

    @classmethod
    def parse(cls, text: str, option: str = '--extra') -> NamedFrames:
        """Return the frames of a text; ValueError for an unknown reader."""
        reader, found, rest = text.partition('=')
        folder, _, split = rest.partition('@')
        if not found or reader not in READERS:
            raise ValueError(f'{option} {text}: expected READER=FOLDER[@SPLIT], READER one of '
                             f'{", ".join(READERS)}')
        return cls(text, reader, folder, split)

    @property
    def fact(self) -> str:
        """Return the text for a card: with the split, and the folder's name but not its path."""
        return f'{self.reader}={Path(self.folder).resolve().name}@{self.split or "all"}'

    def open(self) -> Sequence[Frame]:  # noqa: A003
        """Return the frames; the errors of ``open_dataset``."""
        return open_dataset(self.reader, self.folder, self.split or None)


def layouts(names: Iterable[str] = tuple(READERS)) -> str:
    """Return the layout of each data set on disk, for the help of a command."""
    lines = ['how data sets are laid out:']
    for name in names:
        entry = READERS[name]
        text = entry.layout + (f' (splits: {entry.splits})' if entry.splits else '')
        lines += textwrap.wrap(text, 78, initial_indent=f'  {name:18}', subsequent_indent=' ' * 20)
    return '\n'.join(lines)


def open_to_train(name: str, root: str | Path, split: str | None) -> Sequence[Frame]:
    """Open a data set for training; ValueError without a split: the default is to measure on."""
    if name in READERS and READERS[name].splits and split is None:
        raise ValueError(f'{root}: name the split to learn from; {name} has '
                         f'{READERS[name].splits.partition(";")[0]}')
    return open_dataset(name, root, split)


def open_dataset(name: str, root: str | Path, split: str | None = None) -> Sequence[Frame]:
    """
    Return the reader called ``name`` in ``READERS`` for the data set in ``root``.

    Raises ValueError for an unknown name and for a split of a data set without splits,
    FileNotFoundError if ``root`` does not have the reader's layout, ModuleNotFoundError if an
    extra is not installed.
    """
    if name not in READERS:
        raise ValueError(f'no reader for data set {name!r}; choose from {", ".join(READERS)}')
    entry = READERS[name]
    arguments = dict(entry.options)
    if split is not None:
        if not entry.splits:
            raise ValueError(f'data set {name} has no splits, so there is no {split!r}')
        arguments['split'] = split
    try:
        module = importlib.import_module(f'jrn_perception.datasets.{entry.module}')
        return getattr(module, entry.reader)(root, **arguments)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f'data set {name} needs the Python package {error.name}: '
            "pip install '.[evaluate]'", name=error.name) from error
