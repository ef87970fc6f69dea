# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""From an ONNX file of ``perception.export`` to the same network in int8 or bf16."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
import logging
from pathlib import Path
import shutil
from typing import Any

from jrn_perception import weights
from jrn_perception.perception.backends import choice
from jrn_perception.perception.backends.exported import Graph
from jrn_perception.perception.preprocessing import input_size_for, resize_picture
from jrn_perception.weights.onnx import Content, inputs_path, KEY, read_content
import numpy as np

# Of the weights of an encoder, whose depthwise convolutions lose most in int8.
ENCODER = '.encoder.'
Rows = Iterable[dict[str, np.ndarray]]


def reduce(plain: Path, output: Path, precision: str, pictures: Iterable[np.ndarray]) -> None:
    """
    Write the network of the ONNX file ``plain`` in int8 or bf16, with its card, into a new folder.

    For bf16 the graph stays the same; its card asks the runtime for bf16. For int8 weights and
    maps are quantised, with the ranges that the maps have on ``pictures`` (H, W, 3), uint8 RGB.
    The encoder, the first convolution of a JRN's input and the depth stay in fp32. Raises
    ModuleNotFoundError without the extra ``export``.
    """
    card, content = weights.read_card(plain), read_content(plain)
    output.parent.mkdir(parents=True)
    content = replace(content, card={**content.card, 'precision': precision})
    if precision == 'int8':
        batches = [_resized(rgb, card) for rgb in pictures]
        if not batches:
            raise ValueError('no pictures to calibrate int8 on')
        content = _quantise_all(plain, output, content, batches)
    else:
        shutil.copy(plain, output)
        if content.inputs_sha256:
            shutil.copy(inputs_path(plain), inputs_path(output))
    _write_content(output, content)
    weights.write_card(replace(card, precision=precision, sha256=weights.sha256(output)), output)


def runtimes(precision: str) -> tuple[str, ...]:
    """Return the installed runtimes that compute in int8 or bf16; ValueError if there is none."""
    found = choice.installed()
    if precision == 'bf16':
        choice.check_runtime('openvino', choice.Options(precision=precision))
        found = tuple(name for name in found if name == 'openvino')
    if not found:
        raise ValueError(f"precision {precision!r} needs a runtime: pip install '.[openvino]'"
                         + (" or '.[onnxruntime]'" if precision == 'int8' else ''))
    return found


def finish(path: Path, folder: Path, facts: Mapping[str, Any]) -> None:
    """Add ``facts`` to the card of the file at ``path``, and move all its files to ``folder``."""
    card = weights.read_card(path)
    exported = {**card.training['exported'], **facts}
    weights.write_card(replace(card, training={**card.training, 'exported': exported}), path)
    for file in (inputs_path(path), path.with_suffix('.json'), path):
        if file.exists():
            file.replace(folder / file.name)


def _resized(rgb: np.ndarray, card: weights.Card) -> np.ndarray:
    height, width = rgb.shape[:2]
    size = input_size_for(card.input_size, height, width, card.preprocessing.multiple_of)
    return resize_picture(rgb, size, card.preprocessing)[None]


def _quantise_all(plain: Path, output: Path, content: Content, batches: list[np.ndarray]
                  ) -> Content:
    """Write the quantised graphs; return the metadata of ``output``."""
    rows: Rows = [{'pictures': batch} for batch in batches]
    if content.inputs_sha256:
        inputs = inputs_path(output)
        quantise(inputs_path(plain), inputs, rows)
        _write_content(inputs, replace(read_content(inputs_path(plain)), card=content.card))
        content = replace(content, inputs_sha256=weights.sha256(inputs))
        rows = _refined(inputs_path(plain), batches)
    quantise(plain, output, rows)
    return content


def _refined(inputs: Path, batches: list[np.ndarray]) -> Iterator[dict[str, np.ndarray]]:
    """Yield the inputs of a JRN's refinement for ``batches`` of pictures, computed in fp32."""
    graph = Graph(choice.start('onnxruntime', 0, Path()), inputs)
    for batch in batches:
        maps = graph(pictures=batch)
        yield {'depth': maps['depth'], 'probabilities': np.exp(maps['semantics'])}


def quantise(source: Path, output: Path, rows: Rows) -> None:
    """
    Write the ONNX graph at ``source`` with int8 convolutions; ``rows`` are inputs by name.

    Weights have a scale for each output channel and use seven bits, so that sums do not overflow
    on CPUs without VNNI. A map's range is the mean of its ranges on ``rows``.
    """
    import onnx
    from onnxruntime import quantization

    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)  # It recommends a preparation that the exporter has done.
    try:
        quantization.quantize_static(
            source, output, _Reader(rows), per_channel=True, reduce_range=True,
            quant_format=quantization.QuantFormat.QDQ,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            nodes_to_exclude=float_nodes(onnx.load(source).graph),
            extra_options={'CalibMovingAverage': True})
    finally:
        logger.setLevel(level)


class _Reader:
    """``rows`` in the form that the quantisation reads."""

    def __init__(self, rows: Rows):
        self._rows = iter(rows)

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._rows, None)


def float_nodes(graph: Any) -> list[str]:
    """
    Return the names of the nodes of an ONNX graph that stay in fp32.

    These are the convolutions of an encoder, the first convolutions, the convolution that makes
    the depth, all before the former and all behind the last convolutions.
    """
    makers = {name: node for node in graph.node for name in node.output}
    readers: dict[str, list[Any]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    convolutions = [node for node in graph.node if node.op_type == 'Conv']
    above = {node.name: _reach(node, lambda at: [
        makers[name] for name in at.input if name in makers]) for node in convolutions}
    below = {node.name: _reach(node, lambda at: [
        reader for name in at.output for reader in readers.get(name, ())])
        for node in convolutions}
    names = set(above)
    depth = {name for name in makers if name.endswith('depth')} & {
        output.name for output in graph.output}
    kept: set[str] = set()
    for node in convolutions:
        if ENCODER in node.input[1] or not names & above[node.name]:
            kept |= {node.name, *above[node.name]}
        if not names & below[node.name]:
            kept |= below[node.name]
            if any(makers[name].name in below[node.name] for name in depth):
                kept.add(node.name)
    return sorted(kept)


def _reach(start: Any, step: Any) -> set[str]:
    """Return the names of the nodes that repeated steps from ``start`` reach, without it."""
    found: dict[str, Any] = {}
    waiting = step(start)
    while waiting:
        node = waiting.pop()
        if node.name not in found:
            found[node.name] = node
            waiting += step(node)
    return set(found)


def _write_content(path: Path, content: Content) -> None:
    import onnx

    model = onnx.load(path)
    del model.metadata_props[:]
    model.metadata_props.add(key=KEY, value=content.to_text())
    onnx.save(model, path)
