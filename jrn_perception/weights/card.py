# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The card of a weights file: a typed object, and its JSON beside the file. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
import json
import math
from pathlib import Path
from typing import Any

from jrn_perception import labels, networks
from jrn_perception.networks.interface import MEAN, STD

# The licence of weights that were trained with this package alone.
LICENCE = 'Apache-2.0'
FORMAT = 1
# OpenCV's names.
INTERPOLATIONS = ('nearest', 'linear', 'cubic', 'area', 'lanczos4')
# No fp16, which a CPU cannot run: `auto` already is fp16 where it can be. int8 is the precision of
# ONNX files alone.
PRECISIONS = ('auto', 'fp32', 'bf16', 'int8')
# Of ``perception.deviation``, and as many as there were before it knew edges.
DEVIATION_COEFFICIENTS = (7, 6)


class WeightsError(ValueError):
    """A weights file is missing, damaged or of another network; one line, with the cure."""


def _numbers(value: Any, count: int) -> bool:
    return isinstance(value, (list, tuple)) and len(value) == count and all(
        isinstance(part, (int, float)) and math.isfinite(part) for part in value)


@dataclass(frozen=True)
class Preprocessing:
    """
    How a picture becomes a network's input, as the network's own training did it.

    The picture is resized by ``shrink`` or ``enlarge``, OpenCV's names of interpolations, to
    multiples of ``multiple_of`` pixels. Its channels are put in the order ``channels``: rgb or
    bgr. Its values 0..255 are mapped to ``value_range``, then ``mean`` is subtracted and the
    result divided by ``std``, which have one number per channel in that order. The default is the
    preprocessing of all networks of this package. Raises ValueError that names the entry.
    """

    mean: tuple[float, float, float] = MEAN
    std: tuple[float, float, float] = STD
    value_range: tuple[float, float] = (0.0, 1.0)
    channels: str = 'rgb'
    shrink: str = 'area'
    enlarge: str = 'linear'
    multiple_of: int = 32

    def __post_init__(self):
        valid = {
            'mean': _numbers(self.mean, 3),
            'std': _numbers(self.std, 3) and min(self.std) > 0,
            'value_range': (_numbers(self.value_range, 2)
                            and self.value_range[0] < self.value_range[1]),
            'channels': self.channels in ('rgb', 'bgr'),
            'shrink': self.shrink in INTERPOLATIONS,
            'enlarge': self.enlarge in INTERPOLATIONS,
            'multiple_of': type(self.multiple_of) is int and self.multiple_of > 0}
        for name, ok in valid.items():
            if not ok:
                raise ValueError(f'preprocessing.{name} cannot be {getattr(self, name)!r}')

    @classmethod
    def from_json(cls, entries: Any) -> Preprocessing:
        """Return the object of a card's entry; ValueError for an unknown or invalid entry."""
        if not isinstance(entries, Mapping):
            raise ValueError(f'preprocessing cannot be {entries!r}')
        unknown = sorted(set(entries) - {entry.name for entry in fields(cls)})
        if unknown:
            raise ValueError(f'unknown entries {[f"preprocessing.{name}" for name in unknown]}')
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in entries.items()}
        return cls(**values)


@dataclass(frozen=True)
class Card:
    """
    The description of a weights file.

    ``options`` are keyword arguments of the network's ``build``. ``classes`` are the class names
    of label set ``custom``, empty for other label sets. ``input_size`` (height, width) is the
    trained size of the network's input, ``focal_length`` (x, y) is the training camera's at this
    size, in pixels. ``depth_range``, in metres, is the range of the training depth. ``inputs``,
    for a network that refines the predictions of other networks: for each task the file name, in
    this file's folder, and its sha256. ``precision`` is the precision for callers that ask for
    ``auto``; 'auto' here leaves the choice to the device. ``temperature`` divides the logits
    before they become the confidence (Guo et al., "On Calibration of Modern Neural Networks", ICML
    2017, Eq. 9); at 1 the confidence is the network's own probability. ``sources``, by task, name
    the sources that a JRN learned from, in a ``Perception`` those that it runs on
    (``perception.inputs``), if they are not the networks of ``inputs``. ``depth_deviation`` are
    the coefficients of the deviation of depth (``perception.deviation``), None if not fitted.
    """

    architecture: str
    variant: str
    labels: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    input_size: tuple[int, int] = (288, 384)
    focal_length: tuple[float, float] | None = None
    depth_range: tuple[float, float] = (0.1, 10.0)
    inputs: dict[str, tuple[str, str]] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    licence: str = LICENCE
    sha256: str = ''
    card_format: int = FORMAT
    classes: tuple[str, ...] = ()
    preprocessing: Preprocessing = Preprocessing()
    precision: str = 'auto'
    temperature: float = 1.0
    sources: dict[str, str] = field(default_factory=dict)
    depth_deviation: tuple[float, ...] | None = None

    @classmethod
    def of(cls, spec: networks.Spec, label_set: labels.LabelSet | None, **entries: Any) -> Card:
        """Return the card of a network of the table that predicts the labels of ``label_set``."""
        classes: dict[str, Any] = {}
        if label_set and label_set.name == labels.CUSTOM:
            classes = {'classes': label_set.names, 'options': {'classes': len(label_set)}}
        return cls(spec.architecture, spec.variant, label_set.name if label_set else None,
                   **classes | entries)

    @property
    def spec(self) -> networks.Spec:
        return networks.find(self.architecture, self.variant)

    @property
    def label_set(self) -> labels.LabelSet | None:
        if self.classes:
            return labels.custom(self.classes)
        return labels.LABEL_SETS[self.labels] if self.labels else None


