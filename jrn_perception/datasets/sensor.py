# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
A simulated depth camera: what an active stereo or structured-light camera would see of true depth.

Such cameras give no depth of dark and of specular surfaces, of thin things, beyond their range,
and beside near objects, where one of the two views is covered. The disparity is quantised, so that
a step of depth grows with its square, and so does the noise (Nguyen et al., "Modeling Kinect
Sensor Noise for Improved 3D Reconstruction and Tracking", 3DIMPVT 2012, Eq. 2, for its size).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
import math
from statistics import NormalDist

import cv2
from jrn_perception.frame import Frame
import numpy as np

# Without a camera matrix: of a horizontal view of 60 degrees.
USUAL_VIEW = math.radians(60)
# Weights of red, green and blue in the brightness (ITU-R BT.601).
BRIGHTNESS = np.array((0.299, 0.587, 0.114), np.float32)


@dataclass(frozen=True)
class DepthCamera:
    """
    The properties of a simulated camera, at their means: each frame has others.

    ``near`` and ``far`` are metres; ``baseline``, in metres, and ``step``, in pixels of disparity,
    make the quantisation: z^2 step / (f baseline). ``dark`` is the brightness, 0..1, below which
    most of a surface is lost, ``bright`` the one above which highlights are. ``thin`` is the width
    of lost things in parts of the picture's width. ``blind`` is the share of frames without any
    depth, ``patches`` the share of the picture that is lost for no visible reason (glass, mirrors,
    sunlight).
    """

    near: float = 0.4
    far: float = 5.0
    baseline: float = 0.06
    step: float = 0.125
    dark: float = 0.14
    bright: float = 0.95
    thin: float = 0.015
    blind: float = 0.0
    patches: float = 0.05

    def measure(self, rgb: np.ndarray, depth: np.ndarray, random: np.random.Generator,
                focal_length: float | None = None) -> np.ndarray:
        """
        Return metres (H, W), NaN in holes, for uint8 RGB (H, W, 3) and true metres (H, W).

        ``focal_length`` is in pixels. Where true depth is unknown (NaN) nothing is measured.
        """
        shape = depth.shape
        if random.random() < self.blind:
            return np.full(shape, np.nan, np.float32)
        known = np.isfinite(depth) & (depth > 0)
        metres = np.where(known, depth, self.far * 2).astype(np.float32)
        focal = focal_length or shape[1] / 2 / math.tan(USUAL_VIEW / 2)
        brightness = rgb.astype(np.float32) / 255 @ BRIGHTNESS
        far = self.far * random.uniform(0.7, 1.2)
        # Where a surface is lost is not a matter of its brightness alone.
        luck = _field(shape, random)
        holes = ~known | (metres < self.near) | (metres > far * (1 + 0.15 * luck))
        holes |= brightness < self.dark * (1 + 0.5 * luck) * np.sqrt(metres / 2)
        colourless = np.ptp(rgb, axis=2) < 30
        holes |= (brightness > self.bright + 0.02 * luck) & colourless
        holes |= _field(shape, random) > _normal_quantile(1 - self.patches * random.uniform(0, 2))
        holes |= self._thin(metres)
        holes |= self._covered(metres, focal)
        holes |= _border(shape, random)
        disparity = focal * self.baseline / metres
        wobble = 0.5 * self.step * _field(shape, random, (60, 80))
        disparity = self.step * np.round((disparity + wobble) / self.step)
        measured = focal * self.baseline / np.maximum(disparity, self.step / 2)
        return np.where(holes, np.float32(np.nan), measured).astype(np.float32)

    def _thin(self, metres: np.ndarray) -> np.ndarray:
        """Return where something is nearer than what is on both sides of it."""
        width = max(3, 2 * round(self.thin * metres.shape[1] / 2) + 1)
        behind = cv2.morphologyEx(metres, cv2.MORPH_CLOSE, np.ones((width, width), np.uint8))
        return behind > 1.1 * metres

    def _covered(self, metres: np.ndarray, focal: float) -> np.ndarray:
        """Return where the second view of the camera, on the right, sees a nearer thing."""
        disparity = focal * self.baseline / metres
        columns = np.arange(metres.shape[1], dtype=np.float32)
        seen_at = columns - disparity
        # From right to left: a pixel is covered if one to its right is seen farther left.
        leftmost = np.minimum.accumulate(seen_at[:, ::-1], axis=1)[:, ::-1]
        return seen_at > leftmost + 1


def _field(shape: tuple[int, ...], random: np.random.Generator,
           cells: tuple[int, int] = (9, 12)) -> np.ndarray:
    """Return a smooth random field (H, W), about normal."""
    coarse = random.standard_normal(cells).astype(np.float32)
    smooth = cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC)
    return smooth / max(float(smooth.std()), 1e-6)


def _border(shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
    """Return the strip on the left that only one of the two views sees, and a frame of pixels."""
    holes = np.zeros(shape, bool)
    holes[:, :round(shape[1] * random.uniform(0.01, 0.06))] = True
    edge = max(1, round(0.01 * shape[0]))
    holes[:edge] = holes[-edge:] = holes[:, -edge:] = True
    return holes


def _normal_quantile(share: float) -> float:
    """Return the value that this share of a normal field stays below."""
    return NormalDist().inv_cdf(min(max(share, 1e-6), 1 - 1e-6))


class WithSensor(Sequence):
    """Frames with what a simulated depth camera measures; the same each time they are read."""

    def __init__(self, frames: Sequence[Frame], camera: DepthCamera | None = None, seed: int = 0):
        self.frames, self.camera, self.seed = frames, camera or DepthCamera(), seed
        self.labels = frames.labels
        self.depth_range = getattr(frames, 'depth_range', None)

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> Frame:
        frame = self.frames[index]
        if frame.depth is None:
            raise ValueError(f'frame {frame.name}: has no depth to simulate a depth camera on')
        random = np.random.default_rng((self.seed, index))
        focal_length = frame.focal_length[0] if frame.focal_length else None
        return replace(frame, measured=self.camera.measure(frame.rgb, frame.depth, random,
                                                           focal_length))
