# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Materials, and their procedural textures in one atlas.

A texture is periodic, ``SIDE`` texels wide and high, and holds reflectances in 0..1.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import cv2
import numpy as np

SIDE = 256
BLURS = (0.0, 1.0, 2.0, 4.0)  # Gaussian sigma in texels of the levels, against aliasing
BAND = SIDE + 1  # one row and column repeat, so that interpolation may cross the end of a period
LEATHER = ((0.5, 0.45, 0.38), (0.25, 0.04, 0.03), (0.04, 0.06, 0.13), (0.06, 0.09, 0.06),
           (0.3, 0.17, 0.08), (0.05, 0.05, 0.05), (0.7, 0.68, 0.62), (0.45, 0.3, 0.1))


class Material(NamedTuple):
    """
    How a face looks.

    ``metres`` is the length that one period of the texture covers; 0 stretches the texture over
    the face. ``grain`` puts the texture's u along the longer side. ``edge`` is how much the rim
    of the face darkens (0..1). ``emission`` is the light that the face itself sends out.
    """

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


class Atlas(NamedTuple):
    """
    All textures in one uint8 picture (H, SIDE + 1, 3), and the row at which each one starts.

    Each texture is followed by its blurred levels, ``BAND`` rows each, in the order of ``BLURS``.
    """

    image: np.ndarray
    rows: dict[str, int]


def _noise(rng: np.random.Generator, sigma_u: float, sigma_v: float) -> np.ndarray:
    """Return periodic noise (SIDE, SIDE) of unit deviation, Gaussian-blurred (sigma in texels)."""
    spectrum = np.fft.rfft2(rng.standard_normal((SIDE, SIDE)))
    frequency_u, frequency_v = np.fft.rfftfreq(SIDE), np.fft.fftfreq(SIDE)[:, None]
    spectrum *= np.exp(-2 * np.pi ** 2 * (
        (frequency_u * sigma_u) ** 2 + (frequency_v * sigma_v) ** 2))
    spectrum[0, 0] = 0
    noise = np.fft.irfft2(spectrum, s=(SIDE, SIDE))
    return noise / noise.std()


