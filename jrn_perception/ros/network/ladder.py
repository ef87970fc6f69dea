# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The settings of a network, from the best to the fastest, that max_latency_ms chooses from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from jrn_perception import weights
from jrn_perception.perception import Perception
from jrn_perception.ros.outputs import Output
from jrn_perception.ros.parameters.settings import check_limits, Settings

# The shares of the rows and columns that the smaller inputs have. Of 288x384 pixels, 192x256 and
# 160x224 remain: even smaller inputs double the error of depth.
SHARES = (2 / 3, 7 / 12)


@dataclass(frozen=True)
class Ladder:
    """The ``rungs``, the configured network first; ``notes`` say which are left out, and why."""

    rungs: tuple[Perception, ...]
    notes: tuple[str, ...] = ()

    def describe(self, rung: int) -> str:
        """Return network, classes and usual input size of a rung, and its place."""
        perception = self.rungs[rung]
        card = perception.card
        height, width = perception.inference_size(*card.input_size)
        classes = ''
        if perception.label_set is not None and perception.label_set != card.label_set:
            classes = f' in the {len(perception.label_set)} classes of {perception.label_set.name}'
        return (f'{rung + 1} of {len(self.rungs)}: {card.architecture} {card.variant} at '
                f'{height}x{width}{classes}')


def build_ladder(settings: Settings, perception: Perception) -> Ladder:
    """
    Return the ladder below ``perception``, the network of ``settings``, each rung ready to run.

    A HydraNet follows a JRN if its classes can be folded into the JRN's: the label set is the same
    on all rungs. Smaller inputs of the last network follow.
    """
    rungs, notes = [perception], []
    if perception.inputs is not None:
        notes.append('max_latency_ms: goes without the HydraNet, which has no depth_source and no '
                     'semantics_source')
    elif settings.architecture == 'jrn':
        try:
            rungs.append(_hydranet(settings, perception))
        except ValueError as error:
            notes.append(f'max_latency_ms: goes without the HydraNet: {error}')
    last = rungs[-1]
    for share in SHARES:
        smaller = last.smaller(share)
        if _usual_size(smaller) != _usual_size(rungs[-1]):
            smaller.warm_up()
            rungs.append(smaller)
    if len(rungs) == 1:
        notes.append('max_latency_ms: has nothing to choose from: the input of '
                     f'{_usual_size(perception)} is too small to shrink')
    return Ladder(tuple(rungs), tuple(notes))


def _hydranet(settings: Settings, perception: Perception) -> Perception:
    """Return the HydraNet in the classes of ``perception``; ValueError if that cannot be had."""
    assert perception.label_set is not None
    hydranet = Perception.load(
        'hydranet', weights_file=weights.RANDOM if settings.weights == weights.RANDOM else '',
        device=settings.device, precision=settings.precision, height=settings.inference_height,
        width=settings.inference_width, backend=settings.backend,
        threads=settings.threads).folded(perception.label_set)
    hydranet.warm_up()
    return hydranet


def _usual_size(perception: Perception) -> tuple[int, int]:
    return perception.inference_size(*perception.card.input_size)


def can_replace(rung: Perception, configured: Perception, settings: Settings,
                wanted: Iterable[Output]) -> bool:
    """
    Return whether ``rung`` gives a subscriber everything that ``configured`` gives.

    It needs each of the ``wanted`` outputs, the muted input, a deviation of depth for the
    threshold, and valid depth between the limits.
    """
    if rung.backend is configured.backend:
        return True
    try:
        check_limits(settings, rung.card.depth_range)
    except ValueError:
        return False
    return (settings.mute == 'none'
            and not (settings.depth_confidence_threshold
                     and configured.card.depth_deviation is not None
                     and rung.card.depth_deviation is None)
            and all(output.available(rung) for output in wanted))
