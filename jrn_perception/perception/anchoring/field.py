# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
The field of log ratios between true and predicted depth, from its values at anchors.

The field is a Gaussian process over place, logarithm of predicted depth, and class (Rasmussen and
Williams, "Gaussian Processes for Machine Learning", 2006, Sec. 2.2): a prior says how alike the
errors of two pixels are, and the anchors condition it. Few anchors move the scale of the whole
picture, many draw a field, and an anchor on a chair says little about the wall behind the chair.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

# The density of outliers over log ratios, and at how many anchors it is twice as large, because
# few anchors of a field cannot vouch for each other. A scale alone takes all that varies over the
# picture for noise.
OUTLIERS = 0.03
OUTLIERS_OF_FEW = 6
# A log ratio this far from the median is half believed at first.
GROSS = 0.4
ROUNDS = 2
# Anchors are checked against at most so many others.
PART = 100
# An anchor that is less probably no outlier than this does not count.
LEAST = 0.02
# A field of n anchors is n / (n + CAUTION) of the most probable one, which costs little of the
# gain, but takes much from what a misleading anchor spoils.
CAUTION = 0.25
# Errors of depth have heavy tails: near edges, and on small things.
FREEDOM = 3.0
# The levels of log depth between which the field is interpolated.
LEVELS = 10


class Places(NamedTuple):
    """Points of a picture: columns and rows in widths from its centre, log depth, class id."""

    column: np.ndarray
    row: np.ndarray
    log_depth: np.ndarray
    label: np.ndarray

    def chosen(self, which: np.ndarray) -> Places:
        """Return the points of an index or mask."""
        return Places(*(part[which] for part in self))


@dataclass(frozen=True)
class Prior:
    """
    Standard deviations and lengths of the parts of the field.

    Places count in widths of the picture, depth in natural logarithms. ``scale``: of the whole
    picture; ``power``: for a factor e of predicted depth; ``tilt``: for a width to the right and
    down; ``depth``: a smooth function of depth; ``place``: of place alone; ``surface``: of place
    and depth; ``thing``: the same within a class, of which other classes share the part
    ``others``; ``category``: of each class; ``rest``: of each pixel. Fitted by the errors that it
    leaves on half of the validation frames: docs/range.md.
    """

    scale: float = 0.101
    power: float = 0.139
    tilt: tuple[float, float] = (0.266, 0.109)
    depth: float = 0.035
    depth_length: float = 0.398
    place: float = 0.123
    place_lengths: tuple[float, float] = (0.254, 0.317)
    surface: float = 0.138
    surface_lengths: tuple[float, float, float] = (0.181, 0.311, 0.439)
    thing: float = 0.146
    thing_lengths: tuple[float, float, float] = (0.142, 0.249, 0.406)
    others: float = 0.642
    category: float = 0.015
    rest: float = 0.043

    def only_scale(self) -> Prior:
        """Return a prior that knows a scale; all else is of each pixel."""
        return replace(self.only_scale_and_power(), power=0.0, rest=0.18)

    def only_scale_and_power(self) -> Prior:
        """Return a prior that knows a scale and a power of depth."""
        return replace(self, tilt=(0.0, 0.0), depth=0.0, place=0.0, surface=0.0, thing=0.0,
                       category=0.0, rest=0.17)

    def variance(self, at: Places) -> np.ndarray:
        """Return the variances (m,) of the field at places, without anchors."""
        everywhere = sum(part ** 2 for part in (
            self.scale, self.depth, self.place, self.surface, self.thing, self.category))
        return (everywhere + (self.power * at.log_depth) ** 2
                + (self.tilt[0] * at.column) ** 2 + (self.tilt[1] * at.row) ** 2)


