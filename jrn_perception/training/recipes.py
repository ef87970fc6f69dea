# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""How each shipped network is trained: one table, every number in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Recipe:
    """
    One training run of a network that sees pictures.

    ``network`` is its architecture and variant, ``start`` is where the weights come from:
    ``imagenet`` (the encoder's), ``shipped`` (this package's HydraNet), another recipe's name, for
    its result, or a weights file; they are taken as far as the networks agree. ``input_size`` is
    the (height, width) to which the network's input is resized at inference, for frames of another
    aspect one of as many pixels; ``crop`` the window that training cuts after a random ``zoom`` of
    it and a turn of up to ``rotation`` degrees. After ``mix_after`` epochs ``mix_share`` of the
    views have things of others in front of them (``mix.affine_mix``). Learning rates are the
    highest ones (AdamW; ``module.rate_at``); ``ema_decay`` is the decay, per step, of the average
    of weights that is kept; it begins with less. Losses are taken at 1/``loss_stride`` of the
    crop. With a teacher ``soft_weight`` is the share of the semantics loss that is taken against
    its probabilities. ``logit_adjustment`` is the exponent of the class frequencies that the loss
    takes off the network's hands (see ``DenseModule``): mean IoU counts rare classes as much as
    walls. Frames of ``--extra`` are ``extra_share`` of what is drawn.
    """

    network: tuple[str, str]
    epochs: int
    start: str = 'imagenet'
    batch_size: int = 8
    encoder_rate: float = 2e-4
    decoder_rate: float = 7e-4
    weight_decay: float = 0.02
    ema_decay: float = 0.995
    input_size: tuple[int, int] = (288, 384)
    crop: tuple[int, int] = (240, 320)
    zoom: tuple[float, float] = (0.7, 1.6)
    rotation: float = 5.
    colour_jitter: float = 0.4
    mix_share: float = 0.5
    mix_after: int = 0
    loss_stride: int = 2
    depth_weight: float = 0.5
    semantics_weight: float = 1.0
    logit_adjustment: float = 0.3
    soft_weight: float = 0.5
    extra_share: float = 0.25
    seed: int = 0


@dataclass(frozen=True)
class RefineRecipe:
    """
    One training run of a JRN on what frozen single-task networks predict.

    What they say of pictures that they have seen with their annotations is better than it will
    ever be again. Without networks that have not seen them (``jrn_train jrn --fold``) strong
    ``colour_jitter`` makes it err more like on new pictures, and so does ``corruption`` (see
    ``refine.corrupt``; 0: none). Predictions for ``views`` random views of each frame (``zoom``)
    are made once and kept.
    ``depth_power`` is that of the true depth in the loss (see ``losses.jrn_loss``; the paper's is
    1). ``options`` are those of the network (``JRNOptions``).
    """

    epochs: int = 4
    views: int = 2
    batch_size: int = 16
    rate: float = 1e-3
    weight_decay: float = 1e-4
    ema_decay: float = 0.995
    input_size: tuple[int, int] = (288, 384)
    zoom: tuple[float, float] = (0.8, 1.25)
    colour_jitter: float = 0.5
    corruption: float = 0.
    depth_power: float = 0.
    options: dict[str, Any] = field(default_factory=lambda: {'output_stride': 4, 'residual': True})
    seed: int = 0


# The single-task networks start where the joint one ended: on a few hundred annotated frames that
# serves them better than the same time from ImageNet's weights alone.
RECIPES = {
    'teacher': Recipe(
        ('hydranet', 'nyu40_resnet50'), epochs=26, encoder_rate=1e-4, weight_decay=0.05,
        input_size=(384, 512), crop=(256, 352), zoom=(0.6, 1.6)),
    # The run was 31 epochs old when mixing came; whether it should come earlier was not measured.
    'hydranet': Recipe(('hydranet', 'nyu40'), epochs=100, mix_after=31),
    'depth': Recipe(('depth', 'mobilenetv2'), epochs=8, start='hydranet',
                    encoder_rate=1e-4, decoder_rate=4e-4),
    'semantics': Recipe(('semantics', 'mobilenetv2'), epochs=8, start='hydranet',
                        encoder_rate=1e-4, decoder_rate=4e-4),
    'jrn': RefineRecipe(),
}
