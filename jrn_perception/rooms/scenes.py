# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Procedural pictures of indoor rooms with exact depth and labels.

The tests, the demo and the sample recording need pictures that are free to distribute and have
exact ground truth; the package contains no picture of a data set.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import cv2
from jrn_perception.frame import Frame
from jrn_perception.labels import NYU40
from jrn_perception.rooms.furniture import Furniture, placed, WHITE
from jrn_perception.rooms.light import ceiling_and_windows, Illumination
from jrn_perception.rooms.primitives import Box, Geometry, Pose, View
from jrn_perception.rooms.textures import BAND, BLURS, MATERIALS, SIDE, textures
import numpy as np

PAINTS = ((0.8, 0.74, 0.63), (0.78, 0.77, 0.74), (0.68, 0.55, 0.36), (0.5, 0.6, 0.64),
          (0.62, 0.66, 0.48), (0.82, 0.79, 0.77), (0.7, 0.5, 0.4))
FLOORS = (('carpet', (0.46, 0.37, 0.27)), ('carpet', (0.33, 0.32, 0.31)),
          ('carpet', (0.3, 0.22, 0.16)), ('parquet', (0.62, 0.36, 0.18)),
          ('parquet', (0.4, 0.2, 0.1)), ('tiles', (0.62, 0.56, 0.48)))
FLOOR, CEILING = 4, 5  # faces of the room
PLACINGS = 40  # attempts to place a piece before it is left out
GAP = 0.04  # metres between two pieces
SWING = 0.7  # metres in front of a door that stay free
RIM = 0.03  # metres over which the edge of a face darkens
SPOTS = 16  # places that the camera tries


class Room(NamedTuple):
    """The boxes of a room, first the room itself, and the floor's material and colour."""

    boxes: list[Box]
    floor: tuple[str, tuple[float, float, float]]


def _at_wall(boxes: list[Box], size: np.ndarray, wall: int, at: float) -> list[Box]:
    """Return a piece with its back to one of the four walls, ``at`` metres along it."""
    x, y = ((at, 0), (size[0], at), (size[0] - at, size[1]), (0, size[1] - at))[wall]
    return placed(boxes, x, y, wall * np.pi / 2)


def furnish(rng: np.random.Generator, size: np.ndarray) -> Room:
    """Return a room of (width, depth, height) metres, furnished at random for one use."""
    style = Furniture(rng)
    floor = FLOORS[rng.integers(len(FLOORS))]
    paint = PAINTS[rng.integers(len(PAINTS))]
    boxes, taken = [Box.spanning('wall', 'paint', paint, *((0, side) for side in size))], []
    uses = ((style.bed, style.dresser, style.workplace), (style.lounge, style.dresser),
            (style.dining, style.cabinet, style.bookshelf), (style.workplace, style.sofa),
            (style.bed, style.bookshelf, style.armchair))
    builders = (style.door, style.window, *uses[rng.integers(len(uses))], style.bookshelf,
                style.cabinet, style.armchair, style.floor_lamp, style.carton, style.carton,
                style.chair, style.picture, style.picture, style.picture, style.window)
    for build in builders:
        piece = build()
        bounds = np.array([box.bounds() for box in piece])
        low, high = bounds[:, 0].min(0), bounds[:, 1].max(0)
        high[1] += SWING if build == style.door else 0
        outline = replace(piece[0], centre=tuple((low + high) / 2), half=tuple((high - low) / 2),
                          yaw=0.0)
        for _ in range(PLACINGS):
            wall = int(rng.integers(4))
            at = rng.uniform(0.1, size[wall % 2] - 0.1)
            *there, outline_there = _at_wall([*piece, outline], size, wall, at)
            low, high = outline_there.bounds()
            inside = (low[:2] > -1e-6).all() and (high[:2] < size[:2] + 1e-6).all()
            if inside and all((low >= top + GAP).any() or (high <= bottom - GAP).any()
                              for bottom, top in taken):
                boxes += there
                taken.append((low, high))
                break
    for wall in range(4):
        half = size[wall % 2] / 2
        skirting = Box.spanning('wall', 'plain', WHITE, (-half, half), (0, 0.012), (0, 0.09))
        boxes += _at_wall([skirting], size, wall, half)
    x, y = size[:2] / 2 + rng.uniform(-0.4, 0.4, 2)
    boxes.append(Box.spanning('otherstructure', 'lamp', (1.0, 0.95, 0.86), (x - 0.22, x + 0.22),
                              (y - 0.22, y + 0.22), (size[2] - 0.07, size[2])))
    return Room(boxes, floor)


