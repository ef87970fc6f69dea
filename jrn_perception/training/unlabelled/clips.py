# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Frames without labels, and the pictures before and after them, for training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from jrn_perception.datasets.subsets import neighbours_of
from jrn_perception.frame import Frame
from jrn_perception.labels import LabelSet
from jrn_perception.sources.opening import open_source
from jrn_perception.sources.source import resize_frame
from jrn_perception.training.recipes import Settings, SymbiosisRecipe
from jrn_perception.training.views import Augmentation, picture_of, Views, Window
import numpy as np
import torch
from torch.utils.data import ConcatDataset, Dataset

WHOLE = (slice(None), slice(None))


class Unlabelled(Sequence):
    """
    The frames of a data set without their labels; depth, camera and neighbours stay.

    ``region`` (rows, columns) is the part of a frame whose depth can be trusted.
    """

    labels: LabelSet | None = None

    def __init__(self, frames: Sequence[Frame], region: tuple[slice, slice] = WHOLE):
        self.frames, self.region = frames, region

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> Frame:
        return replace(self.frames[index], labels=None)

    def neighbours(self, index: int, step: int) -> tuple[Frame | None, Frame | None]:
        """Return the pictures ``step`` frames before and after, if the data set has them."""
        return neighbours_of(self.frames, index, step)


class Clip(Sequence):
    """
    The pictures of a video, a recording or a folder, in the order of time, kept in memory.

    They are as large as the network's input, ``size`` (height, width) or another aspect of the
    same area. Raises ValueError for a source without an end, with fewer than three pictures or,
    because neighbours are compared through it, without a calibrated camera.
    """

    labels: LabelSet | None = None
    region = WHOLE

    def __init__(self, name: str, size: tuple[int, int]):
        source = open_source(name)
        if source.endless:
            raise ValueError(f'--video {name}: has no end')
        self._frames = []
        for frame in source:
            if frame.camera_matrix is None:
                raise ValueError(f'--video {name}: {frame.name} has no calibrated camera; a '
                                 'recording with camera_info has one')
            height, width = frame.rgb.shape[:2]
            scale = (size[0] * size[1] / (height * width)) ** 0.5
            self._frames.append(resize_frame(frame, round(height * scale), round(width * scale)))
        if len(self._frames) < 3:
            raise ValueError(f'--video {name}: {len(self._frames)} pictures; at least 3')

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int) -> Frame:
        return self._frames[index]

    def neighbours(self, index: int, step: int) -> tuple[Frame | None, Frame | None]:
        """Return the pictures ``step`` frames before and after."""
        found = [self._frames[place] if 0 <= place < len(self) else None
                 for place in (index - step, index + step)]
        return found[0], found[1]


class VideoViews(Views):
    """
    Views of frames and of the pictures ``step`` frames before and after, through one window.

    Beside the entries of ``Views`` a sample has: ``neighbours`` (2, 3, h, w) uint8 RGB; ``known``
    (2,), whether the frame has a camera and this neighbour; ``projection`` (3, 3), from the
    view's camera coordinates to its pixels, counted from the upper left corner; ``transforms``
    (2, 4, 4), from the camera's coordinates at the frame to those at each neighbour, NaN if a
    pose is unknown. Lengths are those of the view's depth (see ``Views``). A mirrored view is the
    picture of a mirrored world. The augmentation must not turn.
    """

    def __init__(self, *arguments: Any, step: int = 1, **keywords: Any):
        super().__init__(*arguments, **keywords)
        self.step = step

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        frame = self.frame(index)
        window = self.window(frame)
        found = neighbours_of(self.frames, index, self.step)
        if frame.camera_matrix is None:
            found = None, None
        images = np.zeros((2, 3, *window.size), np.uint8)
        transforms = np.full((2, 4, 4), np.nan, np.float32)
        mirror = np.diag((-1. if window.flip else 1., 1., 1., 1.))
        for place, other in enumerate(found):
            if other is None:
                continue
            image = picture_of(other.rgb, window.matrix, window.size)
            images[place] = (image[:, ::-1] if window.flip else image).transpose(2, 0, 1)
            if frame.pose is not None and other.pose is not None:
                transform = mirror @ np.linalg.inv(other.pose) @ frame.pose @ mirror
                transform[:3, 3] /= window.nearer
                transforms[place] = transform
        return {**self.sample(frame, window), 'neighbours': torch.from_numpy(images),
                'known': torch.tensor([other is not None for other in found]),
                'projection': torch.from_numpy(_projection(frame, window)).float(),
                'transforms': torch.from_numpy(transforms)}


def unlabelled_views(settings: Settings, frames: Sequence[Unlabelled],
                     recipe: SymbiosisRecipe, focal_length: tuple[float, float] | None
                     ) -> Dataset | None:
    """
    Return the views of all unlabelled ``frames`` and of the videos of ``settings``.

    None if there are none or the recipe learns nothing from them. Raises ValueError for settings
    without effect.
    """
    if not (recipe.consistency_weight or recipe.unlabelled_depth or recipe.video_weight):
        if settings.unlabelled or settings.video:
            raise ValueError('--unlabelled and --video have no use: the weights consistency_weight'
                             ', unlabelled_depth and video_weight are 0')
        return None
    if recipe.video_weight and recipe.rotation:
        raise ValueError('--rotation: the views of a video are not turned; --rotation 0')
    sources: list[Unlabelled | Clip] = [*frames]
    sources += [Clip(name, recipe.input_size) for name in settings.video]
    if not sources:
        return None
    kind = partial(VideoViews, step=recipe.video_step) if recipe.video_weight else Views
    augmentation = Augmentation(recipe.crop, recipe.zoom, recipe.rotation)
    return ConcatDataset([
        kind(source, recipe.input_size, augmentation, source.region, cache=False,
             focal_length=focal_length) for source in sources])


def _projection(frame: Frame, window: Window) -> np.ndarray:
    """Return the view's camera matrix for pixels from the corner; NaN without a camera."""
    if frame.camera_matrix is None:
        return np.full((3, 3), np.nan)
    matrix = frame.camera_matrix.copy()
    matrix[:2, 2] += 0.5
    matrix = np.vstack((window.matrix, (0., 0., 1.))) @ matrix
    if window.flip:
        matrix[0, 2] = window.size[1] - matrix[0, 2]
    return matrix
