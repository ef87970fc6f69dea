# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Predictions as pictures for people: colour maps, overlays, and sheets with a legend."""

from __future__ import annotations

from functools import cache
import math

import cv2
from jrn_perception.labels import LabelSet
from jrn_perception.perception import Prediction
import numpy as np

COLORMAPS = {
    name: getattr(cv2, f'COLORMAP_{name.upper()}') for name in (
        'turbo', 'viridis', 'plasma', 'inferno', 'magma', 'cividis', 'jet', 'bone', 'hot')}
"""Names of the colour maps for depth, as OpenCV draws them."""

FONT = cv2.FONT_HERSHEY_SIMPLEX
BACKGROUND, INK, FAINT = (24, 26, 30), (236, 238, 240), (120, 124, 130)


def colourise_depth(depth: np.ndarray, low: float, high: float,
                    colormap: str = 'turbo') -> np.ndarray:
    """
    Return depth (H, W) in metres as RGB, uint8 (H, W, 3).

    ``low`` and ``high`` are the metres at the ends of the colour map; depth beyond an end has the
    colour of that end. NaN and infinity are black. Raises ValueError for an unknown ``colormap``
    (see ``COLORMAPS``) and unless ``low`` < ``high``.
    """
    if not low < high:
        raise ValueError(f'depth from {low} to {high} m: the first number must be smaller')
    scaled = (depth - np.float32(low)) * np.float32(254 / (high - low)) + np.float32(1.5)
    # Entry 0 of the table is black. NaN gets it as well: every comparison with NaN is false.
    finite = np.abs(depth) < np.float32(np.inf)
    index = np.where(finite, np.clip(scaled, 1, 255), np.float32(0)).astype(np.uint8)
    return cv2.applyColorMap(index, _depth_table(colormap))


def colourise_signed(values: np.ndarray, largest: float) -> np.ndarray:
    """
    Return signed values (H, W) as RGB, uint8 (H, W, 3): blue below 0, white at 0, red above.

    ``-largest`` and ``largest`` and all beyond have the strongest colours. NaN is black.
    """
    if not largest > 0:
        raise ValueError(f'largest {largest}: a positive number')
    share = np.clip(values * np.float32(1 / largest), -1, 1)
    faded = 1 - np.abs(share)
    picture = np.stack([np.where(share < 0, faded, 1), faded, np.where(share > 0, faded, 1)], -1)
    picture[np.isnan(values)] = 0
    return np.rint(255 * picture).astype(np.uint8)


def colourise_normals(normals: np.ndarray) -> np.ndarray:
    """
    Return unit normals (H, W, 3) as RGB, uint8: x, y and -z from -1..1 to 0..255. NaN is black.

    A wall that faces the camera (0, 0, -1) is light blue, as in other programs.
    """
    scaled = np.rint(127.5 * (normals * np.float32((1, 1, -1)) + 1))
    return np.where(np.isnan(scaled), 0, scaled).astype(np.uint8)


def colourise_labels(labels: np.ndarray, label_set: LabelSet) -> np.ndarray:
    """Return class ids, uint8 (H, W), as RGB, uint8 (H, W, 3); ids without a class are black."""
    return cv2.applyColorMap(labels, label_set.palette()[:, None])