class Field:
    """
    The field that anchors determine.

    ``places`` (n,) are the anchors, ``ratios`` (n,) the logarithms of measured over predicted
    depth, ``deviations`` (n,) those of the measurement. ``used`` (n,) are the anchors that are
    more probably right than outliers; anchors in between count by their probability.
    """

    def __init__(self, places: Places, ratios: np.ndarray, deviations: np.ndarray, prior: Prior):
        self._places, self._prior = places, prior
        noise = deviations ** 2 + prior.rest ** 2
        covariance = _covariance(places, places, prior)
        few = OUTLIERS_OF_FEW if prior.thing else 0
        belief, doubt = _believed(covariance, ratios, noise,
                                  OUTLIERS * (1 + few / len(ratios)))
        self.used = belief > 0.5
        self._weights = np.zeros(len(ratios), np.float32)
        # Where all are outliers, none is half believed either.
        chosen = np.flatnonzero(belief > LEAST) if self.used.any() else np.zeros(0, np.intp)
        self._chosen = chosen
        # The covariances of the anchors that count, as they were measured.
        self._total = covariance[np.ix_(chosen, chosen)]
        if len(chosen):
            self._total[np.diag_indices(len(chosen))] += (noise * doubt)[chosen]
            self._weights[chosen] = np.linalg.solve(self._total, ratios[chosen])
            if prior.thing:
                count = float(belief[chosen].sum())
                self._weights *= np.float32(count / (count + CAUTION))

    def on_grid(self, columns: np.ndarray, rows: np.ndarray, log_depth: np.ndarray,
                labels: np.ndarray) -> np.ndarray:
        """Return the field (h, w) at columns (w,) and rows (h,) with log depth, labels (h, w)."""
        prior, at = self._prior, self._places
        chosen = np.flatnonzero(self._weights)
        at, weights = at.chosen(chosen), self._weights[chosen]
        found = (prior.scale ** 2 * weights.sum()
                 + prior.power ** 2 * (weights @ at.log_depth) * log_depth
                 + prior.tilt[0] ** 2 * (weights @ at.column) * columns
                 + prior.tilt[1] ** 2 * (weights @ at.row) * rows[:, None])
        if not prior.thing or not len(chosen):
            return found.astype(np.float32)
        across, down = _distances(columns, at.column), _distances(rows, at.row)
        u, v = prior.place_lengths
        found += prior.place ** 2 * (_bell(down / v) * weights) @ _bell(across / u).T
        levels = np.linspace(log_depth.min(), log_depth.max() + 1e-3, LEVELS, dtype=np.float32)
        beyond = _distances(levels, at.log_depth)
        layers = prior.depth ** 2 * (_bell(beyond / prior.depth_length) @ weights)
        u, v, z = prior.surface_lengths
        volume = layers[:, None, None] + _volume(
            np.exp(-across / u), np.exp(-down / v), np.exp(-beyond / z),
            prior.surface ** 2 * weights)
        u, v, z = prior.thing_lengths
        right, below, behind = np.exp(-across / u), np.exp(-down / v), np.exp(-beyond / z)
        volume += _volume(right, below, behind, prior.others * prior.thing ** 2 * weights)
        place = ((log_depth - levels[0]) / (levels[1] - levels[0])).reshape(-1)
        found = found.reshape(-1)
        found += _between_levels(volume, place, np.arange(place.size))
        for label in np.unique(at.label):
            own, pixels = at.label == label, np.flatnonzero(labels == label)
            if len(pixels):
                volume = _volume(right[:, own], below[:, own], behind[:, own],
                                 (1 - prior.others) * prior.thing ** 2 * weights[own])
                found[pixels] += (_between_levels(volume, place, pixels)
                                  + prior.category ** 2 * weights[own].sum())
        return found.reshape(log_depth.shape).astype(np.float32)

    def remaining(self, at: Places, whole: Prior) -> np.ndarray:
        """
        Return the shares (m,), 0..1, of the field's variance that the anchors leave at places.

        The variance is that of the prior ``whole``, of which the field's own prior may be a part.
        """
        anchors = self._places.chosen(self._chosen)
        across = _covariance(at, anchors, self._prior)
        known = np.einsum('ij,ij->i', across @ np.linalg.inv(self._total), across)
        return np.clip(1 - known / whole.variance(at), 0, 1)


