# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Hard knowledge distillation for asymmetric annotations.

Nekrasov et al., ICRA 2019, Sec. III-B: a teacher gives frames the annotation that they lack, once
and offline, as hard labels and metres; the student then trains on these frames as on any others.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
import json
from pathlib import Path
from typing import Any

import cv2
from jrn_perception.datasets.folder import DESCRIPTION
from jrn_perception.frame import Frame
from jrn_perception.labels import CUSTOM, LabelSet, NYU40, UNLABELLED
from jrn_perception.perception import Perception
from jrn_perception.perception.stream import stream
import numpy as np

PROVENANCE = 'provenance.json'
SPLIT = 'all'
PARTS = ('rgb', 'depth_mm', 'labels')


@dataclass(frozen=True)
class Distilled:
    """The number of written frames, and the share of pixels that the teacher was sure of."""

    frames: int
    labelled_by_teacher: int
    measured_by_teacher: int
    share_labelled: float


@dataclass(frozen=True)
class Annotations:
    """
    Frames that were written: ``origin`` by name, and their camera's ``focal_length`` (x, y).

    ``shares`` are the shares of pixels that the teacher labelled, of the frames that it labelled.
    """

    origin: dict[str, Any]
    shares: list[float]
    focal_length: tuple[float, float] | None


def distil(teacher: Perception, frames: Iterable[Frame], folder: Path, threshold: float,
           labels: LabelSet | None = None,
           depth_range: tuple[float, float] | None = None) -> Distilled:
    """
    Write ``frames`` to ``folder``, with missing annotations from ``teacher``.

    The layout is the layout of ``datasets.folder.Folder`` with the split ``all``;
    ``provenance.json`` records the teacher, the threshold and the annotations it gave. A pixel
    stays unlabelled where the teacher's confidence is below ``threshold`` (0..1), and without
    depth outside the teacher's ``depth_range``. Annotations that a frame has are never touched;
    ``labels`` is their label set, ``depth_range`` (metres) goes into the new folder's description.
    Raises ValueError if the label sets of frames and teacher differ or are neither NYU40 nor the
    user's own, if the teacher cannot give a missing annotation, if the frames are not of one
    camera, or if ``folder`` holds frames already.
    """
    classes = check(teacher, labels, threshold)
    if (folder / f'{SPLIT}.txt').exists():
        raise ValueError(f'{folder}: holds distilled frames already; choose another folder')
    found = annotate(teacher, frames, folder, threshold)
    result = total([found])
    describe(folder, classes, found.focal_length, depth_range)
    write_provenance(folder, describe_teacher(teacher), threshold, result, found.origin)
    # Last, because its presence says that the folder is complete.
    write_split(folder, SPLIT, found.origin)
    return result


def check(teacher: Perception, labels: LabelSet | None, threshold: float) -> LabelSet | None:
    """Return the label set of the new frames; ValueError as ``distil``."""
    classes = labels or teacher.label_set
    if teacher.label_set not in (None, classes):
        raise ValueError(f'the teacher labels {teacher.label_set.name}, the frames are labelled '
                         f'in {classes.name}')
    if classes and classes.name not in (NYU40.name, CUSTOM):
        raise ValueError(f"labels are {NYU40.name} or classes of one's own, not {classes.name}")
    if not 0 <= threshold <= 1:
        raise ValueError(f'threshold {threshold}: a confidence between 0 and 1')
    return classes


