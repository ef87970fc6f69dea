# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
The symbiosis network: a HydraNet whose two tasks attend to each other's channels.

After Bansal et al., "Semantics-Depth-Symbiosis: Deeply Coupled Semi-Supervised Learning of
Semantics and Depth" (arXiv:2206.10562). Neither its full text nor its code can be had.

- Established by the abstract: a Cross-Channel Attention Module (CCAM) between the two tasks shares
  features "along each channel", and adds a negligible number of parameters.
- Documented elsewhere: the spatial gate before the exchange (PAD-Net, as in Hoyer et al., CVPR
  2021), and a residual weight that starts at 0 (Fu et al., "Dual attention network", CVPR 2019).
- Inferred: all equations of this file, and the place of the module.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext

from jrn_perception.networks.hydranet import DEPTH_ACTIVATIONS, HydraNet
from jrn_perception.networks.interface import Influence, Maps, MUTE, MUTE_VALUES
from jrn_perception.networks.layers import resize
import torch
from torch import nn, Tensor
from torch.nn import functional

# Channels of the tasks' features, and the pixels of the features per pixel of the attention's
# grid: at 1/32 of the picture the module costs 1.5 % of the multiply-adds, at 1/16 it costs 6 %.
WIDTH = 256
POOL = 8
# Affinities are correlations, -1..1: without this factor their softmax would be nearly uniform.
TEMPERATURE = 0.1
# Added to the spread of a channel over the cells (0..6): the correlation of a constant channel
# would be the correlation of its rounding errors, which differ between runtimes.
FLAT = 0.05
# The task whose message a muted modality silences: muted depth tells semantics nothing.
LISTENER = {'depth': 'semantics', 'semantics': 'depth'}


class CrossChannelAttention(nn.Module):
    """
    What each channel of one task's features takes from all channels of the other's.

    With features F_s, F_d (B, C, h, w), pooled to a grid of N cells:

    1. a gate per task and cell: G = F * sigmoid(w . F + b);
    2. the affinity of channel i of one task and channel j of the other: the correlation of their
       gated values over the cells, divided by ``TEMPERATURE``: A (C, C). The variances in the
       correlation's denominator are raised by the square of ``FLAT``;
    3. messages: M_s = softmax over j of A, times G_d; M_d = softmax over i of A, transposed,
       times G_s.

    The caller adds ``gammas`` times the messages to the tasks. Both gammas start at 0.
    """

    def __init__(self, channels: int = WIDTH):
        super().__init__()
        self.gates = nn.ModuleDict(
            {task: nn.Conv2d(channels, 1, 1) for task in ('semantics', 'depth')})
        self.gammas = nn.ParameterDict(
            {task: nn.Parameter(torch.zeros(())) for task in ('semantics', 'depth')})
        for gate in self.gates.values():
            # Every gate starts half open: the first messages come from all of the picture.
            nn.init.zeros_(gate.weight)
            nn.init.zeros_(gate.bias)

    def forward(self, semantics: Tensor, depth: Tensor) -> dict[str, Tensor]:
        """Return each task's message (B, C, h/8, w/8), rounded up, float32, by its name."""
        gated = {}
        for task, features in (('semantics', semantics), ('depth', depth)):
            pooled = functional.avg_pool2d(
                features, POOL, ceil_mode=True, count_include_pad=False).float()
            gate = self.gates[task]
            gated[task] = pooled * torch.sigmoid(
                (pooled * gate.weight.view(1, -1, 1, 1)).sum(1, keepdim=True) + gate.bias)
        affinity = _standardised(gated['semantics']) @ _standardised(
            gated['depth']).transpose(1, 2) / TEMPERATURE
        shape = gated['depth'].shape
        return {
            'semantics': (affinity.softmax(2) @ gated['depth'].flatten(2)).view(shape),
            'depth': (affinity.transpose(1, 2).softmax(2)
                      @ gated['semantics'].flatten(2)).view(shape)}


def _standardised(x: Tensor) -> Tensor:
    """Return (B, C, N): each channel without its mean, of length 1 or, if it hardly varies, 0."""
    x = x.flatten(2)
    x = x - x.mean(2, keepdim=True)
    return x / (x.square().sum(2, keepdim=True) + x.shape[2] * FLAT ** 2).sqrt()