@dataclass(frozen=True)
class Walk:
    """
    The motion of a hand-held camera: it sways about its spot, looks around, bobs at each step.

    ``spot`` and ``sway``: (x, y) and metres; ``yaw`` and ``pitch``: radians; ``rates``: radians
    per second of the sway along x and y and of the yaw; ``phases``: of all five motions, the last
    two being pitch and roll.
    """

    height: float
    pitch: float
    rates: np.ndarray
    phases: np.ndarray
    spot: np.ndarray
    yaw: float = 0.0
    sway: float = 0.0

    def pose(self, time: float) -> Pose:
        """Return the position and rotation of the camera at ``time`` seconds."""
        swing = np.sin(self.rates * time + self.phases[:3])
        step = 2 * np.pi * 1.6 * time
        x, y = self.spot + self.sway * swing[:2]
        yaw = self.yaw + 0.35 * (swing[2] - np.sin(self.phases[2]))
        pitch = self.pitch + 0.006 * np.sin(step + self.phases[3])
        roll = 0.012 * np.sin(step / 2 + self.phases[4])
        forward = np.array((np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch),
                            -np.sin(pitch)))
        level = np.array((np.sin(yaw), -np.cos(yaw), 0.0))
        right = np.cos(roll) * level + np.sin(roll) * np.cross(forward, level)
        rotation = np.stack((right, np.cross(forward, right), forward))
        return Pose(np.array((x, y, self.height + 0.012 * np.sin(step))), rotation)


