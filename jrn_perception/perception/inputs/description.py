# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The yaml file that describes a model of somebody else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
import math
from pathlib import Path
from typing import Any

from jrn_perception.perception.inputs.interface import SourceError, UNITS, UNSCALED
import yaml

LAYOUTS = ('nchw', 'nhwc')


@dataclass(frozen=True)
class Description:
    """
    How a model is fed, and what its output means; an entry that is None is the model's own.

    ``model``: a Hugging Face name or folder, or an ONNX file, relative to the yaml file. ``mean``
    and ``std`` of RGB in 0..1. ``size`` (height, width) of its input; ``multiple_of``: a picture
    of another aspect gets as many pixels, in multiples of so many; 0: exactly ``size``.
    ``layout`` of an ONNX file's input. ``output``: the name of the output, '' for the first.
    ``unit`` of depth, and ``factor``, which multiplies it: 0.001 for millimetres.
    ``focal_length`` (x, y) in pixels at ``size`` that metres belong to. ``classes``: the names in
    the order of the channels, or a mapping from these names to the classes of NYU-40 that they
    mean. ``licence`` of the weights.
    """

    model: str = ''
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    size: tuple[int, int] | None = None
    multiple_of: int | None = None
    layout: str = 'nchw'
    output: str = ''
    unit: str = ''
    factor: float = 1.0
    focal_length: tuple[float, float] | None = None
    classes: tuple[str, ...] = ()
    counterparts: Mapping[str, str] = field(default_factory=dict)
    licence: str = ''

    @property
    def is_onnx(self) -> bool:
        return Path(self.model).suffix == '.onnx'


def describe(source: str) -> Description:
    """
    Return the description of a source: of a yaml file, of an ONNX file's, or of a bare name.

    The description of NAME.onnx is NAME.yaml beside it. Raises SourceError that names file and
    entry.
    """
    path = Path(source).expanduser() if source.startswith('~') else Path(source)
    if path.suffix == '.onnx':
        if not path.is_file():
            raise SourceError(f'{path}: no such ONNX file')
        found = read(path.with_suffix('.yaml'))
        return replace(found, model=str(path))
    if path.suffix in ('.yaml', '.yml'):
        found = read(path)
        if not found.model:
            raise SourceError(f'{path}: names no model')
        beside = path.parent / found.model
        return replace(found, model=str(beside) if beside.exists() else found.model)
    return Description(model=str(path) if path.exists() else source)


def read(path: Path) -> Description:
    """Return the content of a yaml file; SourceError that names file and entry."""
    try:
        content = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise SourceError(f'{path}: missing; it describes the model: unit, mean, std, size'
                          ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SourceError(f'{path}: not yaml: {" ".join(str(error).split())}') from error
    if not isinstance(content, dict):
        raise SourceError(f'{path}: not a mapping of entries')
    unknown = sorted(set(map(str, content)) - set(_ENTRIES))
    if unknown:
        raise SourceError(f'{path}: unknown entry {unknown[0]!r}; there are '
                          f'{", ".join(_ENTRIES)}')
    for name, value in content.items():
        if not _ENTRIES[name](value):
            raise SourceError(f'{path}: {name} cannot be {value!r}')
    if isinstance(content.get('classes'), dict):
        content['counterparts'] = content['classes']
        content['classes'] = list(content['classes'])
    entries: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value
                               for name, value in content.items()}
    for name in ('factor', 'focal_length'):
        if name in content and content.get('unit') in UNSCALED:
            raise SourceError(f'{path}: {name} has no effect on the unit {content["unit"]}, whose '
                              'scale a measurement gives: remove it')
    return Description(**entries)


def _numbers(count: int, kind: Any = (int, float), low: float = -math.inf) -> Any:
    def fits(value: Any) -> bool:
        return isinstance(value, list) and len(value) == count and all(
            isinstance(part, kind) and math.isfinite(part) and part > low for part in value)

    return fits


def _text(value: Any) -> bool:
    return isinstance(value, str) and value != ''


def _classes(value: Any) -> bool:
    if isinstance(value, dict):
        return bool(value) and all(_text(key) and _text(to) for key, to in value.items())
    return isinstance(value, list) and bool(value) and all(map(_text, value))


_ENTRIES = {
    'model': _text, 'mean': _numbers(3), 'std': _numbers(3, low=0), 'licence': _text,
    'size': _numbers(2, int, 0), 'multiple_of': lambda value: type(value) is int and value >= 0,
    'layout': lambda value: value in LAYOUTS, 'output': _text,
    'unit': lambda value: value in UNITS, 'focal_length': _numbers(2, low=0),
    'factor': lambda value: type(value) in (int, float) and math.isfinite(value) and value > 0,
    'classes': _classes}
assert set(_ENTRIES) | {'counterparts'} == {entry.name for entry in fields(Description)}
