# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The mean of the weights of networks that were trained from the same start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jrn_perception import weights
from jrn_perception.training.recipes import Recipe
from torch import nn


@dataclass(frozen=True)
class Average:
    """A network with averaged weights, and its card without metrics."""

    network: nn.Module
    card: weights.Card


def average(paths: Sequence[Path]) -> Average:
    """
    Return the first file's network with the mean of all files' weights.

    Wortsman et al., "Model soups: averaging weights of multiple fine-tuned models improves
    accuracy without increasing inference time", ICML 2022, Section 2: the uniform soup. The mean
    of networks that were not trained from the same start is worthless. The card tells once how
    each file was trained, and at its top the facts that all files share. Its temperature is 1 and
    it has no deviation of depth, because none was fitted to the mean. Raises ValueError for a file
    that lacks a part of the first network, or is for other labels, another focal length, encoder
    stride or source of depth.
    """
    loaded = [weights.load_file(path) for path in paths]
    network, card = loaded[0]
    states = [other.state_dict() for other, _ in loaded]
    for path, state, (_, other) in zip(paths, states, loaded, strict=True):
        if card.label_set and other.label_set not in (None, card.label_set):
            raise ValueError(f'{path}: is labelled in {other.labels}, {paths[0]} in {card.labels}')
        for entry in ('input_size', 'focal_length', 'inputs', 'sources'):
            if getattr(other, entry) != getattr(card, entry):
                raise ValueError(f'{path}: has the {entry} {getattr(other, entry)}, {paths[0]} '
                                 f'{getattr(card, entry)}')
        strides = [each.options.get('encoder_stride', Recipe.encoder_stride)
                   for each in (other, card)]
        if strides[0] != strides[1]:
            raise ValueError(f'{path}: has the encoder stride {strides[0]}, {paths[0]} '
                             f'{strides[1]}')
        for name, value in states[0].items():
            if name not in state or state[name].shape != value.shape:
                raise ValueError(f'{path}: has no {name} like {paths[0]}; it must have all parts '
                                 'of the first network')
    # Counters of batches are taken from the first: their mean need not be a whole number.
    network.load_state_dict({
        name: sum(state[name] for state in states) / len(states)
        if value.is_floating_point() else value for name, value in states[0].items()})
    made_of = [{'sha256': other.sha256, 'training': other.training} for _, other in loaded]
    common = {key: value for key, value in card.training.items()
              if all(key in part['training'] and part['training'][key] == value
                     for part in made_of)}
    licence = weights.joint_licence(*(other.licence for _, other in loaded))
    training = {**common, 'averaged': _once(made_of, set())}
    return Average(network, replace(card, training=training, metrics={}, licence=licence,
                                    temperature=1.0, depth_deviation=None))


def _once(facts: Any, known: set[str]) -> Any:
    """Return the facts about files; a file that occurs again is reduced to its sha256."""
    if isinstance(facts, list):
        return [_once(item, known) for item in facts]
    if not isinstance(facts, dict):
        return facts
    if facts.get('sha256') in known:
        return {'sha256': facts['sha256']}
    if facts.get('training'):
        known.add(facts['sha256'])
    return {key: _once(value, known) for key, value in facts.items()}
