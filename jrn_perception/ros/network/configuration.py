# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The settings of the node together with the network that they name."""

from __future__ import annotations

from typing import NamedTuple

from jrn_perception.perception import Perception
from jrn_perception.ros.network.ladder import build_ladder, Ladder
from jrn_perception.ros.parameters.settings import Settings


class Configuration(NamedTuple):
    """
    Settings and their network, which change together: a frame sees one configuration.

    ``ladder`` has the networks that max_latency_ms chooses from, None without a limit.
    """

    settings: Settings
    perception: Perception
    ladder: Ladder | None = None

    def describe(self) -> str:
        """Return network, weights, device, precision and backend in one line."""
        settings, perception, _ = self
        return (f'{settings.architecture} {settings.variant} ({perception.source}) on '
                f'{perception.device} in {perception.precision}, {perception.backend_name}'
                f'{self._sources()}')

    def _sources(self) -> str:
        inputs = self.perception.inputs
        if inputs is None:
            return ''
        return ''.join(f', {task} from {name}' for task, name in inputs.describe().items())

    def predicts_as(self, other: Configuration) -> bool:
        """Return whether network, muting and filter are those of ``other``."""
        names = 'mute', 'mute_value', 'temporal_filter'
        return self.perception is other.perception and all(
            getattr(self.settings, name) == getattr(other.settings, name) for name in names)

    def warnings(self) -> tuple[str, ...]:
        """Return what the user should know of the network and its ladder."""
        return (*self.perception.warnings, *(self.ladder.notes if self.ladder else ()))

    def mute_effect(self) -> str:
        """Return what muting does to the outputs, '' if nothing is muted."""
        mute, value = self.settings.mute, self.settings.mute_value
        if mute == 'none':
            return ''
        other = 'semantics' if mute == 'depth' else 'depth'
        if not self.perception.refines:
            return (f'mute is {mute}: {mute} tells {other} nothing; {other} shows what is left '
                    'without it')
        replacement = {'zero': 'zeros', 'mean': "the training frames' mean"}.get(value, value)
        text = (f'mute is {mute}: the JRN gets {replacement} in place of {mute}; {other} shows '
                f'what is left without it, {mute} itself means nothing')
        residual = self.perception.card.options.get('residual')
        if mute == 'depth' and value == 'zero' and residual:
            text += (', and most of it is invalid, because these weights add their correction to '
                     '0 m: mute_value mean keeps it finite')
        return text

    def slow_device_warnings(self) -> list[str]:
        """Return what makes this device slower than the user may expect."""
        settings, perception, _ = self
        warnings = []
        if perception.backend.name != 'torch':  # Runs on the CPU and in fp32 on purpose.
            return warnings
        from jrn_perception.perception.backends.torch import knows_bfloat16
        if settings.device == 'auto' and perception.device.type == 'cpu':
            warnings.append('no CUDA device: running on the CPU')
        if perception.precision == 'bf16' and not knows_bfloat16(perception.device):
            warnings.append('precision bf16: this CPU emulates it, which is slower than fp32')
        return warnings


def load(settings: Settings) -> Configuration:
    """
    Return ``settings``, their labels filled in, with the network that they name, ready to run.

    Raises ValueError or RuntimeError with one line that says what to do if the weights or the
    device cannot be used.
    """
    perception = Perception.load(
        settings.architecture, settings.variant, weights_file=settings.weights,
        device=settings.device, precision=settings.precision,
        height=settings.inference_height, width=settings.inference_width,
        backend=settings.backend, threads=settings.threads,
        depth_source=settings.depth_source, semantics_source=settings.semantics_source)
    check_mute(settings, perception)
    # The first run allocates, and shows whether the network fits on the device.
    perception.warm_up()
    settings.labels = list(perception.label_set.names)
    ladder = build_ladder(settings, perception) if settings.max_latency_ms else None
    return Configuration(settings, perception, ladder)


def check_mute(settings: Settings, perception: Perception) -> None:
    """Raise ValueError if ``settings`` mute a network that cannot be muted in its backend."""
    if settings.mute != 'none' and not perception.can_mute:
        raise ValueError(f'mute: an exported {settings.architecture} cannot be muted; choose the '
                         'backend torch')


def load_or_refuse(settings: Settings) -> Configuration:
    """Do as ``load``, but turn every failure into a ValueError: the running network stays."""
    try:
        return load(settings)
    except Exception as error:  # noqa: B902, BLE001 a swap is refused, whatever the reason
        reason = str(error) or type(error).__name__
    # Outside of the except clause: there the new error would keep the old one as its context, and
    # with the old one's traceback the half-loaded network, also with ``from None``.
    raise ValueError(reason)
