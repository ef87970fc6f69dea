# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""From frames to training samples: random views whose depth stays metric."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import math
from typing import NamedTuple

import cv2
from jrn_perception.frame import Frame
from jrn_perception.labels import UNLABELLED
from jrn_perception.networks.interface import MEAN, STD
from jrn_perception.perception.preprocessing import focal_ratio, resize_picture
import numpy as np
import torch
from torch.utils.data import Dataset


def class_frequencies(views: Views, num_classes: int) -> torch.Tensor:
    """Return each class's share (K,) of the labelled pixels, at least 1e-5 for absent classes."""
    count = np.zeros(num_classes)
    for index in range(len(views)):
        labels = views.frame(index).labels
        if labels is not None:
            count += np.bincount(labels.ravel(), minlength=UNLABELLED + 1)[:num_classes]
    return torch.from_numpy(count / max(1, count.sum())).float().clamp(min=1e-5)


def normalise(image: torch.Tensor) -> torch.Tensor:
    """Return (B, 3, H, W) RGB in 0..1 normalised for the networks, channels last."""
    mean, std = (torch.tensor(values, device=image.device).view(3, 1, 1)
                 for values in (MEAN, STD))
    return ((image - mean) / std).contiguous(memory_format=torch.channels_last)


def typical(samples: Dataset, count: int = 8) -> torch.Tensor:
    """Return at most ``count`` images, spread evenly over ``samples``, normalised."""
    chosen = np.linspace(0, len(samples) - 1, min(count, len(samples))).round().astype(int)
    images = torch.stack([samples[int(index)]['image'] for index in chosen])
    return normalise(images.float() / 255)


@dataclass(frozen=True)
class Augmentation:
    """
    How random views differ from their frame.

    A frame is zoomed by a random factor from ``zoom`` and turned by up to ``rotation`` degrees
    either way; the view is a random window of it with (height, width) ``crop``, flipped half of
    the time.
    """

    crop: tuple[int, int]
    zoom: tuple[float, float] = (0.8, 1.6)
    rotation: float = 0.


class Window(NamedTuple):
    """
    A window on a frame.

    ``matrix`` (2, 3) maps a frame's pixels to the window's, both from the upper left corner. The
    window has (height, width) ``size``. Depth is divided by ``nearer``. With ``flip`` the window
    is then mirrored.
    """

    matrix: np.ndarray
    size: tuple[int, int]
    nearer: float
    flip: bool


