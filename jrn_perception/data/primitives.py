# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Boxes in a room: textures, ray casting and light.

World axes: x and y along two walls from a corner of the room, z up, metres. Colours are linear
RGB in 0..1. A face has the index ``6 * box + 2 * axis + side``; box 0 is the room, whose faces
are seen from inside.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from typing import NamedTuple

import cv2
import numpy as np

SIDE = 256  # texels of a texture's side
BLURS = (0.0, 1.0, 2.0, 4.0)  # Gaussian sigma in texels of each level against aliasing
CELL = 0.14  # metres between the samples of the light on a face


class Material(NamedTuple):
    """Texture name; metres that a texture covers (0: the face); look of edges; own light."""

    texture: str
    metres: float = 1.0
    grain: bool = False
    edge: float = 0.12
    emission: float = 0.0


MATERIALS = {
    'paint': Material('paint', 1.6, edge=0.0),
    'plain': Material('paint', 0.7),
    'carpet': Material('carpet', 0.8, edge=0.0),
    'parquet': Material('parquet', 1.5, edge=0.0),
    'tiles': Material('tiles', 1.2, edge=0.0),
    'wood': Material('wood', 1.1, grain=True),
    'fabric': Material('fabric', 0.5, edge=0.4),
    'quilt': Material('quilt', 1.2, edge=0.35),
    'plaid': Material('plaid', 0.9, edge=0.35),
    'rug': Material('rug', 0.0, edge=0.0),
    'books': Material('books', 0.8, edge=0.1),
    'door': Material('door', 0.0, edge=0.1),
    'curtain': Material('curtain', 0.6),
    'blinds': Material('blinds', 0.8, emission=0.25),
    'picture0': Material('picture0', 0.0, edge=0.0),
    'picture1': Material('picture1', 0.0, edge=0.0),
    'picture2': Material('picture2', 0.0, edge=0.0),
    'page': Material('page', 0.0, edge=0.0),
    'sky': Material('sky', 0.0, edge=0.0, emission=1.5),
    'screen': Material('screen', 0.0, edge=0.0),
    'lamp': Material('paint', 1.0, edge=0.0, emission=2.0),
}


def _noise(rng: np.random.Generator, sigma_u: float, sigma_v: float) -> np.ndarray:
    """Return periodic noise (SIDE, SIDE) of unit deviation, Gaussian-blurred (sigma in texels)."""
    spectrum = np.fft.rfft2(rng.standard_normal((SIDE, SIDE)))
    frequency_u, frequency_v = np.fft.rfftfreq(SIDE), np.fft.fftfreq(SIDE)[:, None]
    spectrum *= np.exp(-2 * np.pi ** 2 * (
        (frequency_u * sigma_u) ** 2 + (frequency_v * sigma_v) ** 2))
    spectrum[0, 0] = 0
    noise = np.fft.irfft2(spectrum, s=(SIDE, SIDE))
    return noise / noise.std()


def _patches(rng: np.random.Generator, widths: tuple[int, int]) -> np.ndarray:
    """Return an index (SIDE,) that steps up after random widths, as book spines do."""
    steps = np.cumsum(rng.integers(*widths, size=SIDE))
    return np.searchsorted(steps, np.arange(SIDE), side='right')


def _pictures(rng: np.random.Generator) -> np.ndarray:
    """Return an abstract painting (SIDE, SIDE, 3) on a white mount."""
    layers = np.stack([_noise(rng, 30, 14) for _ in range(3)], -1)
    painting = rng.uniform(0.15, 0.5) + 0.07 * layers + 0.09 * layers[..., :1]
    horizon = rng.integers(90, 170)
    painting[:horizon] += rng.uniform(0.1, 0.3, 3)
    picture = np.full((SIDE, SIDE, 3), 0.85)
    picture[28:-28, 28:-28] = painting[28:-28, 28:-28]
    return picture


