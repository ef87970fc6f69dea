# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Make the ONNX file that comes with the package: the shipped HydraNet, for machines without torch.

The file holds its weights in fp16, as the safetensors file does, and its graph turns them into the
same fp32 values. Run this after each change of the shipped weights or of their card:

    python tools/shipped_onnx.py [WEIGHTS.safetensors [FOLDER]]
"""

import argparse
from dataclasses import replace
from pathlib import Path
import tempfile

from jrn_perception import weights
from jrn_perception.perception import Perception
from jrn_perception.perception.backends import choice
from jrn_perception.perception.backends.parity import compare, worst
from jrn_perception.perception.export import export
from jrn_perception.perception.loading import drawn_rooms
import numpy as np
import onnx
from onnx import helper, numpy_helper
from safetensors.numpy import load_file

# Smaller arrays stay in fp32: together they need 0.2 MB.
SMALLEST = 1024
# Of the largest value of a channel: two roundings of fp32.
EXACT = 2 ** -22


def store_in_half(model: onnx.ModelProto, tensors: dict[str, np.ndarray]) -> None:
    """
    Replace fp32 arrays of a graph by the fp16 ``tensors`` that they were made from.

    An exported convolution has its batch norm folded in: its weights are a tensor times a factor
    for each output channel. The factors are stored beside the tensor, and the graph multiplies
    both when it is loaded. Raises ValueError for an array that no tensor explains.
    """
    nodes, graph = [], model.graph
    for entry in list(graph.initializer):
        array = numpy_helper.to_array(entry)
        if array.dtype != np.float32 or array.size < SMALLEST:
            continue
        found = next((pair for pair in (explain(array, tensor) for tensor in tensors.values())
                      if pair is not None), None)
        if found is None:
            raise ValueError(f'{entry.name} {array.shape}: is no tensor of the weights file')
        half, factors = found
        name = entry.name
        graph.initializer.remove(entry)
        graph.initializer.append(numpy_helper.from_array(half, f'{name}.half'))
        wide = name if (factors == 1).all() else f'{name}.wide'
        nodes.append(helper.make_node('Cast', [f'{name}.half'], [wide],
                                      to=onnx.TensorProto.FLOAT))
        if wide != name:
            graph.initializer.append(numpy_helper.from_array(factors, f'{name}.factors'))
            nodes.append(helper.make_node('Mul', [wide, f'{name}.factors'], [name]))
    rest = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *rest])


def explain(array: np.ndarray, tensor: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Return fp16 ``tensor`` and its factors (N, 1, ...) if they make ``array``, else None."""
    if tensor.shape != array.shape or tensor.dtype != np.float16:
        return None
    rows, wide = array.reshape(len(array), -1), tensor.astype(np.float32).reshape(len(array), -1)
    largest = np.abs(wide).argmax(1)[:, None]
    divisor = np.take_along_axis(wide, largest, 1)
    factors = np.take_along_axis(rows, largest, 1) / np.where(divisor == 0, 1, divisor)
    limit = EXACT * np.abs(rows).max(1, keepdims=True)
    if not (np.abs(wide * factors - rows) <= limit).all():
        return None
    return tensor, factors.reshape(-1, *[1] * (array.ndim - 1))


def remove_traces(model: onnx.ModelProto) -> None:
    """Remove the lines of Python, with their paths, that the exporter notes for each node."""
    for part in (*model.graph.node, *model.graph.value_info, model.graph):
        del part.metadata_props[:]
        part.doc_string = ''


def make(source: Path, folder: Path) -> Path:
    """Write NAME.onnx and its card into ``folder``; each installed runtime must equal torch."""
    card = weights.read_card(source)
    loaded = weights.load(card.architecture, card.variant, str(source))
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / f'{source.stem}.onnx'
        written = export(loaded, path, drawn_rooms()).card
        model = onnx.load(path)
        store_in_half(model, load_file(source))
        remove_traces(model)
        onnx.save(model, path)
        weights.write_card(replace(written, sha256=weights.sha256(path)), path)
        parity = {name: measure(source, path, name) for name in choice.installed()}
        for name, found in parity.items():
            print(f'{name}: depth within {1000 * found.depth_m:.2g} mm, '
                  f'{100 * found.labels:.4g} % of the labels')
            if found.fault:
                raise ValueError(f'{source}: in {name} {found.fault}')
        exported = {**written.training['exported'], 'weights': 'fp16', 'parity': {
            name: {'depth_m': found.depth_m, 'labels': found.labels}
            for name, found in parity.items()}}
        weights.write_card(replace(weights.read_card(path), training={
            **written.training, 'exported': exported}), path)
        folder.mkdir(parents=True, exist_ok=True)
        for file in (path, path.with_suffix('.json')):
            (folder / file.name).write_bytes(file.read_bytes())
    return folder / path.name


def measure(source: Path, path: Path, backend: str):
    """Return how far the ONNX file in a runtime differs from the weights in torch."""
    card = weights.read_card(source)
    torch, other = (
        Perception.load(card.architecture, card.variant, weights_file=str(file), backend=name,
                        device='cpu', precision='fp32')
        for file, name in ((source, 'torch'), (path, backend)))
    batches = [torch.preprocess(rgb)[None] for rgb in drawn_rooms()]
    return worst([compare(other.infer(batch), torch.infer(batch)) for batch in batches])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument('weights', type=Path, nargs='?',
                        default=weights.SHIPPED / 'hydranet_nyu40.safetensors')
    parser.add_argument('folder', type=Path, nargs='?', default=weights.SHIPPED / 'onnx')
    arguments = parser.parse_args()
    path = make(arguments.weights, arguments.folder)
    print(f'{path}: {path.stat().st_size / 1e6:.2f} MB')


if __name__ == '__main__':
    main()
