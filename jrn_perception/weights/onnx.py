# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
The content of ``jrn_export``'s ONNX files beside the graph. Needs neither torch nor onnx.

``NAME.onnx`` lies beside its card, ``NAME.json``. Its metadata hold the same card, and a picture
with the maps that torch computed for it. For a JRN, ``NAME_inputs.onnx`` beside it is the graph of
the single-task networks.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
import io
import json
from pathlib import Path
from typing import Any
import zipfile

from jrn_perception.weights.card import WeightsError
import numpy as np

SUFFIX = '.onnx'
# The name of our entry in an ONNX file's metadata_props, and the version of its content.
KEY, FORMAT = 'jrn_perception', 1
# Part of the names in the cache: raise it when the same weights give other files.
EXPORTER = 1
# ModelProto.metadata_props, and key and value of its entries (onnx.proto).
_METADATA, _KEY, _VALUE = 14, 1, 2
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True)
class Content:
    """
    What the metadata of an exported network hold.

    ``check`` are arrays by name: ``pictures`` (1, h, w, 3), and the maps of torch for them.
    ``inputs_sha256`` is the digest of the graph of a JRN's single-task networks, '' without one.
    ``statistics`` are the numbers that replace a JRN's muted inputs: see ``refinement``.
    """

    card: Mapping[str, Any]
    check: Mapping[str, np.ndarray]
    inputs_sha256: str = ''
    statistics: Mapping[str, Any] | None = None

    def to_text(self) -> str:
        """Return the text of the entry ``KEY``."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **self.check)
        return json.dumps({
            'format': FORMAT, 'card': self.card, 'inputs_sha256': self.inputs_sha256,
            'statistics': self.statistics,
            'check': base64.b64encode(buffer.getvalue()).decode()})


def inputs_path(path: Path) -> Path:
    """Return the file of the single-task networks of the JRN in the ONNX file at ``path``."""
    return path.with_name(f'{path.stem}_inputs{SUFFIX}')


def read_content(path: Path) -> Content:
    """Return what the metadata of an ONNX file hold; WeightsError if it is not of jrn_export."""
    try:
        text = _metadata(path.read_bytes()).get(KEY)
        if text is None:
            raise WeightsError(f'{path}: was not written by jrn_export')
        content = json.loads(text)
        if content['format'] != FORMAT:
            raise WeightsError(f'{path}: export format {content["format"]!r}, this version reads '
                               f'{FORMAT}: export the weights again')
        with np.load(io.BytesIO(base64.b64decode(content['check']))) as arrays:
            check = dict(arrays)
        return Content(content['card'], check, content['inputs_sha256'], content['statistics'])
    except (IndexError, KeyError, TypeError, UnicodeDecodeError, zipfile.BadZipFile) as error:
        raise WeightsError(f'{path}: not an ONNX file of jrn_export: {error!r}') from error
    except ValueError as error:
        if isinstance(error, WeightsError):
            raise
        raise WeightsError(f'{path}: not an ONNX file of jrn_export: {error}') from error


def _metadata(data: bytes) -> dict[str, str]:
    """Return the metadata_props of a serialised ModelProto."""
    found = {}
    for number, content in _fields(memoryview(data)):
        if number == _METADATA:
            entry = {part: bytes(text).decode() for part, text in _fields(content)}
            found[entry[_KEY]] = entry.get(_VALUE, '')
    return found


def _fields(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield number and bytes of the length-delimited fields of a protobuf message."""
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            _, position = _varint(data, position)
        elif kind in (_FIXED64, _FIXED32):
            position += 8 if kind == _FIXED64 else 4
        elif kind == _BYTES:
            length, position = _varint(data, position)
            if position + length > len(data):
                raise ValueError('the file ends early')
            yield number, data[position:position + length]
            position += length
        else:
            raise ValueError(f'no protobuf: wire type {kind}')


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    """Return the number at ``position`` and the position behind it."""
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
        shift += 7
