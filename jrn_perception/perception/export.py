# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""From weights to ONNX files: exported, compared with torch, written only if they agree."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
import copy
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
import tempfile
from typing import Any

from jrn_perception import weights
from jrn_perception.networks.exporting import export_pictures, export_refinement, OPSET
from jrn_perception.perception.backends import choice
from jrn_perception.perception.backends.exported import BackendFault, ExportedBackend
from jrn_perception.perception.backends.interface import ArrayMaps, SetUp
from jrn_perception.perception.backends.parity import compare, Parity, worst
from jrn_perception.perception.backends.torch import TorchBackend
from jrn_perception.perception.preprocessing import input_size_for, resize_picture
from jrn_perception.weights.onnx import Content, EXPORTER, inputs_path, KEY, SUFFIX
import numpy as np

# The size of the stored picture: small, because it is run whenever the file is loaded.
CHECK_SIZE = (96, 128)


@dataclass(frozen=True)
class Export:
    """A written file, its card, and the largest difference from torch in each runtime."""

    path: Path
    card: weights.Card
    parity: dict[str, Parity]


def export(loaded: weights.Loaded, output: Path, pictures: Iterable[np.ndarray]) -> Export:
    """
    Write ``output`` (NAME.onnx), its card NAME.json and, for a JRN, NAME_inputs.onnx.

    Each installed runtime must compute the same maps as torch for ``pictures`` (H, W, 3), uint8
    RGB: depth within 1 mm, 99.99 % of the labels. Otherwise, no file is written and BackendFault
    says why. Raises ValueError for another name or a network that cannot be exported.
    """
    if output.suffix != SUFFIX:
        raise ValueError(f'{output}: the output is a file NAME{SUFFIX}')
    runtimes = choice.installed()
    if not runtimes:
        raise ValueError('an exported network is compared with torch before it is written, which '
                         "needs a runtime: pip install '.[onnxruntime]' or '.[openvino]'")
    rest = iter(pictures)
    first = next(rest, None)
    if first is None:
        raise ValueError('no pictures to compare the exported network with torch')
    card = loaded.card
    # A graph holds no muting: a JRN's is done before its second graph, the attention's nowhere.
    torch = TorchBackend(copy.deepcopy(loaded.network), card.preprocessing,
                         bool(card.spec.inputs), 'cpu', 'fp32')
    output.parent.mkdir(parents=True, exist_ok=True)
    # In the folder of the output, so that the files can be moved to their place at once.
    with tempfile.TemporaryDirectory(dir=output.parent, prefix='.export-') as folder:
        path = Path(folder) / output.name
        content = _write(torch, card, path, _check(torch, first, card))
        backends = [ExportedBackend(path, content, choice.start(name, 0, Path(folder)))
                    for name in runtimes]
        found = list(_compare(torch, backends, chain([first], rest), card))
        parity = {backend.name: worst([row[index] for row in found])
                  for index, backend in enumerate(backends)}
        for name, result in parity.items():
            if result.fault:
                raise BackendFault(f'{output}: not written: in {name} {result.fault}')
        card = _describe(card, path, len(found), parity)
        weights.write_card(card, path)
        for file in (inputs_path(path), path.with_suffix('.json'), path):
            if file.exists():
                file.replace(output.parent / file.name)
    return Export(output, card, parity)


def _compare(torch: TorchBackend, backends: list[ExportedBackend],
             pictures: Iterable[np.ndarray], card: weights.Card) -> Iterator[list[Parity]]:
    """Yield for each picture how far each backend differs from torch, at the size of training."""
    for rgb in pictures:
        height, width = rgb.shape[:2]
        size = input_size_for(card.input_size, height, width, card.preprocessing.multiple_of)
        batch = resize_picture(rgb, size, card.preprocessing)[None]
        expected = torch.run(batch, SetUp())
        yield [compare(backend.run(batch, SetUp()), expected) for backend in backends]


def _check(torch: TorchBackend, rgb: np.ndarray, card: weights.Card) -> dict[str, np.ndarray]:
    """Return the picture, and its maps in torch, that are stored with the network."""
    pictures = resize_picture(rgb, CHECK_SIZE, card.preprocessing)[None]
    maps: ArrayMaps = torch.run(pictures, SetUp())
    found = {'pictures': pictures, 'depth': maps.depth, 'semantics': maps.semantics}
    return {name: array for name, array in found.items() if array is not None}


def _write(torch: TorchBackend, card: weights.Card, path: Path, check: dict[str, np.ndarray]
           ) -> Content:
    """Write the graphs at ``path`` and beside it; return the metadata of ``path``."""
    network: Any = torch.network
    written = asdict(replace(card, precision='auto'))
    program = export_pictures(network, tuple(card.spec.heads), torch.mean, torch.std)
    if not torch.can_mute:
        content = Content(written, check)
        return _save(program, content, path)
    _save(program, Content(written, {}), inputs_path(path))
    refine = network.refine
    content = Content(written, check, weights.sha256(inputs_path(path)), {
        'depth_mean': float(refine.depth_mean), 'depth_std': float(refine.depth_std),
        'class_mean': refine.class_mean.tolist()})
    return _save(export_refinement(network), content, path)


def _save(program: Any, content: Content, path: Path) -> Content:
    program.model.metadata_props[KEY] = content.to_text()
    program.save(path)
    return content


def _describe(card: weights.Card, path: Path, pictures: int, parity: dict[str, Parity]
              ) -> weights.Card:
    exported = {
        'from': card.sha256, 'exporter': EXPORTER, 'opset': OPSET, 'pictures': pictures,
        'parity': {name: {'depth_m': found.depth_m, 'labels': found.labels}
                   for name, found in parity.items()}}
    return replace(card, precision='auto', sha256=weights.sha256(path),
                   training={**card.training, 'exported': exported})