def _two(value: Any, kind: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(
        isinstance(part, kind) for part in value)


# Which values an entry of a card may have. ``files.check`` compares the rest with the table.
_NUMBER = (int, float)
_ENTRIES = {
    'sha256': lambda value: isinstance(value, str),
    'options': lambda value: isinstance(value, dict),
    'classes': lambda value: isinstance(value, list) and all(
        isinstance(name, str) and name for name in value) and len(set(value)) == len(value),
    'input_size': lambda value: _two(value, int) and min(value) > 0,
    'focal_length': lambda value: value is None or _two(value, _NUMBER) and min(value) > 0,
    'depth_range': lambda value: _two(value, _NUMBER) and 0 <= value[0] < value[1],
    'inputs': lambda value: isinstance(value, dict) and all(
        _two(file, str) for file in value.values()),
    'sources': lambda value: isinstance(value, dict) and set(value) <= {'depth', 'semantics'}
    and all(isinstance(name, str) for name in value.values()),
    'precision': lambda value: value in PRECISIONS,
    'temperature': lambda value: type(value) in _NUMBER and math.isfinite(value) and value > 0,
    'depth_deviation': lambda value: (
        value is None or any(_numbers(value, count) for count in DEVIATION_COEFFICIENTS)),
}


def read_card(path: Path) -> Card:
    """Return the card beside a weights file; WeightsError if it is missing or not a card."""
    file = path.with_suffix('.json')
    try:
        content = json.loads(file.read_text())
        if content.get('card_format') != FORMAT:
            raise WeightsError(f'{file}: card format {content.get("card_format")!r}, this version '
                               f'reads {FORMAT}')
        known = {entry.name for entry in fields(Card)}
        if set(content) - known:
            raise WeightsError(f'{file}: unknown entries {sorted(set(content) - known)}')
        for name, value in content.items():
            if name in _ENTRIES and not _ENTRIES[name](value):
                raise WeightsError(f'{file}: {name} cannot be {value!r}')
        for name in ('input_size', 'depth_range', 'focal_length', 'classes', 'depth_deviation'):
            if content.get(name) is not None:
                content[name] = tuple(content[name])
        # Cards written before the entry existed are of networks with the default preprocessing.
        if 'preprocessing' in content:
            content['preprocessing'] = _read_preprocessing(content['preprocessing'], file)
        return Card(**content)
    except FileNotFoundError:
        raise WeightsError(f'{file}: missing; a weights file needs its card beside it') from None
    except (json.JSONDecodeError, UnicodeDecodeError, AttributeError, TypeError) as error:
        raise WeightsError(f'{file}: not a card: {error}') from error


def _read_preprocessing(entries: Any, file: Path) -> Preprocessing:
    try:
        return Preprocessing.from_json(entries)
    except ValueError as error:
        raise WeightsError(f'{file}: {error}') from error


def joint_licence(*licences: str) -> str:
    """Return the licence of weights that were made from weights under ``licences``."""
    return '; '.join(dict.fromkeys(text for text in licences if text not in ('', LICENCE))) or (
        LICENCE)


def write_card(card: Card, path: Path) -> None:
    """Write the card of the weights file at ``path``."""
    path.with_suffix('.json').write_text(json.dumps(asdict(card), indent=2) + '\n')
