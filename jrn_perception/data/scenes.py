# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Procedural pictures of indoor rooms with exact depth and labels.

The tests, the demo and the sample recording need pictures that anybody may have and whose ground
truth has no noise; no picture of a data set is in the package.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import cv2
from jrn_perception.data.frame import Frame
from jrn_perception.data.primitives import (
    Box,
    Geometry,
    Illumination,
    Light,
    MATERIALS,
    SIDE,
    textures,
    View,
)
from jrn_perception.labels import NYU40
import numpy as np

WOODS = ((0.11, 0.05, 0.025), (0.26, 0.1, 0.045), (0.42, 0.25, 0.12), (0.6, 0.43, 0.25),
         (0.78, 0.76, 0.72), (0.04, 0.037, 0.035))
PAINTS = ((0.8, 0.74, 0.63), (0.78, 0.77, 0.74), (0.68, 0.55, 0.36), (0.5, 0.6, 0.64),
          (0.62, 0.66, 0.48), (0.82, 0.79, 0.77), (0.7, 0.5, 0.4))
FLOORS = (('carpet', (0.46, 0.37, 0.27)), ('carpet', (0.33, 0.32, 0.31)),
          ('carpet', (0.3, 0.22, 0.16)), ('parquet', (0.62, 0.36, 0.18)),
          ('parquet', (0.4, 0.2, 0.1)), ('tiles', (0.62, 0.56, 0.48)))
WHITE, GREY, BLACK, BRASS = (0.82,) * 3, (0.3,) * 3, (0.02,) * 3, (0.5, 0.38, 0.16)


class Pose(NamedTuple):
    """Where the camera is: world position (3,); rows of ``rotation`` are right, down, forward."""

    position: np.ndarray
    rotation: np.ndarray


def _box(label: str, material: str, colour: tuple, *spans: tuple[float, float]) -> Box:
    """Return the box between the given (low, high) along x, y and z."""
    return Box(tuple((low + high) / 2 for low, high in spans),
               tuple((high - low) / 2 for low, high in spans),
               NYU40.names.index(label), material, colour)


