# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Networks that were trained without a part of the frames, to predict for that part.

The JRN paper's own inputs are predictions for frames that the predicting networks were trained
on, annotations included. A JRN learns from them to trust its inputs more than it should.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from jrn_perception import networks, weights
from jrn_perception.datasets.subsets import held_out, Selection
from jrn_perception.frame import Frame
from jrn_perception.networks.jrn import ModularNetwork
from jrn_perception.training.recipes import Settings


class Parts(NamedTuple):
    """A data set in two parts: the frames to train on, and the frames that were held out."""

    seen: Selection
    unseen: Selection


@dataclass(frozen=True)
class Fold:
    """
    A network, and the frames that it was not trained on.

    ``part`` is K/N as in --hold-out, ``sha256`` is the digest of the network's weights file.
    """

    network: ModularNetwork
    unseen: Selection
    part: str
    sha256: str


def split(frames: Sequence[Frame], text: str) -> Parts:
    """Return the frames without the K-th of N parts, and that part; ``text`` is K/N."""
    part, _, parts = text.partition('/')
    if not (part.isdecimal() and parts.isdecimal()):
        raise ValueError(f'--hold-out {text}: expected K/N, for example 1/2')
    return Parts(*held_out(frames, int(part), int(parts)))


def open_folds(settings: Settings, frames: Sequence[Frame], deployed: ModularNetwork
               ) -> list[Fold]:
    """
    Return the folds in the folders ``settings.fold``, in front of the JRN of ``deployed``.

    Raises ValueError for a network that was trained on all ``frames`` or on other frames.
    """
    spec, folds = networks.find('hydranet'), []
    for folder in settings.fold:
        path = folder / f'{spec.name}.safetensors'
        network, card = weights.load_file(path, spec.architecture, spec.variant)
        part = card.training.get('hold_out')
        if not part:
            raise ValueError(f'--fold {folder}: {path.name} was trained on all frames, without '
                             '--hold-out')
        seen, unseen = split(frames, part)
        expected = {'reader': settings.reader, 'fit': settings.fit, 'frames': len(seen)}
        found = {key: card.training.get(key) for key in expected}
        if found != expected:
            raise ValueError(f'--fold {folder}: {path.name} was trained on {found}, the part that '
                             f'it should have seen is {expected}')
        modular = ModularNetwork(network, network, deployed.refine, deployed.fold).eval()
        folds.append(Fold(modular, unseen, part, card.sha256))
    return folds
