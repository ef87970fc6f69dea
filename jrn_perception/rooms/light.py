# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Lamps and windows, and the diffuse light that they throw on the faces of a room's boxes."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
from jrn_perception.labels import NYU40
from jrn_perception.rooms.primitives import Box, Geometry
import numpy as np

CELL = 0.14  # metres between the samples of the light on a face
ACROSS = 56  # samples across a face at most; the width of the map of light
BOUNCES = 4
RINGS, SPOKES = 3, 6  # of the rays that gather the bounced light
SLIM = 0.1  # metres: what is slimmer in two directions (half extents) throws no shadow


@dataclass(frozen=True)
class Light:
    """A rectangle that shines: centre, two half edges, normal, and radiant power per pi."""

    centre: tuple[float, float, float]
    edges: tuple[tuple[float, float, float], tuple[float, float, float]]
    normal: tuple[float, float, float]
    colour: tuple[float, float, float]

    def samples(self, side: int = 3) -> np.ndarray:
        """Return ``side`` squared points on the rectangle, (n, 3)."""
        steps = (np.arange(side) + 0.5) * 2 / side - 1
        a, b = (grid.ravel()[:, None] for grid in np.meshgrid(steps, steps))
        return np.asarray(self.centre) + a * self.edges[0] + b * self.edges[1]


def ceiling_and_windows(rng: np.random.Generator, boxes: list[Box]) -> list[Light]:
    """Return the lights of a room (the first box): its lamp at the ceiling and its windows."""
    day, lamp = rng.uniform(0.3, 1.6), rng.uniform(0.5, 1.2)
    lights = []
    for box in boxes:
        centre, half = np.array(box.centre), np.array(box.half)
        if box.material == 'sky':
            axis = int(np.argmin(half[:2]))
            normal = np.eye(3)[axis] * np.sign(boxes[0].centre[axis] - centre[axis])
            along = np.eye(3)[1 - axis] * half[1 - axis]
            lights.append(Light(tuple(centre + 0.18 * normal), (along, (0, 0, half[2])),
                                tuple(normal), tuple(np.multiply((0.85, 0.95, 1.1), day))))
        elif box.label == NYU40.names.index('otherstructure'):
            centre[2] -= half[2] + 0.02
            lights.append(Light(tuple(centre), ((0.2, 0, 0), (0, 0.2, 0)), (0, 0, -1.0),
                                tuple(np.multiply((1.1, 0.93, 0.72), lamp))))
    return lights


class Illumination:
    """
    Diffuse light on every face: soft shadows and four bounces, sampled on a grid once.

    Radiosity with cosine-weighted rays that all samples of a face share, so that what is left of
    the sampling error is smooth. ``albedo`` is the mean reflectance of each face, (n, 3).
    """

    def __init__(self, geometry: Geometry, albedo: np.ndarray, lights: list[Light]):
        self.geometry = geometry
        extent = geometry.extent
        self.count = np.clip(np.ceil(extent / CELL).astype(int) + 1, 2, ACROSS)
        self.row = np.concatenate(([0], np.cumsum(self.count[:, 1])[:-1]))
        self.scale = ((self.count - 1) / extent).astype(np.float32)
        face = np.arange(len(self.count)).repeat(self.count.prod(1))
        v, u = np.concatenate([np.indices((down, across)).reshape(2, -1)
                               for across, down in self.count], axis=1)
        # Off the edges and the surface, where the neighbouring face would shade the sample.
        inset = np.minimum(0.012, 0.2 * extent)[face]
        uv = np.clip(np.stack((u, v), 1) / self.scale[face], inset, extent[face] - inset)
        axes = geometry.axes[face]
        points = (geometry.corner[face] + uv[:, :1] * axes[:, 0] + uv[:, 1:] * axes[:, 1]
                  + 2e-3 * axes[:, 2]).astype(np.float32)
        self.casters = [index for index, box in enumerate(geometry.boxes)
                        if sorted(box.half)[1] > SLIM]
        with np.errstate(divide='ignore', invalid='ignore'):
            direct = sum(self._direct(points, axes[:, 2], light) for light in lights)
            sources = self._sources(points, axes)
        total = direct
        cells = (self.row[face] + v) * ACROSS + u
        image = np.zeros((int(self.count[:, 1].sum()) * ACROSS, 3), np.float32)
        for _ in range(BOUNCES):
            image[cells] = total * albedo[face]
            total = direct + image[sources].mean(1)
        image[cells] = total
        self.image = image.reshape(-1, ACROSS, 3)

    def _direct(self, points: np.ndarray, normals: np.ndarray, light: Light) -> np.ndarray:
        """Return what arrives straight from a light, (n, 3)."""
        total = np.zeros(len(points), np.float32)
        samples = light.samples()
        for sample in samples:
            way = (sample - points).astype(np.float32)
            square = np.einsum('ni,ni->n', way, way)
            incoming, outgoing = np.einsum('ni,ni->n', way, normals), -(way @ light.normal)
            lit = np.flatnonzero((incoming > 0) & (outgoing > 0))
            depth, _ = self.geometry.nearest(self.casters[1:], points[lit], way[lit])
            lit = lit[depth > 1]
            total[lit] += incoming[lit] * outgoing[lit] / np.maximum(square[lit], 0.04) ** 2
        return total[:, None] / len(samples) * np.asarray(light.colour, np.float32)

    def _sources(self, points: np.ndarray, axes: np.ndarray) -> np.ndarray:
        """Return the grid cells, (n, k), that a sample sees along its cosine-weighted rays."""
        radius = np.sqrt((np.arange(RINGS) + 0.5) / RINGS).repeat(SPOKES)
        angle = 2 * np.pi * (np.arange(RINGS * SPOKES) / SPOKES + 0.37 * radius)
        own = np.stack((radius * np.cos(angle), radius * np.sin(angle), np.sqrt(1 - radius ** 2)))
        rays = np.einsum('ik,nij->nkj', own, axes).reshape(-1, 3).astype(np.float32)
        origins = points.repeat(RINGS * SPOKES, axis=0)
        depth, faces = self.geometry.nearest(self.casters, origins, rays)
        hits = origins + depth[:, None] * rays
        u, v = self.geometry.on_face(faces, list(hits.T))
        x = np.clip(np.rint(u * self.scale[faces, 0]).astype(int), 0, self.count[faces, 0] - 1)
        y = np.clip(np.rint(v * self.scale[faces, 1]).astype(int), 0, self.count[faces, 1] - 1)
        return ((self.row[faces] + y) * ACROSS + x).reshape(len(points), -1)

    def at(self, faces: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Return the light, float32 (H, W, 3), at face coordinates (H, W) in metres."""
        x = u * self.scale[faces, 0]
        y = v * self.scale[faces, 1] + self.row[faces].astype(np.float32)
        return cv2.remap(self.image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