class Furniture:
    """
    Builds furniture of one style.

    A piece stands at the origin with its back on y = 0, faces +y, and is centred on x = 0.
    """

    def __init__(self, rng: np.random.Generator):
        self.rng = rng
        self.wood, self.dark = (WOODS[k] for k in rng.permutation(len(WOODS))[:2])
        self.fabric, self.cover, self.accent = (self.dye() for _ in range(3))

    def dye(self) -> tuple:
        """Return a random colour of cloth."""
        value, hue = self.rng.uniform(0.08, 0.6), self.rng.dirichlet((2.5, 2.2, 2.0))
        return tuple(value * (0.5 + 0.5 * hue / hue.max()))

    def between(self, low: float, high: float) -> float:
        """Return a random size."""
        return float(self.rng.uniform(low, high))

    def legs(self, label: str, x: float, y0: float, y1: float, top: float, w: float) -> list[Box]:
        """Return four square legs of thickness ``w``."""
        return [_box(label, 'wood', self.wood, (sx * x - w / 2, sx * x + w / 2), (y, y + w),
                     (0, top)) for sx in (-1, 1) for y in (y0, y1 - w)]

    def clutter(self, x: float, y: float, z: float, count: int) -> list[Box]:
        """Return small things on a top of half width ``x`` and depth ``y`` at height ``z``."""
        things = []
        for slot in self.rng.permutation(6)[:count]:
            at, kind = (slot - 2.5) / 3 * x, self.rng.integers(4)
            label, material = (('books', 'plain'), ('otherprop', 'plain'), ('paper', 'page'),
                               ('box', 'plain'))[kind]
            w, d, h = ((0.2, 0.14, 0.08), (0.09, 0.09, self.between(0.1, 0.25)),
                       (0.21, 0.29, 0.004), (0.2, 0.15, 0.12))[kind]
            thing = _box(label, material, WHITE if kind == 2 else self.dye(),
                         (-w / 2, w / 2), (-d / 2, d / 2), (z + 0.001, z + h))
            things.append(thing.placed(at, self.between(0.2, max(0.21, y - 0.18)),
                                       self.between(-0.6, 0.6)))
        return things

    def table(self, label: str = 'table', w: float = 1.2, d: float = 0.75, h: float = 0.74):
        """Return a table, or a desk, with things on it."""
        return [_box(label, 'wood', self.wood, (-w / 2, w / 2), (0, d), (h - 0.035, h)),
                _box(label, 'wood', self.wood, (-w / 2 + .06, w / 2 - .06), (0.06, d - 0.06),
                     (h - 0.11, h - 0.036)),
                *self.legs(label, w / 2 - 0.07, 0.04, d - 0.04, h - 0.036, 0.055),
                *self.clutter(w / 2 - 0.1, d, h, self.rng.integers(1, 4))]

    def chair(self) -> list[Box]:
        """Return a chair with a padded seat."""
        post = [_box('chair', 'wood', self.wood, (sx * 0.19 - 0.02, sx * 0.19 + 0.02),
                     (0, 0.035), (0.4, 0.95)) for sx in (-1, 1)]
        rails = [_box('chair', 'wood', self.wood, (-0.17, 0.17), (0.008, 0.028), (z, z + 0.08))
                 for z in (0.6, 0.72, 0.85)]
        return [_box('chair', 'wood', self.wood, (-0.22, 0.22), (0, 0.43), (0.38, 0.42)),
                _box('chair', 'fabric', self.accent, (-0.2, 0.2), (0.04, 0.42), (0.42, 0.46)),
                *self.legs('chair', 0.19, 0, 0.43, 0.38, 0.04), *post, *rails]

    def dining(self) -> list[Box]:
        """Return a table with chairs around it."""
        w, d = self.between(1.1, 1.6), self.between(0.75, 0.95)
        boxes = [box.placed(0, 0.75, 0) for box in self.table('table', w, d)]
        for x in (-w / 4, w / 4):
            for y, turn in ((0.1, 0), (d + 1.4, np.pi)):
                turn += self.between(-0.25, 0.25)
                pulled = y + self.between(0, 0.2) * np.cos(turn)
                boxes += [box.placed(x, pulled, turn) for box in self.chair()]
        return boxes

    def workplace(self) -> list[Box]:
        """Return a desk with a screen, and a chair before it."""
        w = self.between(1.1, 1.5)
        side = self.rng.choice((-1, 1))
        drawers = [_box('desk', 'wood', self.wood, (side * (w / 2 - 0.24) - 0.2,
                                                    side * (w / 2 - 0.24) + 0.2),
                        (0.05, 0.6), (0.08 + k * 0.18, 0.25 + k * 0.18)) for k in range(3)]
        screen = [_box('television', 'plain', BLACK, (-0.05, 0.05), (0.2, 0.26), (0.741, 0.84)),
                  _box('television', 'plain', BLACK, (-0.26, 0.26), (0.2, 0.24), (0.84, 1.17)),
                  _box('television', 'screen', (0.05, 0.06, 0.08), (-0.24, 0.24),
                       (0.24, 0.243), (0.86, 1.15))]
        turn = np.pi + self.between(-0.5, 0.5)
        chair = [box.placed(-side * 0.15, 1.15, turn) for box in self.chair()]
        return self.table('desk', w, 0.65) + drawers + screen + chair

    def sofa(self, seats: int | None = None) -> list[Box]:
        """Return a sofa with cushions; one seat makes an armchair."""
        seats = seats or int(self.rng.integers(2, 4))
        x = seats * 0.33
        cloth = ('sofa', 'fabric', self.fabric)
        boxes = [_box(*cloth, (-x, x), (0.04, 0.85), (0.08, 0.3)),
                 _box(*cloth, (-x, x), (0.04, 0.24), (0.3, 0.72))]
        boxes += [_box(*cloth, (sx * x + min(0, sx * 0.19), sx * x + max(0, sx * 0.19)),
                       (0.04, 0.87), (0.06, 0.6)) for sx in (-1, 1)]
        for k in range(seats):
            left = -x + 0.66 * k
            boxes += [_box(*cloth, (left + 0.008, left + 0.652), (0.24, 0.88), (0.301, 0.44)),
                      _box(*cloth, (left + 0.015, left + 0.645), (0.24, 0.4), (0.441, 0.84))]
        for sx in (-1, 1)[:seats]:
            pillow = _box('pillow', 'fabric', self.accent, (-0.2, 0.2), (-0.06, 0.06), (0.45, 0.8))
            boxes.append(pillow.placed(sx * (x - 0.24) if seats > 1 else 0, 0.5,
                                       sx * self.between(-0.1, 0.5)))
        return boxes

    def lounge(self) -> list[Box]:
        """Return a sofa, a rug and a low table."""
        aside, w = self.between(-0.2, 0.2), self.between(0.8, 1.1)
        low = [box.placed(aside, 1.15, 0) for box in self.table('table', w, 0.55, 0.42)]
        rug = _box('floor mat', 'rug', self.dye(), (-1.0, 1.0), (0.9, 2.1), (0.001, 0.012))
        return [*self.sofa(), rug, *low]

    def bed(self) -> list[Box]:
        """Return a bed with pillows, its head at the wall."""
        x, length = self.between(0.5, 0.85), self.between(1.95, 2.1)
        cover = ('quilt', 'plaid', 'fabric')[self.rng.integers(3)]
        boxes = [_box('bed', 'wood', self.wood, (-x - .03, x + .03), (0, 0.05), (0, 1.0)),
                 _box('bed', 'wood', self.wood, (-x, x), (0.05, length), (0.1, 0.26)),
                 _box('bed', 'fabric', WHITE, (-x + .01, x - .01), (0.05, length), (0.26, 0.5)),
                 _box('bed', cover, self.cover, (-x - .03, x + .03), (0.62, length + 0.03),
                      (0.16, 0.535)),
                 _box('bed', 'fabric', WHITE, (-x - 0.02, x + 0.02), (0.55, 0.72), (0.3, 0.545))]
        boxes += self.legs('bed', x - 0.05, 0.05, length, 0.1, 0.07)
        for px in ((-x / 2, x / 2) if x > 0.65 else (0,)):
            for y, h, colour in ((0.13, 0.42, WHITE), (0.33, 0.3, self.accent)):
                pillow = _box('pillow', 'fabric', colour, (-h * 0.75, h * 0.75), (-0.075, 0.075),
                              (0.501, 0.501 + h))
                boxes.append(pillow.placed(px, y, self.between(-0.12, 0.12)))
        side = self.rng.choice((-1, 1)) * (x + 0.32)
        return boxes + [box.placed(side, 0, 0) for box in self.night_stand()]

    def night_stand(self) -> list[Box]:
        """Return a night stand with a lamp on it."""
        boxes = self.chest('night stand', 0.44, 0.38, 0.55, 1, 2)
        return boxes + [_box('lamp', 'plain', self.accent, (-0.05, 0.05), (0.15, 0.25),
                             (0.551, 0.8)),
                        _box('lamp', 'lamp', (0.75, 0.62, 0.42), (-0.13, 0.13), (0.07, 0.33),
                             (0.8, 1.02))]

    def chest(self, label: str, w: float, d: float, h: float, columns: int, rows: int):
        """Return a body with drawer or door fronts and handles."""
        boxes = [_box(label, 'wood', self.dark, (-w / 2, w / 2), (0, d), (0.06, h - 0.03)),
                 _box(label, 'wood', self.dark, (-w / 2 - .015, w / 2 + .015), (0, d + 0.03),
                      (h - 0.03, h)),
                 _box(label, 'plain', BLACK, (-w / 2 + .02, w / 2 - .02), (0, d - 0.04),
                      (0, 0.06))]
        dx, dz = w / columns, (h - 0.1) / rows
        for k in range(columns * rows):
            x, z = -w / 2 + k % columns * dx, 0.065 + k // columns * dz
            boxes += [_box(label, 'wood', self.dark, (x + .01, x + dx - .01), (d, d + 0.018),
                           (z + 0.008, z + dz - 0.008)),
                      _box(label, 'plain', BRASS, (x + dx / 2 - .05, x + dx / 2 + .05),
                           (d + 0.018, d + 0.04), (z + dz * 0.6, z + dz * 0.6 + 0.015))]
        return boxes

    def cabinet(self) -> list[Box]:
        """Return a cabinet with things on it."""
        w, h = self.between(0.8, 1.4), self.between(0.75, 1.05)
        return [*self.chest('cabinet', w, 0.45, h, int(self.rng.integers(2, 4)), 1),
                *self.clutter(w / 2 - 0.08, 0.45, h, 3)]

    def dresser(self) -> list[Box]:
        """Return a chest of drawers with a television on it."""
        boxes = self.chest('dresser', self.between(1.0, 1.4), 0.48, 0.8, 2, 3)
        tv = ('television', 'plain', BLACK)
        return boxes + [_box(*tv, (-0.15, 0.15), (0.15, 0.33), (0.801, 0.82)),
                        _box(*tv, (-0.04, 0.04), (0.21, 0.24), (0.82, 0.9)),
                        _box(*tv, (-0.45, 0.45), (0.2, 0.25), (0.88, 1.42)),
                        _box('television', 'screen', (0.04, 0.045, 0.06), (-0.42, 0.42),
                             (0.25, 0.253), (0.91, 1.39))]

    def bookshelf(self) -> list[Box]:
        """Return a bookshelf, its boards partly full."""
        w, h, shelves = self.between(0.7, 1.1), self.between(1.6, 2.05), 5
        wood = ('bookshelf', 'wood', self.dark)
        boxes = [_box(*wood, (sx * w / 2 - 0.012, sx * w / 2 + 0.012), (0, 0.3), (0, h))
                 for sx in (-1, 1)]
        boxes.append(_box(*wood, (-w / 2, w / 2), (0, 0.012), (0.02, h - 0.01)))
        step = (h - 0.1) / shelves
        for k in range(shelves + 1):
            z = 0.06 + k * step
            boxes.append(_box(*wood, (-w / 2 + .012, w / 2 - .012), (0.012, 0.295), (z, z + .022)))
            x = -w / 2 + 0.02
            while k < shelves and x < w / 2 - 0.14:
                run = min(self.between(0.12, 0.4), w / 2 - 0.02 - x)
                top, kind = z + 0.023 + self.between(0.55, 0.85) * (step - 0.03), self.rng.random()
                if kind < 0.75:
                    boxes.append(_box('books', 'books', (0.9, 0.88, 0.82), (x, x + run),
                                      (0.03, self.between(0.19, 0.27)), (z + 0.023, top)))
                elif kind < 0.88:
                    boxes.append(_box('otherprop', 'plain', self.dye(), (x + .02, x + .12),
                                      (0.1, 0.2), (z + 0.023, top)))
                x += run + 0.01
        return boxes

    def floor_lamp(self) -> list[Box]:
        """Return a lamp on a pole."""
        return [_box('lamp', 'plain', BLACK, (-0.13, 0.13), (0.05, 0.31), (0, 0.03)),
                _box('lamp', 'plain', BRASS, (-0.015, 0.015), (0.165, 0.195), (0.03, 1.35)),
                _box('lamp', 'lamp', (0.75, 0.62, 0.42), (-0.17, 0.17), (0.02, 0.36),
                     (1.35, 1.65))]

    def carton(self) -> list[Box]:
        """Return a cardboard box, askew."""
        w, d, h = self.between(0.3, 0.5), self.between(0.3, 0.4), self.between(0.2, 0.45)
        kind = self.rng.integers(3)
        label, material, colour = (('box', 'plain', (0.42, 0.27, 0.14)),
                                   ('bag', 'fabric', self.dye()),
                                   ('otherprop', 'plain', self.dye()))[kind]
        carton = _box(label, material, colour, (-w / 2, w / 2), (-d / 2, d / 2), (0, h))
        return [carton.placed(0, 0.36, self.between(-0.5, 0.5))]

    def door(self) -> list[Box]:
        """Return a closed door in its frame."""
        x = self.between(0.38, 0.45)
        colour = WHITE if self.rng.random() < 0.6 else self.wood
        return [_box('door', 'door', colour, (-x, x), (0, 0.025), (0.005, 2.02)),
                *[_box('door', 'plain', colour, (sx * (x + .05) - .05, sx * (x + .05) + .05),
                       (0, 0.04), (0, 2.02)) for sx in (-1, 1)],
                _box('door', 'plain', colour, (-x - 0.1, x + 0.1), (0, 0.04), (2.02, 2.12)),
                _box('door', 'plain', BRASS, (x - 0.1, x - 0.05), (0.025, 0.075), (0.98, 1.03))]

    def window(self) -> list[Box]:
        """Return a window; often with blinds or curtains."""
        x, low, high = self.between(0.5, 0.85), self.between(0.85, 1.05), self.between(1.95, 2.15)
        frame = ('window', 'plain', WHITE)
        boxes = [_box('window', 'sky', (1.0, 1.0, 1.0), (-x, x), (0, 0.008), (low, high)),
                 _box(*frame, (-x - 0.1, x + 0.1), (0, 0.09), (low - 0.05, low)),
                 _box(*frame, (-x - 0.07, x + 0.07), (0, 0.05), (high, high + 0.07))]
        boxes += [_box(*frame, (px - .03, px + .03), (0, 0.04), (low, high))
                  for px in (-x - 0.03, 0, x + 0.03)]
        cover = self.rng.integers(3)
        if cover == 1:
            bottom = self.between(low + 0.05, high - 0.4)
            boxes.append(_box('blinds', 'blinds', WHITE, (-x - .02, x + .02), (0.05, 0.07),
                              (bottom, high + 0.03)))
        elif cover == 2:
            boxes += [_box('curtain', 'curtain', self.cover, (sx * (x + .1) - .24,
                                                              sx * (x + .1) + .24),
                           (0.1, 0.16), (0.06, high + 0.12)) for sx in (-1, 1)]
        return boxes

    def picture(self) -> list[Box]:
        """Return a framed picture at eye height."""
        x, z, bottom = self.between(0.18, 0.45), self.between(0.35, 0.65), self.between(1.25, 1.4)
        art = f'picture{self.rng.integers(3)}'
        return [_box('picture', 'plain', self.dark, (-x, x), (0, 0.022), (bottom, bottom + z)),
                _box('picture', art, (0.9, 0.9, 0.9), (-x + .03, x - .03), (0.022, 0.024),
                     (bottom + 0.03, bottom + z - 0.03))]