class Scene:
    """
    A furnished room, drawn from a seed, and a hand-held camera that walks through it.

    ``boxes`` are the room itself (the first box, from the origin to ``size``) and the objects in
    it.
    """

    def __init__(self, seed: int):
        self.seed = seed
        rng = np.random.default_rng(seed)
        self.size = np.array((rng.uniform(3.4, 5.0), rng.uniform(3.4, 5.0),
                              rng.uniform(2.4, 2.75)))
        self.boxes, floor = furnish(rng, self.size)
        self._geometry = Geometry(self.boxes)
        albedo = self._paint(rng, floor)
        lights = ceiling_and_windows(rng, self.boxes)
        self._light = Illumination(self._geometry, albedo, lights)
        tint = np.array((1.05, 0.95, 0.93)) * rng.uniform(0.94, 1.06, 3)
        self._walk = self._best_walk(rng)
        # The first view sets the exposure, as in an automatic camera.
        pose, matrix = self.pose(0.0), camera_matrix(48, 64)
        first = self._shade(pose, matrix, self._geometry.seen(pose, matrix, 48, 64))
        self._gain = (tint * 0.215 / np.sqrt(first).mean() ** 2).astype(np.float32)

    def _paint(self, rng: np.random.Generator, floor: tuple) -> np.ndarray:
        """Fill the tables by face: label, colour and texture; return the mean colours."""
        looks = [(MATERIALS[box.material], box.colour, box.label)
                 for box in self.boxes for _ in range(6)]
        looks[FLOOR] = MATERIALS[floor[0]], floor[1], NYU40.names.index('floor')
        looks[CEILING] = MATERIALS['paint'], WHITE, NYU40.names.index('ceiling')
        materials, colours, labels = zip(*looks)
        self._labels = np.array(labels, np.uint8)
        self._colours = np.array(colours, np.float32)
        self._emission = np.array([material.emission for material in materials], np.float32)
        self._edges = np.array([material.edge for material in materials], np.float32)
        image, rows = textures()
        self._rows = np.array([rows[material.texture] for material in materials], np.float32)
        metres = np.array([material.metres for material in materials])[:, None]
        extent = self._geometry.extent
        self._scale = (SIDE / np.where(metres, metres, extent)).astype(np.float32)
        offset = rng.uniform(0, SIDE, extent.shape)
        self._offset = np.where(metres, offset, 0).astype(np.float32)
        mean = {row: image[row:row + SIDE].mean((0, 1)) / 255 for row in rows.values()}
        return self._colours * np.array([mean[row] for row in self._rows], np.float32)

    def _best_walk(self, rng: np.random.Generator) -> Walk:
        """Return a walk that starts with many classes in view and with nothing close by."""
        walk = Walk(rng.uniform(1.1, 1.55), np.radians(rng.uniform(4, 17)),
                    rng.uniform(0.25, 0.45, 3), rng.uniform(0, 2 * np.pi, 5), np.zeros(2))
        bounds = np.array([box.bounds() for box in self.boxes[1:]])
        solid = bounds[(bounds[:, 1, 2] > 0.25) & (bounds[:, 0, 2] < 2.0)][:, :, :2]
        spots = rng.uniform(0.5, self.size[:2] - 0.5, (400, 2))
        away = np.maximum(solid[:, 0] - spots[:, None], spots[:, None] - solid[:, 1]).clip(0)
        to_wall = np.minimum(spots, self.size[:2] - spots).min(1)
        clearance = np.minimum(to_wall, np.linalg.norm(away, axis=2).min(1))
        walks = []
        for k in np.argsort(-np.minimum(clearance, 0.75), kind='stable')[:SPOTS]:
            middle = self.size[:2] / 2 - spots[k]
            walks.append(replace(
                walk, spot=spots[k],
                yaw=np.arctan2(middle[1], middle[0]) + rng.normal(0, 0.35),
                sway=float(np.clip((clearance[k] - 0.3) / 1.5, 0.02, 0.4))))
        return max(walks, key=self._worth)

    def _worth(self, walk: Walk) -> float:
        """Return a score of the first view of a walk: classes in view, free space ahead."""
        depth, faces = self._geometry.seen(walk.pose(0.0), camera_matrix(24, 32), 24, 32)
        share = np.bincount(self._labels[faces].ravel(), minlength=len(NYU40)) / faces.size
        return np.minimum(share, 0.1).sum() + 0.1 * np.median(depth) - 2 * (depth < 0.9).mean()

    def pose(self, time: float) -> Pose:
        """Return the position and rotation of the camera at ``time`` seconds."""
        return self._walk.pose(time)

    def _shade(self, pose: Pose, matrix: np.ndarray, view: View) -> np.ndarray:
        """Return the light that the camera sees, linear float32 (H, W, 3)."""
        depth, faces = view
        rays = pose.rays(matrix, *depth.shape)
        points = [np.float32(start) + depth * ray for start, ray in zip(pose.position, rays)]
        u, v = self._geometry.on_face(faces, points)
        extent = self._geometry.extent.astype(np.float32)
        inwards = np.minimum(np.minimum(u, extent[faces, 0] - u),
                             np.minimum(v, extent[faces, 1] - v))
        rim = 1 - self._edges[faces] * (1 - inwards / RIM).clip(0) ** 2
        scale_u, scale_v = self._scale[faces, 0], self._scale[faces, 1]
        focal = np.float32(matrix[0, 0]) / depth
        texels = np.maximum(scale_u, scale_v) / focal
        level = sum((texels > blur).astype(np.float32) for blur in BLURS[1:])
        x, y = u * scale_u + self._offset[faces, 0], v * scale_v + self._offset[faces, 1]
        x -= SIDE * np.floor(x / SIDE)
        y -= SIDE * np.floor(y / SIDE)
        y += self._rows[faces] + level * BAND
        texture = cv2.remap(textures().image, x, y, cv2.INTER_LINEAR)
        light = self._light.at(faces, points)
        light *= self._light.openness(faces, points, focal)[..., None]
        light += self._emission[faces][..., None]
        light *= rim[..., None] / 255
        light *= self._colours[faces]
        light *= texture
        return light

    def render(self, time: float = 0.0, height: int = 480, width: int = 640) -> Frame:
        """
        Return the picture at ``time`` seconds with exact depth and NYU40 labels.

        Depth and labels belong to the pixel centres; the picture has smooth outlines, and the blur
        and the noise of a small camera. The same seed, time and size give the same bytes. Raises
        ValueError for a negative time.
        """
        if time < 0:
            raise ValueError(f'time must not be negative, is {time} s')
        stamp = round(time * 1e9)
        pose, matrix = self.pose(time), camera_matrix(height, width)
        view = self._geometry.seen(pose, matrix, height, width)
        picture = self._shade(pose, matrix, view)
        down, across = (np.linspace(-1, 1, n, dtype=np.float32) ** 2 for n in (height, width))
        picture *= (1 - 0.14 * (down[:, None] + across))[..., None] * self._gain
        rng = np.random.default_rng((self.seed, stamp, height, width))
        # Mix outlines after clipping: a lamp far beyond white would keep a jagged outline.
        picture = np.minimum(picture, 1, out=picture)
        rows, columns, share = self._geometry.coverage(pose, matrix, view.faces)
        picture[rows[0], columns[0]] = (share[..., None] * picture[rows, columns]).sum(0)
        picture = np.sqrt(picture, out=picture)
        picture *= picture * (1.2 - 0.9 * picture) + 0.7  # the contrast curve of small cameras
        picture += 0.017 * rng.standard_normal((height, width, 1), np.float32)
        picture += 0.01 * rng.standard_normal(picture.shape, np.float32)
        picture = cv2.GaussianBlur(picture, (3, 3), 0.65)
        rgb = cv2.convertScaleAbs(picture.clip(0, 1), alpha=255)
        return Frame(rgb, f'scene-{self.seed}@{time:.2f}s', stamp, view.depth,
                     self._labels[view.faces], matrix, pose.matrix())


def camera_matrix(height: int = 480, width: int = 640) -> np.ndarray:
    """Return NYU-Depth v2's RGB intrinsics (its toolbox's camera_params.m), scaled to a size."""
    across, down = width / 640, height / 480
    return np.array(((518.86 * across, 0, (325.58 + 0.5) * across - 0.5),
                     (0, 519.47 * down, (253.74 + 0.5) * down - 0.5), (0, 0, 1)))


def scenes(count: int, seed: int = 0, height: int = 480, width: int = 640) -> Iterator[Frame]:
    """Yield the first frame of ``count`` different rooms."""
    for index in range(count):
        yield Scene(seed + index).render(0.0, height, width)
