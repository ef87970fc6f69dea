# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Boxes in a room, and their intersection with rays.

World axes: x and y along two walls from a corner of the room, z up, metres. Colours are linear
RGB in 0..1. A face has the index ``6 * box + 2 * axis + side``; box 0 is the room, whose faces
are seen from inside.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import NamedTuple

from jrn_perception.labels import NYU40
from jrn_perception.rooms.textures import MATERIALS
import numpy as np

CLOSE = 0.05  # metres: the picture's outline of a nearer box is not bounded
SAMPLES = ((-0.375, -0.125), (0.125, -0.375), (0.375, 0.125), (-0.125, 0.375))  # in a pixel
CORNERS = np.array(list(product((-1, 1), repeat=3)))


@dataclass(frozen=True)
class Box:
    """A cuboid: centre and half extents in metres, turned by ``yaw`` about the vertical."""

    centre: tuple[float, float, float]
    half: tuple[float, float, float]
    label: int
    material: str
    colour: tuple[float, float, float]
    yaw: float = 0.0

    @classmethod
    def spanning(cls, label: str, material: str, colour: tuple[float, float, float],
                 *spans: tuple[float, float]) -> Box:
        """Return the box of a NYU40 class between (low, high) along each of x, y and z."""
        return cls(tuple((low + high) / 2 for low, high in spans),
                   tuple((high - low) / 2 for low, high in spans),
                   NYU40.names.index(label), material, colour)

    def axes(self) -> np.ndarray:
        """Return the world directions of the box's own axes as rows, (3, 3)."""
        cos, sin = np.cos(self.yaw), np.sin(self.yaw)
        return np.array(((cos, sin, 0), (-sin, cos, 0), (0, 0, 1)))

    def placed(self, x: float, y: float, yaw: float) -> Box:
        """Return the box turned by ``yaw`` about the origin, then moved by (x, y)."""
        cos, sin = np.cos(yaw), np.sin(yaw)
        centre = (x + cos * self.centre[0] - sin * self.centre[1],
                  y + sin * self.centre[0] + cos * self.centre[1], self.centre[2])
        quarters = (self.yaw + yaw) / (np.pi / 2)
        if abs(quarters - round(quarters)) > 1e-9:
            return replace(self, centre=centre, yaw=self.yaw + yaw)
        # Intersecting a box without yaw is faster.
        u, v, w = self.half
        half = (v, u, w) if round(quarters) % 2 else self.half
        return replace(self, centre=centre, half=half, yaw=0.0)

    def mirrored(self) -> Box:
        """Return the mirror image of the box about x = 0."""
        x, y, z = self.centre
        return replace(self, centre=(-x, y, z), yaw=-self.yaw)

    def bounds(self) -> np.ndarray:
        """Return the lowest and the highest coordinates, (2, 3), of the turned box."""
        cos, sin = abs(np.cos(self.yaw)), abs(np.sin(self.yaw))
        reach = np.array((cos * self.half[0] + sin * self.half[1],
                          sin * self.half[0] + cos * self.half[1], self.half[2]))
        return np.array((self.centre - reach, self.centre + reach))


class Pose(NamedTuple):
    """A camera: its world position (3,); the rows of ``rotation`` are right, down, forward."""

    position: np.ndarray
    rotation: np.ndarray

    def matrix(self) -> np.ndarray:
        """Return the 4x4 matrix from the camera's coordinates to the world's."""
        return np.block([[self.rotation.T, self.position[:, None]], [np.zeros(3), 1.]])

    def rays(self, matrix: np.ndarray, height: int, width: int) -> list[np.ndarray]:
        """Return the world coordinates of the pixels' rays, float32 (H, W) each, of depth 1."""
        x = (np.arange(width) - matrix[0, 2]) / matrix[0, 0]
        y = (np.arange(height) - matrix[1, 2])[:, None] / matrix[1, 1]
        right, down, forward = self.rotation
        return [(x * right[k] + y * down[k] + forward[k]).astype(np.float32) for k in range(3)]


class Hits(NamedTuple):
    """The rays that hit a box (flat indices), their ray parameters, and the faces they hit."""

    rays: np.ndarray
    at: np.ndarray
    faces: np.ndarray