def furnish(rng: np.random.Generator, size: np.ndarray) -> list[Box]:
    """Return the boxes of a room of (width, depth, height) metres; the first is the room."""
    style = Furniture(rng)
    floor, colour = FLOORS[rng.integers(len(FLOORS))]
    room = _box('wall', 'paint', PAINTS[rng.integers(len(PAINTS))], *((0, s) for s in size))
    boxes, taken = [room], []
    rooms = ([style.bed, style.dresser, style.workplace], [style.lounge, style.dresser],
             [style.dining, style.cabinet, style.bookshelf], [style.workplace, style.sofa],
             [style.bed, style.bookshelf, lambda: style.sofa(1)])
    pieces = [style.door, style.window, *rooms[rng.integers(len(rooms))], style.bookshelf,
              style.cabinet, lambda: style.sofa(1), style.floor_lamp, style.carton, style.carton,
              style.chair, style.picture, style.picture, style.picture, style.window]
    for build in pieces:
        piece = build()
        for _ in range(40):
            wall = int(rng.integers(4))
            along = size[wall % 2]
            at = rng.uniform(0.1, along - 0.1)
            x, y = ((at, 0), (size[0], at), (size[0] - at, size[1]), (0, size[1] - at))[wall]
            placed = [box.placed(x, y, wall * np.pi / 2) for box in piece]
            bounds = np.array([box.bounds() for box in placed])
            low, high = bounds[:, 0].min(0), bounds[:, 1].max(0)
            if build == style.door:
                reach = 0.7 * np.array(((0, 1), (-1, 0), (0, -1), (1, 0)))[wall]
                low[:2], high[:2] = low[:2] + reach.clip(max=0), high[:2] + reach.clip(min=0)
            inside = (low[:2] > -1e-6).all() and (high[:2] < size[:2] + 1e-6).all()
            if inside and all((low >= b + 0.04).any() or (high <= a - 0.04).any()
                              for a, b in taken):
                boxes += placed
                taken.append((low, high))
                break
    for wall in range(4):
        along = size[wall % 2] / 2
        board = _box('wall', 'plain', WHITE, (-along, along), (0, 0.012), (0, 0.09))
        x, y = ((along, 0), (size[0], along), (along, size[1]), (0, along))[wall]
        boxes.append(board.placed(x, y, wall * np.pi / 2))
    x, y = size[:2] / 2 + rng.uniform(-0.4, 0.4, 2)
    boxes.append(_box('otherstructure', 'lamp', (1.0, 0.95, 0.86), (x - 0.22, x + 0.22),
                      (y - 0.22, y + 0.22), (size[2] - 0.07, size[2])))
    return [*boxes, _box('floor', floor, colour, (0, size[0]), (0, size[1]), (-0.1, 0.0))]


