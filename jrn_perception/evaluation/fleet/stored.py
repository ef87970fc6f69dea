# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Totals as bytes and back, without pickle.

Results lie in folders and buckets that others may write to, and whoever writes a pickle runs code
where it is read. Here the bytes are json: the reader makes only objects of ``CLASSES``, and arrays
of numbers.
"""

from __future__ import annotations

from array import array
from base64 import b64decode, b64encode
import io
import json
from typing import Any

from jrn_perception.evaluation.measures.sums import PreciseSum
from jrn_perception.evaluation.recordings.ranging import RangeTotals
from jrn_perception.evaluation.recordings.totals import ErrorSums, Totals
from jrn_perception.evaluation.recordings.worst import Worst, WorstFrames
from jrn_perception.labels import LabelSet
import numpy as np

CLASSES = {each.__name__: each for each in (
    ErrorSums, LabelSet, PreciseSum, RangeTotals, Totals, Worst, WorstFrames)}
_SEQUENCES = {'tuple': tuple, 'set': set}
_BYTES = {'bytes': bytes, 'bytearray': bytearray}
_FAULTS = (AttributeError, EOFError, KeyError, LookupError, RecursionError, TypeError, ValueError)


def to_bytes(value: Any) -> bytes:
    """Return objects of ``CLASSES``, arrays and Python's own containers and values as bytes."""
    return json.dumps(_plain(value), separators=(',', ':')).encode()


def from_bytes(data: bytes) -> Any:
    """Return what ``to_bytes`` was given; ValueError in one line for other bytes."""
    try:
        return _whole(json.loads(data))
    except _FAULTS as error:
        reason = ' '.join(f'{type(error).__name__}: {error}'.split())
        raise ValueError(f'the data is not what a worker wrote ({reason})') from error


def _plain(value: Any) -> Any:
    """Return json's types; everything that json does not have is a pair [kind, content]."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, list):
        return ['list', list(map(_plain, value))]
    if isinstance(value, dict):
        return ['dict', [[_plain(key), _plain(content)] for key, content in value.items()]]
    if isinstance(value, np.ndarray):
        file = io.BytesIO()
        np.save(file, value, allow_pickle=False)
        return ['ndarray', _text(file.getvalue())]
    if isinstance(value, array):
        return ['array', value.typecode, _text(value.tobytes())]
    name = type(value).__name__
    if name in _BYTES:
        return [name, _text(value)]
    if name in _SEQUENCES:
        return [name, list(map(_plain, value))]
    if CLASSES.get(name) is not type(value):
        raise TypeError(f'{type(value)} is not stored')
    return [name, _plain(list(value) if isinstance(value, tuple) else vars(value))]


def _whole(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    kind, *content = value
    if kind == 'list':
        return list(map(_whole, content[0]))
    if kind == 'dict':
        return {_whole(key): _whole(entry) for key, entry in content[0]}
    if kind == 'ndarray':
        return np.load(io.BytesIO(b64decode(content[0])), allow_pickle=False)
    if kind == 'array':
        return array(content[0], b64decode(content[1]))
    if kind in _BYTES:
        return _BYTES[kind](b64decode(content[0]))
    if kind in _SEQUENCES:
        return _SEQUENCES[kind](map(_whole, content[0]))
    state = _whole(content[0])
    if isinstance(state, list):
        return CLASSES[kind](*state)
    made = object.__new__(CLASSES[kind])
    vars(made).update(state)
    return made


def _text(data: bytes | bytearray) -> str:
    return b64encode(data).decode()