class Views(Dataset):
    """
    Samples of a data set at the scale of the network's input.

    A sample is a dict of ``image`` (3, h, w) uint8 RGB, ``depth`` (h, w) float32 metres with NaN =
    not annotated, ``labels`` (h, w) int64 with 255 = not annotated. If a frame lacks depth or
    labels, no pixel of the sample has them; so frames with depth, labels and both mix.

    ``size`` is the network's input (height, width) at inference. Without ``augmentation`` the
    sample is the whole frame, resized to ``size``; with augmentation the frame is first resized to
    as many pixels as ``size``. At zoom z objects look z times nearer, so depth is divided by z
    (Nekrasov's and Eigen's convention). Depth is also divided by the ratio of the camera's focal
    length to ``focal_length`` (x, y), in pixels at ``size``, if both are known; inference
    multiplies by this ratio. ``region`` (rows, columns) is the part of a frame whose depth can be
    trusted. With ``cache`` each frame is read only once.

    A sample's ``centre`` (2,) is the camera's principal point (x, y), in pixels from the view's
    upper left corner; of an unknown camera the frame's centre.
    """

    def __init__(self, frames: Sequence[Frame], size: tuple[int, int],
                 augmentation: Augmentation | None = None,
                 region: tuple[slice, slice] = (slice(None), slice(None)), cache: bool = True,
                 focal_length: tuple[float, float] | None = None):
        self.frames, self.size, self.augmentation = frames, size, augmentation
        self.region, self.focal_length = region, focal_length
        self._cache: dict[int, Frame] | None = {} if cache else None

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        frame = self.frame(index)
        return self.sample(frame, self.window(frame))

    def window(self, frame: Frame) -> Window:
        """Return the window on a frame that a sample shows: a random one with augmentation."""
        height, width = frame.rgb.shape[:2]
        scale = np.array((self.size[1] / width, self.size[0] / height))
        random = self.augmentation
        if random is None:
            return Window(np.diag((*scale, 1.))[:2], self.size, self._nearer(frame, scale),
                          flip=False)
        # One factor for both axes, so that frames of another aspect are not distorted.
        scale = np.full(2, math.sqrt(scale[0] * scale[1]))
        # Lightning seeds torch's generator per worker and epoch.
        draw = torch.rand(6).tolist()
        low, high = (math.log(z) for z in random.zoom)
        zoom = math.exp(low + draw[0] * (high - low))
        aspect = math.exp((draw[4] - 0.5) * 0.2)
        nearer = zoom * self._nearer(frame, scale)
        scale = scale * zoom * np.array((aspect ** 0.5, aspect ** -0.5))
        # Scale and offset are rounded to whole pixels: an upright view is resized as at inference.
        scale = (scale * (width, height)).round() / (width, height)
        # A zoomed frame that is smaller than the window lies anywhere inside the window; otherwise
        # the window lies anywhere inside the frame.
        slack = np.array(random.crop[::-1]) - scale * (width, height)
        offset = (slack * draw[1:3]).round()
        angle = math.radians((2 * draw[5] - 1) * random.rotation)
        turned = np.diag(scale) @ np.array(((math.cos(angle), -math.sin(angle)),
                                            (math.sin(angle), math.cos(angle))))
        # Turn about the frame's centre, which does not move.
        centre = np.array((width, height)) / 2
        matrix = np.column_stack((turned, offset + scale * centre - turned @ centre))
        return Window(matrix, random.crop, nearer, flip=draw[3] < 0.5)

    def _nearer(self, frame: Frame, scale: np.ndarray) -> float:
        """Return the divisor of depth for the frame's camera at a picture ``scale`` (x, y)."""
        if self.focal_length is None or frame.focal_length is None:
            return 1.
        return focal_ratio(tuple(scale * frame.focal_length), self.focal_length)

    def frame(self, index: int) -> Frame:
        """Return a whole frame; with a cache it is read only once."""
        if self._cache is None:
            return self.frames[index]
        if index not in self._cache:
            self._cache[index] = self.frames[index]
        return self._cache[index]

    def sample(self, frame: Frame, window: Window) -> dict[str, torch.Tensor]:
        """Return what the window shows of the frame."""
        matrix, size, nearer, flip = window
        image = picture_of(frame.rgb, matrix, size)
        depth = np.full(size, np.nan, np.float32)
        if frame.depth is not None:
            trusted = np.full(frame.depth.shape, np.nan, np.float32)
            trusted[self.region] = frame.depth[self.region]
            depth = _warp(trusted, matrix, size, cv2.INTER_NEAREST, math.nan) / nearer
        labels = np.full(size, UNLABELLED, np.uint8)
        if frame.labels is not None:
            labels = _warp(frame.labels, matrix, size, cv2.INTER_NEAREST, UNLABELLED)
        arrays = [array[:, ::-1] if flip else array for array in (image, depth, labels)]
        image, depth, labels = (torch.from_numpy(np.ascontiguousarray(a)) for a in arrays)
        centre = np.array(frame.rgb.shape[1::-1]) / 2
        if frame.camera_matrix is not None:
            centre = frame.camera_matrix[:2, 2] + 0.5
        centre = window.matrix @ (*centre, 1.)
        if flip:
            centre[0] = size[1] - centre[0]
        return {'image': image.permute(2, 0, 1), 'depth': depth.float(), 'labels': labels.long(),
                'centre': torch.from_numpy(centre).float()}


def picture_of(rgb: np.ndarray, matrix: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """
    Return the window of ``size`` that ``matrix`` cuts out of ``rgb``: resized, then turned.

    The resizing is the same as at inference, and the turn uses an interpolation that hardly blurs,
    because networks learn depth from sharpness, too.
    """
    scale = np.linalg.norm(matrix[:, :2], axis=1)
    height, width = rgb.shape[:2]
    rgb = resize_picture(rgb, (round(height * scale[1]), round(width * scale[0])))
    matrix = np.column_stack((matrix[:, :2] / scale, matrix[:, 2]))
    return _warp(rgb, matrix, size, cv2.INTER_CUBIC, (124, 116, 104))


def _warp(array: np.ndarray, matrix: np.ndarray, size: tuple[int, int], interpolation: int,
          border: float | tuple[int, int, int]) -> np.ndarray:
    # Scale about pixel corners, as cv2.resize does; warpAffine scales about pixel centres.
    matrix = matrix.copy()
    matrix[:, 2] += 0.5 * (matrix[:, :2].sum(1) - 1)
    return cv2.warpAffine(array, matrix, size[::-1], flags=interpolation,
                          borderMode=cv2.BORDER_CONSTANT, borderValue=border)