class View(NamedTuple):
    """The nearest surface along each ray: ray parameter (float32) and face (int)."""

    depth: np.ndarray
    faces: np.ndarray


class Place(NamedTuple):
    """Points on their faces: metres from the corner of each face."""

    u: np.ndarray
    v: np.ndarray


class Coverage(NamedTuple):
    """
    How faces share the pixels on outlines; each array is three sources by n pixels.

    The sources are the pixel itself, its neighbour above or below, and its neighbour to the left
    or right. ``share`` is the part of the pixel's area, 0..1, that the source's face covers.
    """

    rows: np.ndarray
    columns: np.ndarray
    share: np.ndarray


class Geometry:
    """
    Boxes as arrays; the first box is the room around the others.

    Per face: ``corner`` (n, 3), the point where u and v are zero; ``axes`` (n, 3, 3), the
    directions of u, v and the normal; ``extent`` (n, 2), the largest u and v.
    """

    def __init__(self, boxes: list[Box]):
        self.boxes = boxes
        half = np.array([box.half for box in boxes])
        self.half = half.astype(np.float32)
        self.corner = np.zeros((6 * len(half), 3))
        self.axes = np.zeros((6 * len(half), 3, 3))
        self.extent = np.zeros((6 * len(half), 2))
        for index, box in enumerate(boxes):
            own = box.axes()
            for axis, (u, v) in enumerate(((1, 2), (0, 2), (0, 1))):
                if MATERIALS[box.material].grain and half[index, u] < half[index, v]:
                    u, v = v, u
                # Upright textures hang from the top of a wall: v runs down.
                down = -1 if v == 2 else 1
                for side, sign in enumerate((-1, 1)):
                    face = 6 * index + 2 * axis + side
                    self.corner[face] = (np.array(box.centre) + sign * half[index, axis]
                                         * own[axis] - half[index, u] * own[u]
                                         - down * half[index, v] * own[v])
                    normal = own[axis] * (-sign if index == 0 else sign)
                    self.axes[face] = own[u], down * own[v], normal
                    self.extent[face] = 2 * half[index, u], 2 * half[index, v]
        offset = -np.einsum('fij,fj->fi', self.axes[:, :2], self.corner)
        self._to_face = np.concatenate(
            (self.axes[:, :2], offset[..., None]), 2).astype(np.float32)

    def cast(self, index: int, origin: list, rays: list, farther: np.ndarray) -> Hits:
        """
        Intersect rays with one box.

        ``origin`` and ``rays`` are three numbers or arrays of world coordinates. A ray hits if it
        meets the box before the ray parameter ``farther``.
        """
        box = self.boxes[index]
        origin = [value - np.float32(c) for value, c in zip(origin, box.centre)]
        if box.yaw:
            cos, sin = np.float32(np.cos(box.yaw)), np.float32(np.sin(box.yaw))
            origin = [cos * origin[0] + sin * origin[1], cos * origin[1] - sin * origin[0],
                      origin[2]]
            rays = [cos * rays[0] + sin * rays[1], cos * rays[1] - sin * rays[0], rays[2]]
        enter, leave = [], []
        for half, start, ray in zip(self.half[index], origin, rays):
            inverse = 1 / ray
            one, two = (-half - start) * inverse, (half - start) * inverse
            enter.append(np.minimum(one, two))
            leave.append(np.maximum(one, two))
        near = np.maximum(np.maximum(enter[0], enter[1]), enter[2])
        far = np.minimum(np.minimum(leave[0], leave[1]), leave[2])
        if index == 0:
            at, planes, hit = far, leave, far < farther
        else:
            at, planes, hit = near, enter, (near < far) & (near < farther) & (near > 1e-4)
        hit = np.flatnonzero(hit)
        at = at.ravel()[hit]
        axis = np.where(at == planes[0].ravel()[hit], 0,
                        np.where(at == planes[1].ravel()[hit], 1, 2))
        back = np.choose(axis, [ray.ravel()[hit] < 0 for ray in rays])
        return Hits(hit, at, 6 * index + 2 * axis + (back ^ (index == 0)))

    def seen(self, pose: Pose, matrix: np.ndarray, height: int, width: int) -> View:
        """Return depth in metres and visible faces, (H, W) each, through the pixel centres."""
        rays = pose.rays(matrix, height, width)
        origin = list(pose.position.astype(np.float32))
        depth = np.full((height, width), np.inf, np.float32)
        faces = np.zeros((height, width), np.int64)
        with np.errstate(divide='ignore', invalid='ignore'):
            for index, box in enumerate(self.boxes):
                area = self._outline(box, pose, matrix, height, width)
                if not depth[area].size:
                    continue
                hit, at, face = self.cast(
                    index, origin, [ray[area] for ray in rays], depth[area])
                where = np.unravel_index(hit, depth[area].shape)
                depth[area][where], faces[area][where] = at, face
        return View(depth, faces)

    @staticmethod
    def _outline(box: Box, pose: Pose, matrix: np.ndarray, height: int,
                 width: int) -> tuple[slice, slice]:
        """Return the rows and columns of the pixels that a box may cover."""
        corners = CORNERS * box.half @ box.axes() + box.centre
        ahead = (corners - pose.position) @ pose.rotation.T
        if ahead[:, 2].max() < CLOSE:
            return slice(0), slice(0)
        if ahead[:, 2].min() < CLOSE:
            return slice(None), slice(None)
        pixels = ahead @ matrix.T
        pixels = pixels[:, :2] / pixels[:, 2:]
        left, top = np.clip(np.floor(pixels.min(0)).astype(int), 0, (width, height))
        right, bottom = np.clip(np.ceil(pixels.max(0)).astype(int) + 1, 0, (width, height))
        return slice(top, bottom), slice(left, right)

    def on_face(self, faces: np.ndarray, points: list[np.ndarray]) -> Place:
        """Return where world points lie on their faces."""
        table = self._to_face[faces]
        return Place(*(table[..., k, 0] * points[0] + table[..., k, 1] * points[1]
                       + table[..., k, 2] * points[2] + table[..., k, 3] for k in (0, 1)))

    def coverage(self, pose: Pose, matrix: np.ndarray, faces: np.ndarray) -> Coverage:
        """
        Return how the visible faces (H, W) share the pixels where they change.

        Rays beside the pixel's centre choose only between the faces of the pixel and of two
        neighbours, which is far cheaper than intersecting all boxes.
        """
        outline = np.zeros(faces.shape, bool)
        for one, two in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
            change = faces[one] != faces[two]
            outline[one] |= change
            outline[two] |= change
        y, x = np.nonzero(outline)
        above, left = np.maximum(y - 1, 0), np.maximum(x - 1, 0)
        below, right = np.minimum(y + 1, len(faces) - 1), np.minimum(x + 1, faces.shape[1] - 1)
        rows = np.stack((y, np.where(faces[above, x] != faces[y, x], above, below), y))
        columns = np.stack((x, x, np.where(faces[y, left] != faces[y, x], left, right)))
        source = faces[rows, columns]
        # A ray in the coordinates of a face: where it starts, and how it runs by pixel (x, y, 1).
        start = np.einsum('fij,fj->if', self.axes, pose.position - self.corner)
        run = np.einsum('fij,jk->ikf', self.axes, pose.rotation.T @ np.linalg.inv(matrix))
        start, run = (table.astype(np.float32)[..., source] for table in (start, run))
        reach_u, reach_v = self.extent.T.astype(np.float32)[:, source]
        share = np.zeros(source.shape, np.float32)
        pixels, x, y = np.arange(len(x)), x.astype(np.float32), y.astype(np.float32)
        for dx, dy in SAMPLES:
            ray_u, ray_v, ray_n = run[:, 0] * (x + dx) + run[:, 1] * (y + dy) + run[:, 2]
            with np.errstate(divide='ignore', invalid='ignore'):
                depth = -start[2] / ray_n
                u, v = start[0] + depth * ray_u, start[1] + depth * ray_v
            hit = (depth > 0) & (u >= 0) & (u <= reach_u) & (v >= 0) & (v <= reach_v)
            share[np.where(hit, depth, np.inf).argmin(0), pixels] += 1 / len(SAMPLES)
        return Coverage(rows, columns, share)