def _covariance(at: Places, of: Places, prior: Prior) -> np.ndarray:
    """Return the prior's covariances (m, n) between places (m,) and places (n,)."""
    found = (prior.scale ** 2 + prior.power ** 2 * np.outer(at.log_depth, of.log_depth)
             + prior.tilt[0] ** 2 * np.outer(at.column, of.column)
             + prior.tilt[1] ** 2 * np.outer(at.row, of.row))
    if not prior.thing:
        return found
    across, down, beyond = (_distances(*parts) for parts in zip(at[:3], of[:3]))
    same = at.label[:, None] == of.label
    u, v = prior.place_lengths
    found += prior.depth ** 2 * _bell(beyond / prior.depth_length)
    found += prior.place ** 2 * np.exp(-0.5 * ((across / u) ** 2 + (down / v) ** 2))
    u, v, z = prior.surface_lengths
    found += prior.surface ** 2 * np.exp(-across / u - down / v - beyond / z)
    u, v, z = prior.thing_lengths
    found += (prior.thing ** 2 * np.exp(-across / u - down / v - beyond / z)
              * np.where(same, np.float32(1), np.float32(prior.others)))
    found += np.float32(prior.category ** 2) * same
    return found


def _believed(covariance: np.ndarray, ratios: np.ndarray, noise: np.ndarray,
              outlier: float) -> tuple[np.ndarray, np.ndarray]:
    """
    Return the probabilities (n,) that anchors are no outliers, and factors (n,) on their noise.

    Each anchor is predicted from all others (Rasmussen and Williams, Sec. 5.4.2), which count as
    far as they are believed themselves. The factors are those of Student's t distribution with
    ``FREEDOM`` degrees, and so much more that an anchor moves the field by its probability times
    as much as a certain one (relative to an anchor as predicted). ``outlier`` is the density of
    outliers over log ratios.
    """
    belief = 1 / (1 + ((ratios - np.median(ratios)) / GROSS) ** 4)
    doubt = 1 / np.maximum(belief, LEAST)
    # The time of an inverse grows with the cube of its size: each anchor is predicted from those
    # of its part.
    count = 1 + (len(ratios) - 1) // PART
    parts = [slice(first, None, count) for first in range(count)]
    for _ in range(ROUNDS):
        errors, variances = np.empty_like(ratios), np.empty_like(noise)
        for part in parts:
            total = covariance[part, part].copy()
            total[np.diag_indices(len(total))] += (noise * doubt)[part]
            inverse = np.linalg.inv(total)
            errors[part] = inverse @ ratios[part] / inverse.diagonal()
            variances[part] = 1 / inverse.diagonal()
        variances = np.maximum(variances - noise * doubt, 0) + noise
        distances = errors ** 2 / variances
        highest = 1 / np.sqrt(2 * np.pi * variances)
        density = highest * np.exp(-0.5 * distances)
        belief = density / (density + outlier)
        doubted = np.minimum(np.maximum(belief, LEAST) * (highest + outlier) / highest, 1)
        doubt = (np.maximum((FREEDOM + distances) / (FREEDOM + 1), 1)
                 + variances / noise * (1 / doubted - 1))
    return belief, doubt


def _distances(to: np.ndarray, of: np.ndarray) -> np.ndarray:
    return np.abs(np.subtract.outer(to, of))


def _bell(distances: np.ndarray) -> np.ndarray:
    return np.exp(-0.5 * distances ** 2)


def _volume(across: np.ndarray, down: np.ndarray, beyond: np.ndarray,
            weights: np.ndarray) -> np.ndarray:
    """Return the sum over anchors (levels, h, w) of products of three separable parts."""
    layers = (beyond * weights)[:, None] * down
    return (layers.reshape(-1, layers.shape[-1]) @ across.T).reshape(
        len(beyond), len(down), len(across))


def _between_levels(volume: np.ndarray, place: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Return the volume at ``pixels`` (n,), flat indices, at fractional levels ``place``."""
    place = place[pixels]
    below = np.minimum(place.astype(np.intp), len(volume) - 2)
    flat, layer = volume.reshape(-1), volume[0].size
    low = below * layer + pixels
    return flat[low] + (place - below) * (flat[low + layer] - flat[low])