def annotate(teacher: Perception, frames: Iterable[Frame], folder: Path, threshold: float,
             prefix: str = '') -> Annotations:
    """Write the pictures and maps of ``frames``; the name of a frame begins with ``prefix``."""
    for part in PARTS:
        (folder / part / prefix).mkdir(parents=True, exist_ok=True)
    origin: dict[str, Any] = {}
    shares: list[float] = []
    camera: Frame | None = None
    for index, step in enumerate(stream(teacher, frames, lambda frame: frame,
                                        has_picture=_missing)):
        frame, prediction, name = step.item, step.prediction, f'{prefix}{index:06d}'
        missing = _missing(frame)
        depth, ids = frame.depth, frame.labels
        camera = camera or frame
        if frame.focal_length != camera.focal_length:
            raise ValueError(f'frame {frame.name} is of another camera than {camera.name}; a '
                             'folder holds the frames of one camera')
        if 'depth' in missing:
            depth = _require(prediction.valid_depth(), 'depth', frame)
        if 'labels' in missing:
            ids = _require(prediction.confident_labels(threshold), 'labels', frame)
            shares.append(float(np.mean(ids != UNLABELLED)))
        _write(folder, name, frame.rgb, depth, ids)
        origin[name] = {'source': frame.name, 'from_teacher': missing}
    focal_length = camera.focal_length if camera else None
    return Annotations(origin, shares, focal_length and tuple(map(float, focal_length)))


def total(parts: Sequence[Annotations]) -> Distilled:
    """Return the numbers of one or several parts of a folder."""
    origins = [origin for part in parts for origin in part.origin.values()]
    shares = [share for part in parts for share in part.shares]
    return Distilled(len(origins), len(shares),
                     sum('depth' in origin['from_teacher'] for origin in origins),
                     round(float(np.mean(shares)), 4) if shares else 0.0)


def describe(folder: Path, classes: LabelSet | None, focal_length: tuple[float, float] | None,
             depth_range: tuple[float, float] | None = None) -> None:
    """Write the folder's description, without which ``Folder`` does not open it."""
    description: dict[str, Any] = {
        'classes': NYU40.name if classes in (None, NYU40) else list(classes.names)}
    if focal_length:
        description['focal_length'] = list(focal_length)
    if depth_range:
        description['depth_range'] = list(depth_range)
    (folder / DESCRIPTION).write_text(json.dumps(description, indent=1) + '\n')


def write_provenance(folder: Path, teacher: dict[str, str], threshold: float, result: Distilled,
                     origin: dict[str, Any]) -> None:
    """Write which teacher (see ``describe_teacher``) gave which annotations."""
    (folder / PROVENANCE).write_text(json.dumps({
        'teacher': teacher, 'threshold': threshold, **asdict(result), 'origin': origin},
        indent=1) + '\n')


def describe_teacher(teacher: Perception) -> dict[str, Any]:
    """Return the entries that identify a teacher, and the licence of others' models in it."""
    card = teacher.card
    identity = {'architecture': card.architecture, 'variant': card.variant, 'sha256': card.sha256}
    return identity | ({'sources': card.sources, 'licence': card.licence} if card.sources else {})


def write_split(folder: Path, split: str, names: Iterable[str]) -> None:
    """Write the text file of a split."""
    (folder / f'{split}.txt').write_text('\n'.join(names) + '\n')


def _missing(frame: Frame) -> list[str]:
    """Return the annotations that a frame lacks: nothing else needs the teacher."""
    return [part for part in ('depth', 'labels') if getattr(frame, part) is None]


def _require(array: np.ndarray | None, name: str, frame: Frame) -> np.ndarray:
    if array is None:
        raise ValueError(f'frame {frame.name} lacks {name}, which this teacher does not predict')
    return array


def _write(folder: Path, name: str, rgb: np.ndarray, depth: np.ndarray,
           ids: np.ndarray) -> None:
    millimetres = np.nan_to_num(np.rint(depth * 1000), nan=0.).clip(0, 65535).astype(np.uint16)
    cv2.imwrite(str(folder / 'rgb' / f'{name}.jpg'), rgb[..., ::-1],
                [cv2.IMWRITE_JPEG_QUALITY, 95])
    cv2.imwrite(str(folder / 'depth_mm' / f'{name}.png'), millimetres)
    # 255, unlabelled, wraps around to 0.
    cv2.imwrite(str(folder / 'labels' / f'{name}.png'), ids + np.uint8(1))
