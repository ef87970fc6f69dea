# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""How each shipped network was trained: one table, every number in it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """
    One training run.

    ``input_size`` is the (height, width) to which the network's input is resized at inference;
    ``crop`` the window that training cuts after a random ``zoom`` of it. Learning rates are the
    peaks of a one-cycle cosine (AdamW); ``ema_decay`` is the decay, per step, of the average of
    weights that is kept. Losses are taken at 1/``loss_stride`` of the crop.
    """

    epochs: int
    batch_size: int = 8
    encoder_rate: float = 4e-4
    decoder_rate: float = 2e-3
    weight_decay: float = 0.02
    ema_decay: float = 0.998
    input_size: tuple[int, int] = (288, 384)
    crop: tuple[int, int] = (240, 320)
    zoom: tuple[float, float] = (0.8, 1.6)
    colour_jitter: float = 0.3
    loss_stride: int = 2
    depth_weight: float = 1.0
    semantics_weight: float = 1.0
    seed: int = 0


# Recipes of the networks that see pictures; those of the JRN are in ``training/refine.py``.
RECIPES = {
    'depth': Recipe(epochs=30),
    'semantics': Recipe(epochs=35),
    'hydranet': Recipe(epochs=40),
}
