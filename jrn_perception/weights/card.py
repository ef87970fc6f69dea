# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The card of a weights file: a typed object, and its json beside the file."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
import json
from pathlib import Path
from typing import Any

from jrn_perception import labels, networks

# Of weights that are trained with this package alone.
LICENCE = 'Apache-2.0'
FORMAT = 1


class WeightsError(ValueError):
    """A weights file that is missing, damaged or another network's; one line, what to do."""


@dataclass(frozen=True)
class Card:
    """
    What belongs to a weights file.

    ``options`` are keyword arguments of the network's ``build``. ``classes`` are the names of
    label set ``custom``, empty for others. ``input_size`` (height, width) is what pictures are
    resized to, ``focal_length`` (x, y) the training camera's at that size, in pixels.
    ``depth_range`` in metres is what the network was trained on. ``inputs`` of a network
    that refines others' predictions: for each task the file name, in this file's folder, and its
    sha256.
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

    @classmethod
    def of(cls, spec: networks.Spec, label_set: labels.LabelSet | None, **entries: Any) -> Card:
        """Return the card of a network of the table whose labels are those of ``label_set``."""
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

    def depth_range_at(self, depth_scale: float) -> tuple[float, float]:
        """Return ``depth_range`` for a camera for which depth is multiplied by a scale."""
        low, high = self.depth_range
        return depth_scale * low, depth_scale * high


def _two(value: Any, kind: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(
        isinstance(part, kind) for part in value)


# What an entry of a card has to be, beyond what the rest of ``check`` finds out.
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
}


def read_card(path: Path) -> Card:
    """Return the card beside a weights file; WeightsError if it is missing or no card."""
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
        for name in ('input_size', 'depth_range', 'focal_length', 'classes'):
            if content.get(name) is not None:
                content[name] = tuple(content[name])
        return Card(**content)
    except FileNotFoundError:
        raise WeightsError(f'{file}: missing; a weights file needs its card beside it') from None
    except (json.JSONDecodeError, UnicodeDecodeError, AttributeError, TypeError) as error:
        raise WeightsError(f'{file}: not a card: {error}') from error


def joint_licence(*licences: str) -> str:
    """Return the licence of what is made of weights under these: ours, if there is no other."""
    return '; '.join(dict.fromkeys(text for text in licences if text not in ('', LICENCE))) or (
        LICENCE)


def write_card(card: Card, path: Path) -> None:
    """Write the card of the weights file at ``path``."""
    path.with_suffix('.json').write_text(json.dumps(asdict(card), indent=2) + '\n')
