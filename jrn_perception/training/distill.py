# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Hard knowledge distillation for asymmetric annotations.

Nekrasov et al., ICRA 2019, Sec. III-B: a teacher gives frames the annotation that they lack, once
and offline, as hard labels and metres; the student then trains on these frames as on any others.
"""

from __future__ import annotations

from collections.abc import Iterable
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
from jrn_perception.weights import Card
import numpy as np

PROVENANCE = 'provenance.json'
SPLIT = 'all'


@dataclass(frozen=True)
class Distilled:
    """The number of written frames, and the share of pixels that the teacher was sure of."""

    frames: int
    labelled_by_teacher: int
    measured_by_teacher: int
    share_labelled: float


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
    classes = labels or teacher.label_set
    if teacher.label_set not in (None, classes):
        raise ValueError(f'the teacher labels {teacher.label_set.name}, the frames are labelled '
                         f'in {classes.name}')
    if classes and classes.name not in (NYU40.name, CUSTOM):
        raise ValueError(f"labels are {NYU40.name} or classes of one's own, not {classes.name}")
    if not 0 <= threshold <= 1:
        raise ValueError(f'threshold {threshold}: a confidence between 0 and 1')
    if (folder / f'{SPLIT}.txt').exists():
        raise ValueError(f'{folder}: holds distilled frames already; choose another folder')
    for part in ('rgb', 'depth_mm', 'labels'):
        (folder / part).mkdir(parents=True, exist_ok=True)
    names, origin, shares = [], {}, []
    camera: Frame | None = None
    for index, step in enumerate(stream(teacher, frames, lambda frame: frame,
                                        has_picture=_missing)):
        frame, prediction, name = step.item, step.prediction, f'{index:06d}'
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
            shares.append(np.mean(ids != UNLABELLED))
        _write(folder, name, frame.rgb, depth, ids)
        names.append(name)
        origin[name] = {'source': frame.name, 'from_teacher': missing}
    result = Distilled(
        len(names), len(shares), sum('depth' in o['from_teacher'] for o in origin.values()),
        round(float(np.mean(shares)), 4) if shares else 0.0)
    card = teacher.card
    (folder / PROVENANCE).write_text(json.dumps({
        'teacher': {'architecture': card.architecture, 'variant': card.variant,
                    'sha256': card.sha256, **_of_models(card)},
        'threshold': threshold, **asdict(result), 'origin': origin}, indent=1) + '\n')
    description: dict[str, Any] = {
        'classes': NYU40.name if classes in (None, NYU40) else list(classes.names)}
    if camera and camera.focal_length:
        description['focal_length'] = [float(value) for value in camera.focal_length]
    if depth_range:
        description['depth_range'] = list(depth_range)
    (folder / DESCRIPTION).write_text(json.dumps(description, indent=1) + '\n')
    # Last, because its presence says that the folder is complete.
    (folder / f'{SPLIT}.txt').write_text('\n'.join(names) + '\n')
    return result


def _of_models(card: Card) -> dict[str, Any]:
    """Return the models of somebody else in the teacher, and their licence."""
    return {'sources': card.sources, 'licence': card.licence} if card.sources else {}


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