class Scene:
    """
    A furnished room, drawn from a seed, and a hand-held camera on its way through it.

    ``boxes`` are what stands in the room; the first is the room itself (from the origin to
    ``size``). The light falls once, when the room is built; a picture then is one look-up per
    pixel.
    """

    def __init__(self, seed: int):
        self.seed = seed
        rng = np.random.default_rng(seed)
        self.size = np.array((rng.uniform(3.4, 5.0), rng.uniform(3.4, 5.0),
                              rng.uniform(2.4, 2.75)))
        *self.boxes, ground = furnish(rng, self.size)
        self.geometry = Geometry(self.boxes)
        self._surfaces(rng, ground)
        self.light = Illumination(self.geometry, self._albedo, self._lights(rng))
        self._tint = np.array((1.05, 0.95, 0.93)) * rng.uniform(0.94, 1.06, 3)
        self._path(rng)
        self._expose()

    def _surfaces(self, rng: np.random.Generator, ground: Box) -> None:
        """Fill the tables by face: label, colour, emission, edges and place of the texture."""
        names = [MATERIALS[box.material] for box in self.boxes for _ in range(6)]
        colours = [box.colour for box in self.boxes for _ in range(6)]
        labels = [box.label for box in self.boxes for _ in range(6)]
        names[4], colours[4], labels[4] = MATERIALS[ground.material], ground.colour, ground.label
        colours[5], labels[5] = WHITE, NYU40.names.index('ceiling')
        self._labels = np.array(labels, np.uint8)
        self._colours = np.array(colours, np.float32)
        self._emission = np.array([name.emission for name in names], np.float32)
        self._edges = np.array([name.edge for name in names], np.float32)
        image, rows = textures()
        self._rows = np.array([rows[name.texture] for name in names], np.float32)
        metres = np.array([name.metres for name in names])[:, None]
        whole = metres == 0
        extent = self.geometry.extent
        scale = SIDE / np.where(whole, extent, metres)
        offset = np.where(whole, 0, rng.uniform(0, SIDE, extent.shape))
        self._scale, self._offset = scale.astype(np.float32), offset.astype(np.float32)
        mean = {row: image[row:row + SIDE].mean((0, 1)) / 255 for row in rows.values()}
        self._albedo = self._colours * np.array([mean[row] for row in self._rows], np.float32)

    def _lights(self, rng: np.random.Generator) -> list[Light]:
        """Return the ceiling light and the windows as lights."""
        day, lamp = rng.uniform(0.3, 1.6), rng.uniform(0.5, 1.2)
        lights = []
        for box in self.boxes:
            centre, half = np.array(box.centre), np.array(box.half)
            if box.material == 'sky':
                normal = np.zeros(3)
                axis = int(np.argmin(half[:2]))
                normal[axis] = np.sign(self.size[axis] / 2 - centre[axis])
                along = np.roll((1.0, 0.0, 0.0), 1 - axis) * half[1 - axis]
                lights.append(Light(tuple(centre + 0.18 * normal), (along, (0, 0, half[2])),
                                    tuple(normal), tuple(np.multiply((0.85, 0.95, 1.1), day))))
            elif box.label == NYU40.names.index('otherstructure'):
                centre[2] -= half[2] + 0.02
                lights.append(Light(tuple(centre), ((0.2, 0, 0), (0, 0.2, 0)), (0, 0, -1.0),
                                    tuple(np.multiply((1.1, 0.93, 0.72), lamp))))
        return lights

    def _path(self, rng: np.random.Generator) -> None:
        """Choose where the camera stands, looks and walks: of several tries, the best view."""
        self._height = rng.uniform(1.1, 1.55)
        self._pitch = np.radians(rng.uniform(4, 17))
        self._rates = rng.uniform(0.25, 0.45, 3)
        self._phases = rng.uniform(0, 2 * np.pi, 5)
        bounds = np.array([box.bounds() for box in self.boxes[1:]])
        solid = bounds[(bounds[:, 1, 2] > 0.25) & (bounds[:, 0, 2] < 2.0)][:, :, :2]
        spots = rng.uniform(0.5, self.size[:2] - 0.5, (400, 2))
        away = np.maximum(solid[:, 0] - spots[:, None], spots[:, None] - solid[:, 1]).clip(0)
        room = np.minimum(spots, self.size[:2] - spots).min(1)
        clearance = np.minimum(room, np.linalg.norm(away, axis=2).min(1))
        best = -np.inf
        for spot in np.argsort(-np.minimum(clearance, 0.75), kind='stable')[:16]:
            middle = self.size[:2] / 2 - spots[spot]
            yaw = np.arctan2(middle[1], middle[0]) + rng.normal(0, 0.35)
            self._anchor, self._yaw = spots[spot], yaw
            self._sway = float(np.clip((clearance[spot] - 0.3) / 1.5, 0.02, 0.4))
            depth, faces = self._look(self.pose(0.0), camera_matrix(24, 32), 24, 32)
            share = np.bincount(self._labels[faces].ravel(), minlength=len(NYU40)) / faces.size
            score = (np.minimum(share, 0.1).sum() + 0.1 * np.median(depth)
                     - 2 * (depth < 0.9).mean())
            if score > best:
                best, kept = score, (self._anchor, self._yaw, self._sway)
        self._anchor, self._yaw, self._sway = kept

    def pose(self, time: float) -> Pose:
        """Return where the camera is at ``time`` seconds."""
        swing = np.sin(self._rates * time + self._phases[:3])
        step = 2 * np.pi * 1.6 * time
        x, y = self._anchor + self._sway * swing[:2]
        yaw = self._yaw + 0.35 * (swing[2] - np.sin(self._phases[2]))
        pitch = self._pitch + 0.006 * np.sin(step + self._phases[3])
        roll = 0.012 * np.sin(step / 2 + self._phases[4])
        forward = np.array((np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch),
                            -np.sin(pitch)))
        level = np.array((np.sin(yaw), -np.cos(yaw), 0.0))
        below = np.cross(forward, level)
        right = np.cos(roll) * level + np.sin(roll) * below
        rotation = np.stack((right, np.cross(forward, right), forward))
        return Pose(np.array((x, y, self._height + 0.012 * np.sin(step))), rotation)

    def _look(self, pose: Pose, matrix: np.ndarray, height: int, width: int) -> View:
        """Return depth and visible faces, (H, W) each."""
        rays = _rays(pose, matrix, height, width)
        origin = list(pose.position.astype(np.float32))
        depth = np.full((height, width), np.inf, np.float32)
        faces = np.zeros((height, width), np.int64)
        signs = np.array(np.meshgrid((-1, 1), (-1, 1), (-1, 1))).reshape(3, 8).T
        with np.errstate(divide='ignore', invalid='ignore'):
            for index, box in enumerate(self.boxes):
                area = (slice(None), slice(None))
                corners = signs * box.half
                cos, sin = np.cos(box.yaw), np.sin(box.yaw)
                corners = corners @ ((cos, sin, 0), (-sin, cos, 0), (0, 0, 1)) + box.centre
                seen = (corners - pose.position) @ pose.rotation.T
                if index and seen[:, 2].max() < 0.05:
                    continue
                if index and seen[:, 2].min() > 0.05:
                    pixels = seen @ matrix.T
                    pixels = pixels[:, :2] / pixels[:, 2:]
                    low = np.clip(np.floor(pixels.min(0)).astype(int), 0, (width, height))
                    high = np.clip(np.ceil(pixels.max(0)).astype(int) + 1, 0, (width, height))
                    if (low >= high).any():
                        continue
                    area = (slice(low[1], high[1]), slice(low[0], high[0]))
                hit, at, face = self.geometry.cast(
                    index, origin, [ray[area] for ray in rays], depth[area])
                where = np.unravel_index(hit, depth[area].shape)
                depth[area][where], faces[area][where] = at, face
        return View(depth, faces)

    def _shade(self, pose: Pose, matrix: np.ndarray, view: View):
        """Return the light that the camera sees, linear float32 (H, W, 3)."""
        depth, faces = view
        rays = _rays(pose, matrix, *depth.shape)
        points = [np.float32(o) + depth * ray for o, ray in zip(pose.position, rays)]
        u, v = self.geometry.on_face(faces, points)
        extent = self.geometry.extent.astype(np.float32)
        border = np.minimum(np.minimum(u, extent[faces, 0] - u),
                            np.minimum(v, extent[faces, 1] - v))
        border = 1 - self._edges[faces] * (1 - border / 0.03).clip(0) ** 2
        scale_u, scale_v = self._scale[faces, 0], self._scale[faces, 1]
        footprint = np.maximum(scale_u, scale_v) * depth / np.float32(matrix[0, 0])
        level = sum((footprint > size).astype(np.float32) for size in (1, 2, 4))
        x, y = u * scale_u + self._offset[faces, 0], v * scale_v + self._offset[faces, 1]
        x -= SIDE * np.floor(x / SIDE)
        y -= SIDE * np.floor(y / SIDE)
        y += self._rows[faces] + level * (SIDE + 1)
        texture = cv2.remap(textures()[0], x, y, cv2.INTER_LINEAR)
        light = self.light.at(faces, u, v) + self._emission[faces][..., None]
        light *= border[..., None] / 255
        light *= self._colours[faces]
        light *= texture
        return light

    def _expose(self) -> None:
        """Set the exposure from the light of the first view, as an automatic camera does."""
        matrix = camera_matrix(48, 64)
        pose = self.pose(0.0)
        picture = self._shade(pose, matrix, self._look(pose, matrix, 48, 64))
        self._gain = (self._tint * 0.215 / np.sqrt(picture).mean() ** 2).astype(np.float32)

    def render(self, time: float = 0.0, height: int = 480, width: int = 640) -> Frame:
        """
        Return the picture at ``time`` seconds with exact depth and NYU40 labels.

        Depth and labels belong to the pixel centres; the picture is blurred and noisy as that
        of a small camera. The same seed, time and size give the same bytes. Raises ValueError
        for a negative time.
        """
        if time < 0:
            raise ValueError(f'time must not be negative, is {time} s')
        stamp = round(time * 1e9)
        pose, matrix = self.pose(time), camera_matrix(height, width)
        view = self._look(pose, matrix, height, width)
        picture = self._shade(pose, matrix, view)
        down, across = (np.linspace(-1, 1, n, dtype=np.float32) ** 2 for n in (height, width))
        picture *= (1 - 0.14 * (down[:, None] + across))[..., None] * self._gain
        rng = np.random.default_rng((self.seed, stamp, height, width))
        picture = np.sqrt(np.minimum(picture, 1, out=picture))
        picture *= picture * (1.2 - 0.9 * picture) + 0.7  # the contrast curve of small cameras
        picture += 0.017 * rng.standard_normal((height, width, 1), np.float32)
        picture += 0.01 * rng.standard_normal(picture.shape, np.float32)
        picture = cv2.GaussianBlur(picture, (3, 3), 0.65)
        rgb = cv2.convertScaleAbs(picture.clip(0, 1), alpha=255)
        return Frame(rgb, f'scene-{self.seed}@{time:.2f}s', stamp, view.depth,
                     self._labels[view.faces], matrix)


def camera_matrix(height: int = 480, width: int = 640) -> np.ndarray:
    """Return NYU-Depth v2's RGB intrinsics (its toolbox's camera_params.m), scaled to a size."""
    across, down = width / 640, height / 480
    return np.array(((518.86 * across, 0, (325.58 + 0.5) * across - 0.5),
                     (0, 519.47 * down, (253.74 + 0.5) * down - 0.5), (0, 0, 1)))


def _rays(pose: Pose, matrix: np.ndarray, height: int, width: int) -> list[np.ndarray]:
    """Return the world coordinates of the pixels' rays, (H, W) each, of depth 1."""
    x = (np.arange(width) - matrix[0, 2]) / matrix[0, 0]
    y = (np.arange(height) - matrix[1, 2])[:, None] / matrix[1, 1]
    right, down, forward = pose.rotation
    return [(x * right[k] + y * down[k] + forward[k]).astype(np.float32) for k in range(3)]


def scenes(count: int, seed: int = 0, height: int = 480, width: int = 640) -> Iterator[Frame]:
    """Yield the first frame of ``count`` different rooms."""
    for index in range(count):
        yield Scene(seed + index).render(0.0, height, width)
