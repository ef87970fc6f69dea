# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
The light in a room: lamps and windows, bounced light, and darker corners.

No rays are cast: a scene must be cheap to build, since many tests build one.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
from jrn_perception.labels import NYU40
from jrn_perception.rooms.primitives import Box, Geometry
import numpy as np

CLOSE = 0.2  # metres: nearer than this, a lamp's light grows no more
REACH = 0.5  # metres within which a surface darkens its neighbour
SAMPLES = 16  # of the neighbourhood of a point
GOLDEN_ANGLE = 2.399963  # radians between samples: the spiral of a sunflower


class Light(NamedTuple):
    """A small plane that shines: centre, normal (3,), and radiant power per pi as linear RGB."""

    centre: np.ndarray
    normal: np.ndarray
    colour: np.ndarray


def ceiling_and_windows(rng: np.random.Generator, boxes: list[Box]) -> list[Light]:
    """Return the lights of a room (the first box): its lamp at the ceiling and its windows."""
    day, lamp = rng.uniform(0.3, 1.6), rng.uniform(0.5, 1.2)
    lights = []
    for box in boxes:
        centre, half = np.array(box.centre), np.array(box.half)
        if box.material == 'sky':
            axis = int(np.argmin(half[:2]))
            normal = np.eye(3)[axis] * np.sign(boxes[0].centre[axis] - centre[axis])
            lights.append(Light(centre + 0.18 * normal, normal,
                                day * np.array((0.85, 0.95, 1.1))))
        elif box.label == NYU40.names.index('otherstructure'):
            centre[2] -= half[2] + 0.02
            lights.append(Light(centre, np.array((0.0, 0.0, -1.0)),
                                lamp * np.array((1.1, 0.93, 0.72))))
    return lights


class Illumination:
    """
    Diffuse light on every face: straight from each light without shadows, plus a constant.

    The constant is the bounced light of an integrating sphere: power * albedo / (area * (1 -
    albedo)), for the surface of the room and the mean reflectance of everything in it.
    ``albedo`` is the mean reflectance of each face, (n, 3).
    """

    def __init__(self, geometry: Geometry, albedo: np.ndarray, lights: list[Light]):
        self.lights = lights
        self._normals = geometry.axes[:, 2].astype(np.float32)
        area = geometry.extent.prod(1)
        mean = area @ albedo / area.sum()
        power = np.pi * sum(light.colour for light in lights)
        self.ambient = (power * mean / (1 - mean) / area[:6].sum()).astype(np.float32)

    def at(self, faces: np.ndarray, points: list[np.ndarray]) -> np.ndarray:
        """Return the light, float32 (H, W, 3), at world points on faces, (H, W) each."""
        normals = [self._normals[:, axis][faces] for axis in range(3)]
        total = np.empty((*faces.shape, 3), np.float32)
        total[:] = self.ambient
        for light in self.lights:
            ways = [np.float32(start) - end for start, end in zip(light.centre, points)]
            square = sum(way * way for way in ways)
            incoming = sum(way * normal for way, normal in zip(ways, normals))
            outgoing = sum(way * np.float32(-axis)
                           for way, axis in zip(ways, light.normal) if axis)
            falling = incoming.clip(0) * outgoing.clip(0) / np.maximum(square, CLOSE ** 2) ** 2
            total += falling[..., None] * light.colour.astype(np.float32)
        return total

    def openness(self, faces: np.ndarray, points: list[np.ndarray],
                 focal: np.ndarray) -> np.ndarray:
        """
        Return how much of the light reaches the visible points, float32 (H, W), less in corners.

        Screen-space ambient occlusion: ``SAMPLES`` neighbours in the picture, up to ``REACH``
        metres away, darken a point by how steeply they rise above its face. ``focal`` is the focal
        length over the depth, (H, W), pixels per metre. Computed on at most about 120 rows.
        """
        step = max(1, len(faces) // 120)
        part = np.s_[::step, ::step]
        spots = np.stack([axis[part] for axis in points], -1)
        normals, scale = self._normals[faces[part]], focal[part] / np.float32(step)
        down, across = np.indices(scale.shape, dtype=np.float32)
        risen = np.zeros(scale.shape, np.float32)
        for k in range(SAMPLES):
            radius, angle = scale * np.float32(REACH * (k + 1) / SAMPLES), k * GOLDEN_ANGLE
            x = across + radius * np.float32(np.cos(angle))
            y = down + radius * np.float32(np.sin(angle))
            way = cv2.remap(spots, x, y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
            way -= spots
            square = np.einsum('hwi,hwi->hw', way, way) + np.float32(1e-6)
            sine = np.einsum('hwi,hwi->hw', way, normals) / np.sqrt(square)
            risen += (sine - 0.05).clip(0) / (1 + square / REACH ** 2)
        dark = (2 / SAMPLES * risen).clip(0, 0.9)
        smooth = cv2.GaussianBlur(1 - dark, (0, 0), 1.0)
        return cv2.resize(smooth, faces.shape[::-1], interpolation=cv2.INTER_LINEAR)