class SymbiosisNetwork(HydraNet):
    """
    A HydraNet with ``CrossChannelAttention`` between the features of its two heads.

    A message goes through the last convolution of the task that it is for, at the attention's
    grid, and is added to the task's maps there. But for the convolution's wider footprint this
    equals adding the resized message to the task's features, at a hundredth of the cost. While
    both gammas are 0 the network is the HydraNet whose weights it started from.

    ``classes`` of semantics; the other arguments and the maps are those of ``HydraNet``.
    """

    def __init__(self, classes: int, depth_activation: str = 'softplus',
                 encoder_stride: int = 32):
        super().__init__({'semantics': classes, 'depth': 1}, depth_activation,
                         encoder_stride=encoder_stride)
        self.attention = CrossChannelAttention()

    def learnt_gammas(self) -> dict[str, float]:
        """Return the weight of each direction of the attention: 0 is a direction without use."""
        gammas = self.attention.gammas
        return {'depth_to_semantics': gammas['semantics'].item(),
                'semantics_to_depth': gammas['depth'].item()}

    def forward(self, image: Tensor, mute: str = 'none', mute_value: str = 'zero',
                influence: bool = False) -> Maps:
        """
        Return the maps of (B, 3, H, W) images.

        ``mute`` names the modality that tells the other one nothing: none, depth or semantics.
        ``mute_value`` replaces its message: ``zero``, as with a gamma of 0; the ``mean`` of the
        message over the picture; or seeded ``noise`` with the message's mean and spread in each
        channel. With ``influence`` the maps also hold how far each modality moves the other's
        output. Raises ValueError for other names.
        """
        if mute not in MUTE:
            raise ValueError(f'mute {mute!r}: choose from {", ".join(MUTE)}')
        if mute_value not in MUTE_VALUES:
            raise ValueError(f'mute_value {mute_value!r}: choose from {", ".join(MUTE_VALUES)}')
        decoded = self.decoder(self.encoder(image))
        features = {task: self.heads[task].features(decoded) for task in LISTENER}
        alone = {task: self.heads[task].convolve(features[task]) for task in LISTENER}
        # Correlations and metres are computed in float32 even under autocast.
        autocast = decoded.dtype != self.heads['depth'].predict.weight.dtype
        with torch.autocast(image.device.type, enabled=False) if autocast else nullcontext():
            messages = self.attention(features['semantics'], features['depth'])
            told = self._add(alone, messages)
            if mute == 'none' and not influence:
                return told
            silent = self._add(alone, {task: _replaced(message, mute_value)
                                       for task, message in messages.items()})
        maps = told
        if mute != 'none':
            listener = LISTENER[mute]
            maps = told._replace(**{listener: getattr(silent, listener)})
        return maps._replace(influence=_influence(told, silent)) if influence else maps

    def _add(self, alone: Mapping[str, Tensor], messages: Mapping[str, Tensor]) -> Maps:
        """Return the maps of the tasks alone, with gamma times the messages added to them."""
        outputs = {}
        for task, value in alone.items():
            weight = self.heads[task].predict.weight
            heard = self.attention.gammas[task] * functional.conv2d(
                messages[task], weight, padding=1)
            outputs[task] = value + resize(heard, value.shape[-2:])
        outputs['depth'] = DEPTH_ACTIVATIONS[self.depth_activation](outputs['depth'])
        return Maps(**outputs)


def _replaced(message: Tensor, value: str) -> Tensor:
    """Return what stands in for a muted message."""
    if value == 'zero':
        return torch.zeros_like(message)
    mean = message.mean((2, 3), keepdim=True).expand_as(message)
    if value == 'mean':
        return mean
    generator = torch.Generator(message.device).manual_seed(0)
    noise = torch.randn(message.shape, generator=generator, device=message.device)
    return mean + message.std((2, 3), unbiased=False, keepdim=True) * noise


def _influence(told: Maps, silent: Maps) -> Influence:
    assert told.depth is not None and silent.depth is not None
    assert told.semantics is not None and silent.semantics is not None
    decided = told.semantics.argmax(1, keepdim=True)
    probability = [logits.float().softmax(1).gather(1, decided)
                   for logits in (told.semantics, silent.semantics)]
    return Influence(told.depth - silent.depth, probability[0] - probability[1])
