# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Furniture made of boxes, and doors, windows and pictures for the walls; sizes in metres."""

from __future__ import annotations

from jrn_perception.rooms.primitives import Box
import numpy as np

WOODS = ((0.11, 0.05, 0.025), (0.26, 0.1, 0.045), (0.42, 0.25, 0.12), (0.6, 0.43, 0.25),
         (0.78, 0.76, 0.72), (0.04, 0.037, 0.035))
WHITE, BLACK, BRASS, SHADE = (0.82,) * 3, (0.02,) * 3, (0.5, 0.38, 0.16), (0.75, 0.62, 0.42)

_box = Box.spanning


def placed(boxes: list[Box], x: float, y: float, yaw: float) -> list[Box]:
    """Return a piece of furniture turned by ``yaw`` about the origin, then moved by (x, y)."""
    return [box.placed(x, y, yaw) for box in boxes]


def _both_sides(*boxes: Box) -> list[Box]:
    """Return the boxes and their mirror images about x = 0."""
    return [*(box.mirrored() for box in boxes), *boxes]


class Furniture:
    """
    Builds furniture of one style.

    A piece stands at the origin with its back on y = 0, faces +y, and is centred on x = 0.
    """

    def __init__(self, rng: np.random.Generator):
        self.rng = rng
        self.wood, self.dark = (WOODS[k] for k in rng.permutation(len(WOODS))[:2])
        self.fabric, self.cover, self.accent = (self.dye() for _ in range(3))

    def dye(self) -> tuple[float, float, float]:
        """Return a random colour of cloth."""
        value, hue = self.rng.uniform(0.08, 0.6), self.rng.dirichlet((2.5, 2.2, 2.0))
        return tuple(value * (0.5 + 0.5 * hue / hue.max()))

    def between(self, low: float, high: float) -> float:
        """Return a random size."""
        return float(self.rng.uniform(low, high))

    def legs(self, label: str, x: float, y0: float, y1: float, top: float, w: float) -> list[Box]:
        """Return four square legs of thickness ``w`` about -x and x, between y0 and y1."""
        return _both_sides(*[_box(label, 'wood', self.wood, (x - w / 2, x + w / 2), (y, y + w),
                                  (0, top)) for y in (y0, y1 - w)])

    def clutter(self, x: float, y: float, z: float, count: int) -> list[Box]:
        """Return small things on a top of half width ``x`` and depth ``y`` at height ``z``."""
        things = []
        for slot in self.rng.permutation(6)[:count]:
            kind, tall = self.rng.integers(4), self.between(0.1, 0.25)
            label, material, w, d, h = (
                ('books', 'plain', 0.2, 0.14, 0.08), ('otherprop', 'plain', 0.09, 0.09, tall),
                ('paper', 'page', 0.21, 0.29, 0.004), ('box', 'plain', 0.2, 0.15, 0.12))[kind]
            thing = _box(label, material, WHITE if label == 'paper' else self.dye(),
                         (-w / 2, w / 2), (-d / 2, d / 2), (z + 0.001, z + h))
            things.append(thing.placed((slot - 2.5) / 3 * x,
                                       self.between(0.2, max(0.21, y - 0.18)),
                                       self.between(-0.6, 0.6)))
        return things

    def table(self, label: str, w: float, d: float, h: float = 0.74) -> list[Box]:
        """Return a table, or a desk, with things on it."""
        return [_box(label, 'wood', self.wood, (-w / 2, w / 2), (0, d), (h - 0.035, h)),
                _box(label, 'wood', self.wood, (-w / 2 + .06, w / 2 - .06), (0.06, d - 0.06),
                     (h - 0.11, h - 0.036)),
                *self.legs(label, w / 2 - 0.07, 0.04, d - 0.04, h - 0.036, 0.055),
                *self.clutter(w / 2 - 0.1, d, h, self.rng.integers(1, 4))]

    def chair(self) -> list[Box]:
        """Return a chair with a padded seat."""
        wood = ('chair', 'wood', self.wood)
        return [_box(*wood, (-0.22, 0.22), (0, 0.43), (0.38, 0.42)),
                _box('chair', 'fabric', self.accent, (-0.2, 0.2), (0.04, 0.42), (0.42, 0.46)),
                *self.legs('chair', 0.19, 0, 0.43, 0.38, 0.04),
                *_both_sides(_box(*wood, (0.17, 0.21), (0, 0.035), (0.4, 0.95))),
                *[_box(*wood, (-0.17, 0.17), (0.008, 0.028), (z, z + 0.08))
                  for z in (0.6, 0.72, 0.85)]]

    def dining(self) -> list[Box]:
        """Return a table with chairs around it."""
        w, d = self.between(1.1, 1.6), self.between(0.75, 0.95)
        boxes = placed(self.table('table', w, d), 0, 0.75, 0)
        for x in (-w / 4, w / 4):
            for y, facing in ((0.1, 0), (d + 1.4, np.pi)):
                yaw = facing + self.between(-0.25, 0.25)
                boxes += placed(self.chair(), x, y + self.between(0, 0.2) * np.cos(yaw), yaw)
        return boxes

    def workplace(self) -> list[Box]:
        """Return a desk with a screen, and a chair before it."""
        w = self.between(1.1, 1.5)
        side = self.rng.choice((-1, 1))
        x = side * (w / 2 - 0.24)
        drawers = [_box('desk', 'wood', self.wood, (x - 0.2, x + 0.2), (0.05, 0.6),
                        (0.08 + k * 0.18, 0.25 + k * 0.18)) for k in range(3)]
        case = ('television', 'plain', BLACK)
        screen = [_box(*case, (-0.05, 0.05), (0.2, 0.26), (0.741, 0.84)),
                  _box(*case, (-0.26, 0.26), (0.2, 0.24), (0.84, 1.17)),
                  _box('television', 'screen', (0.05, 0.06, 0.08), (-0.24, 0.24),
                       (0.24, 0.243), (0.86, 1.15))]
        chair = placed(self.chair(), -side * 0.15, 1.15, np.pi + self.between(-0.5, 0.5))
        return self.table('desk', w, 0.65) + drawers + screen + chair

    def sofa(self, seats: int = 0) -> list[Box]:
        """Return a sofa with cushions; ``seats`` = 0 chooses two or three seats."""
        seats = seats or int(self.rng.integers(2, 4))
        x = seats * 0.33
        cloth = ('sofa', 'fabric', self.fabric)
        boxes = [_box(*cloth, (-x, x), (0.04, 0.85), (0.08, 0.3)),
                 _box(*cloth, (-x, x), (0.04, 0.24), (0.3, 0.72)),
                 *_both_sides(_box(*cloth, (x, x + 0.19), (0.04, 0.87), (0.06, 0.6)))]
        for k in range(seats):
            left = -x + 0.66 * k
            boxes += [_box(*cloth, (left + 0.008, left + 0.652), (0.24, 0.88), (0.301, 0.44)),
                      _box(*cloth, (left + 0.015, left + 0.645), (0.24, 0.4), (0.441, 0.84))]
        pillow = _box('pillow', 'fabric', self.accent, (-0.2, 0.2), (-0.06, 0.06), (0.45, 0.8))
        for side in (-1, 1)[:seats]:
            boxes.append(pillow.placed(side * (x - 0.24) if seats > 1 else 0, 0.5,
                                       side * self.between(-0.1, 0.5)))
        return boxes

    def armchair(self) -> list[Box]:
        """Return a sofa of one seat."""
        return self.sofa(1)

    def lounge(self) -> list[Box]:
        """Return a sofa, a rug and a low table."""
        aside, w = self.between(-0.2, 0.2), self.between(0.8, 1.1)
        low = placed(self.table('table', w, 0.55, 0.42), aside, 1.15, 0)
        rug = _box('floor mat', 'rug', self.dye(), (-1.0, 1.0), (0.9, 2.1), (0.001, 0.012))
        return [*self.sofa(), rug, *low]

    def bed(self) -> list[Box]:
        """Return a bed with pillows, its head at the wall, and a night stand beside it."""
        x, length = self.between(0.5, 0.85), self.between(1.95, 2.1)
        cover = ('quilt', 'plaid', 'fabric')[self.rng.integers(3)]
        wood, linen = ('bed', 'wood', self.wood), ('bed', 'fabric', WHITE)
        boxes = [_box(*wood, (-x - .03, x + .03), (0, 0.05), (0, 1.0)),
                 _box(*wood, (-x, x), (0.05, length), (0.1, 0.26)),
                 _box(*linen, (-x + .01, x - .01), (0.05, length), (0.26, 0.5)),
                 _box('bed', cover, self.cover, (-x - .03, x + .03), (0.62, length + 0.03),
                      (0.16, 0.535)),
                 _box(*linen, (-x - 0.02, x + 0.02), (0.55, 0.72), (0.3, 0.545)),
                 *self.legs('bed', x - 0.05, 0.05, length, 0.1, 0.07)]
        for place in (-x / 2, x / 2) if x > 0.65 else (0,):
            for y, h, colour in ((0.13, 0.42, WHITE), (0.33, 0.3, self.accent)):
                pillow = _box('pillow', 'fabric', colour, (-h * 0.75, h * 0.75), (-0.075, 0.075),
                              (0.501, 0.501 + h))
                boxes.append(pillow.placed(place, y, self.between(-0.12, 0.12)))
        return boxes + placed(self.night_stand(), self.rng.choice((-1, 1)) * (x + 0.32), 0, 0)

    def night_stand(self) -> list[Box]:
        """Return a night stand with a lamp on it."""
        return [*self.chest('night stand', 0.44, 0.38, 0.55, 1, 2),
                _box('lamp', 'plain', self.accent, (-0.05, 0.05), (0.15, 0.25), (0.551, 0.8)),
                _box('lamp', 'lamp', SHADE, (-0.13, 0.13), (0.07, 0.33), (0.8, 1.02))]

    def chest(self, label: str, w: float, d: float, h: float, columns: int,
              rows: int) -> list[Box]:
        """Return a body with drawer or door fronts and handles."""
        wood = (label, 'wood', self.dark)
        boxes = [_box(*wood, (-w / 2, w / 2), (0, d), (0.06, h - 0.03)),
                 _box(*wood, (-w / 2 - .015, w / 2 + .015), (0, d + 0.03), (h - 0.03, h)),
                 _box(label, 'plain', BLACK, (-w / 2 + .02, w / 2 - .02), (0, d - 0.04),
                      (0, 0.06))]
        dx, dz = w / columns, (h - 0.1) / rows
        for k in range(columns * rows):
            x, z = -w / 2 + k % columns * dx, 0.065 + k // columns * dz
            boxes += [_box(*wood, (x + .01, x + dx - .01), (d, d + 0.018),
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
        case = ('television', 'plain', BLACK)
        return [*self.chest('dresser', self.between(1.0, 1.4), 0.48, 0.8, 2, 3),
                _box(*case, (-0.15, 0.15), (0.15, 0.33), (0.801, 0.82)),
                _box(*case, (-0.04, 0.04), (0.21, 0.24), (0.82, 0.9)),
                _box(*case, (-0.45, 0.45), (0.2, 0.25), (0.88, 1.42)),
                _box('television', 'screen', (0.04, 0.045, 0.06), (-0.42, 0.42),
                     (0.25, 0.253), (0.91, 1.39))]

    def bookshelf(self) -> list[Box]:
        """Return a bookshelf with partly filled boards."""
        w, h, shelves = self.between(0.7, 1.1), self.between(1.6, 2.05), 5
        wood = ('bookshelf', 'wood', self.dark)
        boxes = [*_both_sides(_box(*wood, (w / 2 - .012, w / 2 + .012), (0, 0.3), (0, h))),
                 _box(*wood, (-w / 2, w / 2), (0, 0.012), (0.02, h - 0.01))]
        step = (h - 0.1) / shelves
        for k in range(shelves + 1):
            z = 0.06 + k * step
            boxes.append(_box(*wood, (-w / 2 + .012, w / 2 - .012), (0.012, 0.295), (z, z + .022)))
            if k < shelves:
                boxes += self.books(w / 2 - 0.02, z + 0.023, step - 0.03)
        return boxes

    def books(self, x: float, z: float, room: float) -> list[Box]:
        """Return books and ornaments, up to ``room`` high, on a board of half width ``x``."""
        boxes, left = [], -x
        while left < x - 0.12:
            run = min(self.between(0.12, 0.4), x - left)
            top, kind = z + self.between(0.55, 0.85) * room, self.rng.random()
            if kind < 0.75:
                boxes.append(_box('books', 'books', (0.9, 0.88, 0.82), (left, left + run),
                                  (0.03, self.between(0.19, 0.27)), (z, top)))
            elif kind < 0.88:
                boxes.append(_box('otherprop', 'plain', self.dye(), (left + .02, left + .12),
                                  (0.1, 0.2), (z, top)))
            left += run + 0.01
        return boxes

    def floor_lamp(self) -> list[Box]:
        """Return a lamp on a pole."""
        return [_box('lamp', 'plain', BLACK, (-0.13, 0.13), (0.05, 0.31), (0, 0.03)),
                _box('lamp', 'plain', BRASS, (-0.015, 0.015), (0.165, 0.195), (0.03, 1.35)),
                _box('lamp', 'lamp', SHADE, (-0.17, 0.17), (0.02, 0.36), (1.35, 1.65))]

    def carton(self) -> list[Box]:
        """Return a cardboard box, a bag or another thing on the floor, askew."""
        w, d, h = self.between(0.3, 0.5), self.between(0.3, 0.4), self.between(0.2, 0.45)
        kind = self.rng.integers(3)
        look = (('box', 'plain', (0.42, 0.27, 0.14)), ('bag', 'fabric', self.dye()),
                ('otherprop', 'plain', self.dye()))[kind]
        carton = _box(*look, (-w / 2, w / 2), (-d / 2, d / 2), (0, h))
        return [carton.placed(0, 0.36, self.between(-0.5, 0.5))]

    def door(self) -> list[Box]:
        """Return a closed door in its frame."""
        x = self.between(0.38, 0.45)
        colour = WHITE if self.rng.random() < 0.6 else self.wood
        return [_box('door', 'door', colour, (-x, x), (0, 0.025), (0.005, 2.02)),
                *_both_sides(_box('door', 'plain', colour, (x, x + 0.1), (0, 0.04), (0, 2.02))),
                _box('door', 'plain', colour, (-x - 0.1, x + 0.1), (0, 0.04), (2.02, 2.12)),
                _box('door', 'plain', BRASS, (x - 0.1, x - 0.05), (0.025, 0.075), (0.98, 1.03))]

    def window(self) -> list[Box]:
        """Return a window, often with blinds or curtains."""
        x, low, high = self.between(0.5, 0.85), self.between(0.85, 1.05), self.between(1.95, 2.15)
        frame = ('window', 'plain', WHITE)
        boxes = [_box('window', 'sky', (1.0, 1.0, 1.0), (-x, x), (0, 0.008), (low, high)),
                 _box(*frame, (-x - 0.1, x + 0.1), (0, 0.09), (low - 0.05, low)),
                 _box(*frame, (-x - 0.07, x + 0.07), (0, 0.05), (high, high + 0.07)),
                 *[_box(*frame, (bar - .03, bar + .03), (0, 0.04), (low, high))
                   for bar in (-x - 0.03, 0, x + 0.03)]]
        cover = self.rng.integers(3)
        if cover == 1:
            bottom = self.between(low + 0.05, high - 0.4)
            boxes.append(_box('blinds', 'blinds', WHITE, (-x - .02, x + .02), (0.05, 0.07),
                              (bottom, high + 0.03)))
        elif cover == 2:
            boxes += _both_sides(_box('curtain', 'curtain', self.cover, (x - 0.14, x + 0.34),
                                      (0.1, 0.16), (0.06, high + 0.12)))
        return boxes

    def picture(self) -> list[Box]:
        """Return a framed picture at eye height."""
        x, z, bottom = self.between(0.18, 0.45), self.between(0.35, 0.65), self.between(1.25, 1.4)
        art = f'picture{self.rng.integers(3)}'
        return [_box('picture', 'plain', self.dark, (-x, x), (0, 0.022), (bottom, bottom + z)),
                _box('picture', art, (0.9, 0.9, 0.9), (-x + .03, x - .03), (0.022, 0.024),
                     (bottom + 0.03, bottom + z - 0.03))]
