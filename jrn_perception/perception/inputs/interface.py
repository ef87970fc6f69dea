# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The interface of the sources of depth and semantics. Imports neither torch nor a runtime."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

# The names of the sources that are no model: the networks of the weights, and a depth camera.
NETWORK, SENSOR = 'network', 'sensor'
# What the values of a depth model mean: metres, 1 / metres, or either of them up to an unknown
# scale and shift, which a measurement of the same picture gives.
UNITS = ('metres', 'inverse', 'relative', 'disparity')
# The units whose scale and shift are unknown.
UNSCALED = ('relative', 'disparity')


class SourceError(ValueError):
    """A source cannot be used; one line, with the cure."""


class Unmeasured(SourceError):
    """A picture lacks the measured depth that a source needs."""


@dataclass(frozen=True)
class Sources:
    """
    The names of the sources, as parameters and cards have them.

    Each is ``network``, a Hugging Face name or folder, an ONNX file, or a yaml file that describes
    either; ``depth`` may also be ``sensor``.
    """

    depth: str = NETWORK
    semantics: str = NETWORK

    def __post_init__(self) -> None:
        if self.semantics == SENSOR:
            raise SourceError('semantics_source sensor: no sensor measures classes; choose '
                              'network or a model')


@dataclass(frozen=True)
class Origin:
    """
    Who made a model, for cards, logs and diagnostics.

    ``licence`` is what the model's own files say, '' if they do not say it.
    """

    name: str
    licence: str
    sha256: str

    def __str__(self) -> str:
        return f'{self.name} ({self.licence_text}, sha256 {self.sha256[:12]})'

    @property
    def licence_text(self) -> str:
        return f'licence {self.licence}' if self.licence else 'licence not stated by its files'


class Model(Protocol):
    """A model of somebody else, ready to run; ``run`` may resize the picture."""

    origin: Origin

    def run(self, rgb: np.ndarray) -> np.ndarray:
        """Return the model's map (h, w) or (h, w, K) for uint8 RGB (H, W, 3) of any size."""


class DepthSource(Protocol):
    """
    A source of depth.

    ``needs_measured``: each picture needs measured depth. ``focal_length`` (x, y), in pixels of
    a picture of ``size`` (height, width), is the one that the metres belong to; None if the source
    does not tell or measures itself.
    """

    origin: Origin
    needs_measured: bool
    focal_length: tuple[float, float] | None
    size: tuple[int, int] | None

    def scale(self, size: tuple[int, int], focal_length: tuple[float, float] | None) -> float:
        """Return the factor on the metres for a picture (height, width) of a camera."""

    def depth(self, rgb: np.ndarray, measured: np.ndarray | None) -> np.ndarray:
        """
        Return metres (h, w) for uint8 RGB (H, W, 3).

        ``measured`` (H', W') are metres of the same view, NaN where nothing was measured; None
        without a measurement. Raises Unmeasured if the source needs more of it.
        """


class SemanticsSource(Protocol):
    """
    A source of semantics.

    ``missing`` names the classes of the wanted label set that it never predicts.
    """

    origin: Origin
    missing: tuple[str, ...]

    def probabilities(self, rgb: np.ndarray) -> np.ndarray:
        """Return how probable each wanted class is, (h, w, K), for uint8 RGB (H, W, 3)."""