def _parquet(rng: np.random.Generator, wood: np.ndarray) -> np.ndarray:
    """Return rows of staggered planks of different shades, (SIDE, SIDE)."""
    v, u = np.mgrid[:SIDE, :SIDE]
    row = v // 32
    along = (u + 83 * row) % SIDE
    shade = rng.uniform(0.72, 1.0, (8, 3))[row, along // 86]
    seam = np.minimum(v % 32, along % 86) < 1
    return np.where(seam, 0.4, shade * wood * 1.15)


def _rug(rng: np.random.Generator) -> np.ndarray:
    """Return a striped border around an ornament, (SIDE, SIDE, 3)."""
    v, u = np.mgrid[:SIDE, :SIDE]
    ornament = np.abs(_noise(rng, 8, 8) + np.cos(u / 10) * np.cos(v / 10))[..., None] > 1
    rim = np.minimum(np.minimum(u, 255 - u), np.minimum(v, 255 - v))[..., None]
    return np.where(rim < 26, np.where(rim // 6 % 2, 0.35, 0.85),
                    np.where(ornament, (0.9, 0.75, 0.55), (0.5, 0.45, 0.5)))


def _books(rng: np.random.Generator) -> np.ndarray:
    """Return book spines of random widths and colours with their titles, (SIDE, SIDE, 3)."""
    v, u = np.mgrid[:SIDE, :SIDE]
    ends = np.cumsum(rng.integers(5, 15, size=SIDE))
    book = np.searchsorted(ends, np.arange(SIDE), side='right')
    colours = np.array(LEATHER)[rng.integers(8, size=SIDE)] * rng.uniform(0.6, 1.3, (SIDE, 1))
    gap = np.diff(book, prepend=-1) > 0
    title = (np.abs(v - rng.integers(60, 200, SIDE)[book]) < 16) & (u % 7 > 2)
    return np.where(title[..., None], 0.6, colours[book]) * np.where(gap, 0.2, 1.0)[:, None]


def _landscape(rng: np.random.Generator) -> np.ndarray:
    """Return the view from a window, sky above trees, (SIDE, SIDE, 3)."""
    v, u = np.mgrid[:SIDE, :SIDE]
    trees = np.array((0.2, 0.23, 0.17)) + _noise(rng, 8, 6)[..., None] * 0.06
    return np.where((v < 150 + 18 * np.sin(u / 30))[..., None], (0.86, 0.93, 1.0), trees)


def _painting(rng: np.random.Generator) -> np.ndarray:
    """Return an abstract painting (SIDE, SIDE, 3) on a white mount."""
    layers = np.stack([_noise(rng, 30, 14) for _ in range(3)], -1)
    painting = rng.uniform(0.15, 0.5) + 0.07 * layers + 0.09 * layers[..., :1]
    horizon = rng.integers(90, 170)
    painting[:horizon] += rng.uniform(0.1, 0.3, 3)
    picture = np.full((SIDE, SIDE, 3), 0.85)
    picture[28:-28, 28:-28] = painting[28:-28, 28:-28]
    return picture


def _draw() -> dict[str, np.ndarray]:
    """Return each texture, float (SIDE, SIDE) or (SIDE, SIDE, 3)."""
    rng = np.random.default_rng(2017)
    v, u = np.mgrid[:SIDE, :SIDE]
    wood = 0.78 + 0.09 * _noise(rng, 24, 0.8) + 0.06 * _noise(rng, 60, 5)
    parquet = _parquet(rng, wood)
    weave = 0.8 + 0.05 * ((u // 2 + v // 2) % 2) + 0.07 * _noise(rng, 1, 1)
    stripes = np.repeat(rng.uniform(0.35, 1.0, (16, 3)), 16, axis=0)
    petals = (_noise(rng, 9, 9) > 0.9)[..., None] * rng.uniform(-0.5, 0.0, 3)
    rug, books, sky = _rug(rng), _books(rng), _landscape(rng)
    joint = np.minimum(u % 64, v % 64) < 2
    panel = np.maximum(np.abs(np.abs(u - 128) - 62) - 38, np.abs(np.abs(v - 128) - 64) - 44)
    groove = np.where(np.abs(panel) < 3, 0.8 - 0.05 * np.sign(panel), 0.95)
    text = (np.minimum(u, v) > 24) & (v % 14 < 5) & (np.maximum(u, v) < 232)
    return {
        'paint': 0.94 + 0.01 * _noise(rng, 2, 2) + 0.015 * _noise(rng, 40, 40),
        'carpet': 0.76 + 0.1 * _noise(rng, 0.7, 0.7) + 0.045 * _noise(rng, 12, 12),
        'parquet': parquet,
        'tiles': np.where(joint, 0.55, 0.88 + 0.04 * _noise(rng, 6, 6)),
        'wood': wood,
        'fabric': weave,
        'quilt': weave[..., None] + petals,
        'plaid': weave[..., None] * (stripes[u] + stripes[v]) * 0.6,
        'rug': rug,
        'books': books,
        'door': groove + 0.01 * _noise(rng, 2, 20),
        'curtain': 0.7 + 0.2 * np.sin(u * 2 * np.pi / 32) + 0.07 * _noise(rng, 6, 60),
        'blinds': np.where(v % 16 < 3, 0.5, 0.95),
        'picture0': _painting(rng),
        'picture1': _painting(rng),
        'picture2': _painting(rng),
        'page': np.where(text, 0.55, 0.95),
        'sky': sky,
        'screen': 0.4 + 0.5 * (u + v > 300) + 0.1 * _noise(rng, 30, 30),
    }


@cache
def textures() -> Atlas:
    """Return the atlas, which is the same in every process."""
    rows, bands = {}, []
    for name, texture in _draw().items():
        rows[name] = len(bands) * BAND
        coloured = np.broadcast_to(np.atleast_3d(texture), (SIDE, SIDE, 3))
        texels = np.round(255 * coloured.clip(0, 1)).astype(np.uint8)
        wide = cv2.copyMakeBorder(texels, 16, 17, 16, 17, cv2.BORDER_WRAP)
        for sigma in BLURS:
            blurred = cv2.GaussianBlur(wide, (0, 0), sigma) if sigma else wide
            bands.append(blurred[16:-16, 16:-16])
    return Atlas(np.ascontiguousarray(np.concatenate(bands)), rows)