def overlay(rgb: np.ndarray, labels: np.ndarray, label_set: LabelSet,
            alpha: float = 0.5) -> np.ndarray:
    """
    Return the picture (H, W, 3) under the colours of its classes, as a new array.

    ``alpha`` is the share of the colours, 0 to 1; ValueError for other values. Pixels without a
    class, for example with the id 255, keep the colour of the picture.
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f'alpha {alpha}: choose from 0 (the picture) to 1 (the classes)')
    mixed = cv2.addWeighted(colourise_labels(labels, label_set), alpha, rgb, 1 - alpha, 0)
    unlabelled = labels >= len(label_set)
    return cv2.copyTo(rgb, unlabelled.view(np.uint8), mixed)


def legend(labels: np.ndarray, label_set: LabelSet, width: int, rows: int = 0,
           unit: int = 22) -> np.ndarray:
    """
    Return a strip of RGB, uint8 (h, width, 3): colour, name and share of the classes that occur.

    The largest class comes first. The strip has ``rows`` lines of ``unit`` pixels each; 0 means as
    many lines as needed. The last field counts the classes that do not fit.
    """
    shares = np.bincount(labels.reshape(-1), minlength=256)[:len(label_set)] / labels.size
    order = [index for index in np.argsort(-shares, kind='stable') if shares[index] > 0]
    columns = max(1, width // _legend_column(label_set, unit))
    rows = rows or max(1, -(-len(order) // columns))
    strip = _canvas(rows * unit, width)
    fits = rows * columns
    shown = order if len(order) <= fits else order[:fits - 1]
    column = width // columns
    for place, index in enumerate(shown):
        x, y = place % columns * column, place // columns * unit
        box = unit * 6 // 11
        top = y + (unit - box) // 2
        left = x + unit // 3
        # The rim makes colours visible that are as dark as the sheet.
        strip[top - 1:top + box + 1, left - 1:left + box + 1] = FAINT
        strip[top:top + box, left:left + box] = label_set.colours[index]
        left += box + unit // 3
        left += _text(strip, label_set.names[index], left, y, unit) + unit // 3
        _text(strip, _percent(shares[index]), left, y, unit, FAINT)
    if len(shown) < len(order):
        x, y = (fits - 1) % columns * column, (fits - 1) // columns * unit
        _text(strip, f'and {len(order) - len(shown)} more', x + unit // 3, y, unit, FAINT)
    return strip


def depth_scale(low: float, high: float, width: int, colormap: str = 'turbo',
                unit: int = 22) -> np.ndarray:
    """Return a strip of RGB, uint8 (h, width, 3): the colours of depth above their metres."""
    margin, bar = unit, unit // 2
    strip = _canvas(bar + unit, width)
    ramp = np.linspace(low, high, width - 2 * margin, dtype=np.float32)[None]
    strip[:bar, margin:-margin] = colourise_depth(ramp, low, high, colormap).repeat(bar, 0)
    step = _tick_step(high - low, max(2, (width - 2 * margin) // (5 * unit)))
    ticks = step * np.arange(math.ceil(low / step - 1e-6), math.floor(high / step + 1e-6) + 1)
    for tick in ticks:
        x = margin + round((tick - low) / (high - low) * (width - 2 * margin - 1))
        strip[bar:bar + unit // 5, x] = INK
        text = f'{tick:g} m' if tick == ticks[-1] else f'{tick:g}'
        _text(strip, text, x - _text_width(text, unit) // 2, bar + unit // 10, unit)
    return strip


def depth_limits(depth: np.ndarray) -> tuple[float, float]:
    """Return metres (low, high), multiples of 0.5, with 98 % of a depth map between them."""
    valid = depth[np.isfinite(depth)]
    if not valid.size:
        return 0.0, 10.0
    low, high = np.percentile(valid, (1, 99))
    low = math.floor(2 * low) / 2
    return low, max(math.ceil(2 * high) / 2, low + 0.5)


def panel(rgb: np.ndarray, prediction: Prediction, *, limits: tuple[float, float] | None = None,
          colormap: str = 'turbo', alpha: float = 0.5, columns: int = 2) -> np.ndarray:
    """
    Return a sheet, RGB: picture, depth, semantics and overlay with titles, scale and legend.

    ``limits`` are the metres at the ends of the colours (by default ``depth_limits``). ``columns``
    is 2 or 4; ValueError for other numbers. The tiles have the picture's size, enlarged or reduced
    to a width of 320 to 960 pixels. Outputs that are None have no tile. The sheet's size depends
    only on the picture's size, the label set and these outputs, so all sheets of a video have the
    same size.
    """
    if columns not in (2, 4):
        raise ValueError(f'a sheet has 2 or 4 columns, not {columns}')
    height, width = rgb.shape[:2]
    zoom = min(max(width, 320), 960) / width
    size = round(zoom * width), max(1, round(zoom * height))
    unit = max(16, round(size[0] / 28))
    label_set, labels, depth = prediction.label_set, prediction.labels, prediction.depth
    picture = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    tiles = [('Picture', picture)]
    if depth is not None:
        low, high = limits or depth_limits(depth)
        colours = colourise_depth(depth, low, high, colormap)
        tiles.append(('Depth', cv2.resize(colours, size, interpolation=cv2.INTER_NEAREST)))
    if labels is not None:
        large = cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST)
        tiles.append(('Semantics', colourise_labels(large, label_set)))
        tiles.append(('Overlay', overlay(picture, large, label_set, alpha)))
    gap = unit // 2
    columns = min(columns, len(tiles))
    grid = [_column([_tile(*tile, unit) for tile in tiles[column::columns]], gap)
            for column in range(columns)]
    total = columns * size[0] + (columns - 1) * gap
    parts = [_row(grid, gap)]
    if depth is not None:
        parts.append(depth_scale(low, high, total, colormap, unit))
    if labels is not None:
        # Room for twelve classes, or for all classes of a smaller set.
        fields = max(1, total // _legend_column(label_set, unit))
        parts.append(legend(labels, label_set, total, -(-min(len(label_set), 12) // fields), unit))
    sheet = _column(parts, gap)
    # Video codecs need even sizes.
    right, bottom = gap + sheet.shape[1] % 2, gap + sheet.shape[0] % 2
    return cv2.copyMakeBorder(sheet, gap, bottom, gap, right, cv2.BORDER_CONSTANT,
                              value=BACKGROUND)


@cache
def _depth_table(colormap: str) -> np.ndarray:
    """Return uint8 (256, 1, 3): black, then the colour map in 255 steps, RGB."""
    if colormap not in COLORMAPS:
        raise ValueError(f'unknown colour map {colormap!r}: choose from {", ".join(COLORMAPS)}')
    levels = np.rint(np.linspace(0, 255, 255)).astype(np.uint8)[:, None]
    colours = cv2.applyColorMap(levels, COLORMAPS[colormap])[..., ::-1]
    return np.concatenate([np.zeros((1, 1, 3), np.uint8), colours])


def _canvas(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), BACKGROUND, np.uint8)


def _tile(title: str, picture: np.ndarray, unit: int) -> np.ndarray:
    head = _canvas(unit, picture.shape[1])
    _text(head, title, 0, 0, unit)
    return np.vstack([head, picture])


def _row(tiles: list[np.ndarray], gap: int) -> np.ndarray:
    height = max(tile.shape[0] for tile in tiles)
    parts = []
    for tile in tiles:
        below = _canvas(height - tile.shape[0], tile.shape[1])
        parts += [np.vstack([tile, below]), _canvas(height, gap)]
    return np.hstack(parts[:-1])


def _column(tiles: list[np.ndarray], gap: int) -> np.ndarray:
    parts = []
    for tile in tiles:
        parts += [tile, _canvas(gap, tile.shape[1])]
    return np.vstack(parts[:-1])


def _text(canvas: np.ndarray, text: str, x: int, y: int, unit: int,
          colour: tuple[int, int, int] = INK) -> int:
    """Write into the line of height ``unit`` whose corner is (x, y); return the width."""
    cv2.putText(canvas, text, (x, y + round(0.7 * unit)), FONT, unit / 42, colour,
                max(1, round(unit / 24)), cv2.LINE_AA)
    return _text_width(text, unit)


def _text_width(text: str, unit: int) -> int:
    return cv2.getTextSize(text, FONT, unit / 42, max(1, round(unit / 24)))[0][0]


def _legend_column(label_set: LabelSet, unit: int) -> int:
    longest = max(_text_width(name, unit) for name in label_set.names)
    return longest + _text_width('100 %', unit) + 3 * unit


def _percent(share: float) -> str:
    return f'{100 * share:.0f} %' if share >= 0.01 else '< 1 %'


def _tick_step(span: float, most: int) -> float:
    """Return the smallest of 0.1, 0.2, 0.5, 1, ... that cuts ``span`` into <= ``most`` parts."""
    magnitude = 10.0 ** math.floor(math.log10(span / most))
    return next(magnitude * factor for factor in (1, 2, 5, 10)
                if span <= most * magnitude * factor * (1 + 1e-9))