@cache
def textures() -> tuple[np.ndarray, dict[str, int]]:
    """Return all textures in one uint8 picture, and the row at which each one starts."""
    rng = np.random.default_rng(2017)
    v, u = np.mgrid[:SIDE, :SIDE]
    wood = 0.78 + 0.09 * _noise(rng, 24, 0.8) + 0.06 * _noise(rng, 60, 5)
    plank = u * 0 + v // 32
    shade = rng.uniform(0.72, 1.0, (8, 3))[plank, (u + 83 * plank) % SIDE // 86]
    seam = np.minimum(v % 32, (u + 83 * plank) % SIDE % 86) < 1
    squares = np.minimum(u % 64, v % 64) < 2
    weave = 0.8 + 0.05 * ((u // 2 + v // 2) % 2) + 0.07 * _noise(rng, 1, 1)
    stripes = np.repeat(rng.uniform(0.35, 1.0, (16, 3)), 16, axis=0)
    petals = (_noise(rng, 9, 9) > 0.9)[..., None] * rng.uniform(-0.5, 0.0, 3)
    border = np.minimum(np.minimum(u, 255 - u), np.minimum(v, 255 - v))[..., None]
    ornament = np.abs(_noise(rng, 8, 8) + np.cos(u / 10) * np.cos(v / 10))[..., None] > 1
    spine = _patches(rng, (5, 15))
    tints = np.array(((0.5, 0.45, 0.38), (0.25, 0.04, 0.03), (0.04, 0.06, 0.13),
                      (0.06, 0.09, 0.06), (0.3, 0.17, 0.08), (0.05, 0.05, 0.05),
                      (0.7, 0.68, 0.62), (0.45, 0.3, 0.1)))
    spines = tints[rng.integers(8, size=SIDE)] * rng.uniform(0.6, 1.3, (SIDE, 1))
    gap = np.diff(spine, prepend=-1) > 0
    title = (np.abs(v - rng.integers(60, 200, SIDE)[spine]) < 16) & (u % 7 > 2)
    books = np.where(title[..., None], 0.6, spines[spine]) * np.where(gap, 0.2, 1.0)[:, None]
    frame_u, frame_v = np.abs(np.abs(u - 128) - 62), np.abs(np.abs(v - 128) - 64)
    panel = np.maximum(frame_u - 38, frame_v - 44)
    line = np.where(np.abs(panel) < 3, 0.8 - 0.05 * np.sign(panel), 0.95)
    trees = _noise(rng, 8, 6)[..., None] * 0.06
    sky = np.where(v[..., None] < 150 + 18 * np.sin(u / 30.)[..., None],
                   (0.86, 0.93, 1.0), np.array((0.2, 0.23, 0.17)) + trees)
    page = np.where((np.minimum(u, v) > 24) & (v % 14 < 5) & (np.maximum(u, v) < 232), 0.55, 0.95)
    images = {
        'paint': 0.94 + 0.01 * _noise(rng, 2, 2) + 0.015 * _noise(rng, 40, 40),
        'carpet': 0.76 + 0.1 * _noise(rng, 0.7, 0.7) + 0.045 * _noise(rng, 12, 12),
        'parquet': np.where(seam, 0.4, shade * wood * 1.15),
        'tiles': np.where(squares, 0.55, 0.88 + 0.04 * _noise(rng, 6, 6)),
        'wood': wood,
        'fabric': weave,
        'quilt': weave[..., None] + petals,
        'plaid': weave[..., None] * (stripes[u] + stripes[v]) * 0.6,
        'rug': np.where(border < 26, np.where(border // 6 % 2, 0.35, 0.85),
                        np.where(ornament, (0.9, 0.75, 0.55), (0.5, 0.45, 0.5))),
        'books': books,
        'door': line + 0.01 * _noise(rng, 2, 20),
        'curtain': 0.7 + 0.2 * np.sin(u * 2 * np.pi / 32) + 0.07 * _noise(rng, 6, 60),
        'blinds': np.where(v % 16 < 3, 0.5, 0.95) + 0.0 * u,
        'picture0': _pictures(rng), 'picture1': _pictures(rng), 'picture2': _pictures(rng),
        'page': page,
        'sky': sky,
        'screen': 0.4 + 0.5 * (u + v > 300) + 0.1 * _noise(rng, 30, 30),
    }
    rows, bands = {}, []
    for name, image in images.items():
        image = np.broadcast_to(image if image.ndim == 3 else image[..., None], (SIDE, SIDE, 3))
        image = np.round(255 * image.clip(0, 1)).astype(np.uint8)
        rows[name] = len(bands) * (SIDE + 1)
        for sigma in BLURS:
            wide = cv2.copyMakeBorder(image, 16, 17, 16, 17, cv2.BORDER_WRAP)
            wide = cv2.GaussianBlur(wide, (0, 0), sigma) if sigma else wide
            bands.append(wide[16:-16, 16:-16])
    return np.ascontiguousarray(np.concatenate(bands)), rows


@dataclass(frozen=True)
class Box:
    """A cuboid: centre and half extents in metres, turned by ``yaw`` about the vertical."""

    centre: tuple[float, float, float]
    half: tuple[float, float, float]
    label: int
    material: str
    colour: tuple[float, float, float]
    yaw: float = 0.0

    def placed(self, x: float, y: float, yaw: float) -> Box:
        """Return the box turned by ``yaw`` about the origin, then moved by (x, y)."""
        cos, sin = np.cos(yaw), np.sin(yaw)
        centre = (x + cos * self.centre[0] - sin * self.centre[1],
                  y + sin * self.centre[0] + cos * self.centre[1], self.centre[2])
        quarters = (self.yaw + yaw) / (np.pi / 2)
        if abs(quarters - round(quarters)) > 1e-9:
            return replace(self, centre=centre, yaw=self.yaw + yaw)
        u, v, w = self.half
        half = (v, u, w) if round(quarters) % 2 else self.half
        return replace(self, centre=centre, half=half, yaw=0.0)

    def bounds(self) -> np.ndarray:
        """Return the lowest and the highest coordinates, (2, 3), of the turned box."""
        cos, sin = abs(np.cos(self.yaw)), abs(np.sin(self.yaw))
        reach = np.array((cos * self.half[0] + sin * self.half[1],
                          sin * self.half[0] + cos * self.half[1], self.half[2]))
        return np.array((self.centre - reach, self.centre + reach))


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


class Hits(NamedTuple):
    """Which rays met a box (flat indices), at which ray parameter, and on which face."""

    rays: np.ndarray
    at: np.ndarray
    faces: np.ndarray


class View(NamedTuple):
    """The nearest surface along each ray: ray parameter (float32) and face (int)."""

    depth: np.ndarray
    faces: np.ndarray


@dataclass
class Geometry:
    """Boxes as arrays. The first box is the room around the others."""

    boxes: list[Box]
    low: np.ndarray = field(init=False)
    high: np.ndarray = field(init=False)
    to_face: np.ndarray = field(init=False)
    extent: np.ndarray = field(init=False)
    corner: np.ndarray = field(init=False)
    axes: np.ndarray = field(init=False)

    def __post_init__(self):
        half = np.array([box.half for box in self.boxes])
        self.low, self.high = -half.astype(np.float32), half.astype(np.float32)
        self.corner = np.zeros((6 * len(half), 3))
        self.axes = np.zeros((6 * len(half), 3, 3))  # rows: u, v, normal
        self.extent = np.zeros((6 * len(half), 2))
        for index, box in enumerate(self.boxes):
            cos, sin = np.cos(box.yaw), np.sin(box.yaw)
            own = np.array(((cos, sin, 0), (-sin, cos, 0), (0, 0, 1)))
            for axis, (u, v) in enumerate(((1, 2), (0, 2), (0, 1))):
                if MATERIALS[box.material].grain and half[index, u] < half[index, v]:
                    u, v = v, u
                for side in (0, 1):
                    face = 6 * index + 2 * axis + side
                    sign = 2 * side - 1
                    # Upright textures hang from the top of a wall: v runs down.
                    down = -1 if v == 2 else 1
                    self.corner[face] = (np.array(box.centre) + sign * half[index, axis]
                                         * own[axis] - half[index, u] * own[u]
                                         - down * half[index, v] * own[v])
                    normal = own[axis] * (-sign if index == 0 else sign)
                    self.axes[face] = own[u], down * own[v], normal
                    self.extent[face] = 2 * half[index, u], 2 * half[index, v]
        offset = -np.einsum('fij,fj->fi', self.axes[:, :2], self.corner)
        self.to_face = np.concatenate((self.axes[:, :2], offset[..., None]), 2).astype(np.float32)

    def cast(self, index: int, origin: list, rays: list, farther: np.ndarray) -> Hits:
        """
        Intersect rays with one box.

        ``origin`` and ``rays`` are three numbers or arrays of world coordinates. The hit gives
        the flat indices of the rays that the box stops nearer than ``farther``.
        """
        box = self.boxes[index]
        origin = [value - np.float32(c) for value, c in zip(origin, box.centre)]
        if box.yaw:
            cos, sin = np.float32(np.cos(box.yaw)), np.float32(np.sin(box.yaw))
            origin = [cos * origin[0] + sin * origin[1], cos * origin[1] - sin * origin[0],
                      origin[2]]
            rays = [cos * rays[0] + sin * rays[1], cos * rays[1] - sin * rays[0], rays[2]]
        enter, leave = [], []
        for axis in range(3):
            inverse = 1 / rays[axis]
            one = (self.low[index, axis] - origin[axis]) * inverse
            two = (self.high[index, axis] - origin[axis]) * inverse
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

    def nearest(self, indices: list[int], origins: np.ndarray, rays: np.ndarray) -> View:
        """Return ray parameters and faces, (n,) each, of the first hits among some boxes."""
        depth = np.full(len(rays), np.inf, np.float32)
        faces = np.zeros(len(rays), np.int64)
        for start in range(0, len(rays), 16384):  # what fits into the cache
            part = slice(start, start + 16384)
            origin, ray = list(origins[part].T.copy()), list(rays[part].T.copy())
            for index in indices:
                hit, at, face = self.cast(index, origin, ray, depth[part])
                depth[part][hit], faces[part][hit] = at, face
        return View(depth, faces)

    def on_face(self, faces: np.ndarray, points: list[np.ndarray]) -> tuple[np.ndarray, ...]:
        """Return the coordinates u and v, metres from the face's corner, of world points."""
        table = self.to_face[faces]
        return tuple(table[..., k, 0] * points[0] + table[..., k, 1] * points[1]
                     + table[..., k, 2] * points[2] + table[..., k, 3] for k in (0, 1))


class Illumination:
    """
    Diffuse light on every face: soft shadows and four bounces, sampled on a grid once.

    Radiosity with cosine-weighted rays that all samples of a face share, so that what is left of
    the sampling error is smooth.
    """

    BOUNCES = 4

    def __init__(self, geometry: Geometry, albedo: np.ndarray, lights: list[Light]):
        self.geometry = geometry
        extent = geometry.extent
        self.count = np.clip(np.ceil(extent / CELL).astype(int) + 1, 2, 56)
        self.row = np.concatenate(([0], np.cumsum(self.count[:, 1])[:-1]))
        self.scale = ((self.count - 1) / extent).astype(np.float32)
        face, u, v = [], [], []
        for index, (across, down) in enumerate(self.count):
            grid_v, grid_u = np.mgrid[:down, :across]
            face.append(np.full(across * down, index))
            u.append(grid_u.ravel())
            v.append(grid_v.ravel())
        face, u, v = map(np.concatenate, (face, u, v))
        # Off the edges and the surface, where the neighbouring face would shade the sample.
        inset = np.minimum(0.012, 0.2 * extent)[face]
        uv = np.clip(np.stack((u, v), 1) / self.scale[face], inset, extent[face] - inset)
        axes = geometry.axes[face]
        points = (geometry.corner[face] + uv[:, :1] * axes[:, 0] + uv[:, 1:] * axes[:, 1]
                  + 2e-3 * axes[:, 2]).astype(np.float32)
        self.casters = [index for index, box in enumerate(geometry.boxes)
                        if sorted(box.half)[1] > 0.1]
        with np.errstate(divide='ignore', invalid='ignore'):
            direct = sum(self._direct(points, axes[:, 2], light) for light in lights)
            sources = self._sources(points, axes)
        total = direct
        cells = (self.row[face] + v) * 56 + u
        image = np.zeros((int(self.count[:, 1].sum()) * 56, 3), np.float32)
        for _ in range(self.BOUNCES):
            image[cells] = total * albedo[face]
            total = direct + image[sources].mean(1)
        image[cells] = total
        self.image = image.reshape(-1, 56, 3)

    def _direct(self, points: np.ndarray, normals: np.ndarray, light: Light) -> np.ndarray:
        """Return what arrives straight from a light, (n, 3)."""
        total = np.zeros(len(points), np.float32)
        samples = light.samples()
        shadows = self.casters[1:]
        for sample in samples:
            way = (sample - points).astype(np.float32)
            square = np.einsum('ni,ni->n', way, way)
            cosines = np.einsum('ni,ni->n', way, normals) * -(way @ np.asarray(light.normal))
            facing = (np.einsum('ni,ni->n', way, normals) > 0) & (cosines > 0)
            lit = np.flatnonzero(facing)
            depth, _ = self.geometry.nearest(shadows, points[lit], way[lit])
            lit = lit[depth > 1]
            total[lit] += cosines[lit] / np.maximum(square[lit], 0.04) ** 2
        return total[:, None] / len(samples) * np.asarray(light.colour, np.float32)

    def _sources(self, points: np.ndarray, axes: np.ndarray) -> np.ndarray:
        """Return the grid cells, (n, k), that a sample sees along its cosine-weighted rays."""
        rings, spokes = 3, 6
        radius = np.sqrt((np.arange(rings) + 0.5) / rings).repeat(spokes)
        angle = 2 * np.pi * (np.arange(rings * spokes) / spokes + 0.37 * radius)
        own = np.stack((radius * np.cos(angle), radius * np.sin(angle), np.sqrt(1 - radius ** 2)))
        rays = np.einsum('ik,nij->nkj', own, axes).reshape(-1, 3).astype(np.float32)
        origins = points.repeat(rings * spokes, axis=0)
        depth, faces = self.geometry.nearest(self.casters, origins, rays)
        hits = origins + depth[:, None] * rays
        u, v = self.geometry.on_face(faces, list(hits.T))
        x = np.clip(np.rint(u * self.scale[faces, 0]).astype(int), 0, self.count[faces, 0] - 1)
        y = np.clip(np.rint(v * self.scale[faces, 1]).astype(int), 0, self.count[faces, 1] - 1)
        return ((self.row[faces] + y) * 56 + x).reshape(len(points), -1)

    def at(self, faces: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Return the light, float32 (H, W, 3), at face coordinates (H, W)."""
        x = u * self.scale[faces, 0]
        y = v * self.scale[faces, 1] + self.row[faces].astype(np.float32)
        return cv2.remap(self.image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
