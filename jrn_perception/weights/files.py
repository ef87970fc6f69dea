# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Weights files: which file a name means, loading with every check, and writing.

Functions that build or hold tensors import torch themselves; names and cards need none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from jrn_perception import labels, networks
from jrn_perception.weights.card import Card, read_card, WeightsError, write_card
from jrn_perception.weights.onnx import SUFFIX
from safetensors import SafetensorError

if TYPE_CHECKING:
    from jrn_perception.networks.jrn import ModularNetwork
    import torch
    from torch import nn, Tensor

SHIPPED = Path(__file__).parent / 'shipped'
RANDOM = 'random'
# Ends the name of shipped weights that learned from a depth camera.
SENSOR = '_sensor'


@dataclass(frozen=True)
class Loaded:
    """A network ready to run, in eval mode on the CPU, and its card."""

    network: nn.Module
    card: Card
    source: str


def shipped() -> dict[str, Path]:
    """
    Return the weights files of this package, by ``architecture_variant``.

    Files for a depth camera are in ``for_sensor``.
    """
    return {path.stem: path for path in sorted(SHIPPED.glob('*.safetensors'))
            if not path.stem.endswith(SENSOR)}


def for_sensor(architecture: str, variant: str) -> str:
    """
    Return the shipped file of the network that learned from a depth camera, '' if none is shipped.

    Raises ValueError if there is no such network.
    """
    path = SHIPPED / f'{networks.find(architecture, variant).name}{SENSOR}.safetensors'
    return str(path) if path.is_file() else ''


def resolve(weights: str, architecture: str, variant: str = '') -> Path | None:
    """
    Return the file that ``weights`` means: '' the shipped one, ``random`` None, else a path.

    Raises WeightsError if there is no such file, ValueError if there is no such network.
    """
    spec = networks.find(architecture, variant)
    if weights == RANDOM:
        return None
    path = _path(weights) if weights else SHIPPED / f'{spec.name}.safetensors'
    if path.is_file():
        return path
    if weights:
        raise WeightsError(f'{path}: no such weights file')
    raise WeightsError(
        f'no weights for {spec.architecture} {spec.variant} are shipped (shipped: '
        f'{", ".join(shipped()) or "none"}): set weights to a file made by jrn_train or '
        f'jrn_convert, or to {RANDOM!r} for a test')


def network_of(architecture: str, variant: str, weights: str) -> tuple[str, str]:
    """
    Return architecture and variant, those that are empty from the card of the file ``weights``.

    Without a file, the variant brings its architecture (see ``networks.architecture_of``).
    Raises WeightsError if there is no such file, or no card beside it.
    """
    if architecture:
        return architecture, variant
    if weights in ('', RANDOM):
        return networks.architecture_of(variant), variant
    path = resolve(weights, networks.DEFAULT)
    assert path is not None
    card = read_card(path)
    return card.architecture, variant or card.variant


def with_graph(path: Path | None) -> Path | None:
    """Return the ONNX file that comes with the package for a shipped file, else ``path``."""
    if path is None or path.parent != SHIPPED:
        return path
    graph = SHIPPED / 'onnx' / f'{path.stem}{SUFFIX}'
    return graph if graph.is_file() else path


def _path(name: str) -> Path:
    # Path.expanduser raises RuntimeError for an unknown user; this leaves the name as it is.
    return Path(os.path.expanduser(name))


def check(path: Path, architecture: str = '', variant: str = '') -> Card:
    """
    Return the card of the weights file at ``path`` after checking it against file and table.

    ``architecture`` and ``variant`` are the expected network, '' for any. Raises WeightsError
    that names the file, the value found and the value expected.
    """
    card = read_card(path)
    for name, found, expected in (('architecture', card.architecture, architecture),
                                  ('variant', card.variant, variant)):
        if expected and found != expected:
            raise WeightsError(f'{path}: holds {name} {found!r}, expected {expected!r}; to run '
                               f'it, choose {name} {found}')
    try:
        expected_labels = card.spec.labels
    except ValueError as error:
        raise WeightsError(f'{path}: {error}') from error
    if card.labels != (expected_labels.name if expected_labels else None):
        raise WeightsError(f'{path}: label set {card.labels!r}, expected '
                           f'{expected_labels.name if expected_labels else None!r}')
    named = len(card.classes)
    if named != (card.options.get('classes') if card.labels == labels.CUSTOM else 0):
        raise WeightsError(f'{path}: its card names {named} classes of its own, for label set '
                           f'{card.labels!r} and options {card.options}')
    digest = sha256(path)
    if digest != card.sha256:
        raise WeightsError(f'{path}: sha256 is {digest[:12]}…, its card says {card.sha256[:12]}…: '
                           'damaged or not the file of this card')
    return card


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def load(architecture: str, variant: str = '', weights: str = '', seed: int = 0) -> Loaded:
    """
    Return the network with the weights that ``weights`` names (see ``resolve``).

    ``random`` weights are the same for the same ``seed``. Raises ValueError for an unknown
    network, WeightsError for an unusable file.
    """
    spec = networks.find(architecture, variant)
    path = resolve(weights, architecture, variant)
    if path is None:
        card = Card.of(spec, spec.labels, sha256=f'{RANDOM}-{seed}')
        return Loaded(_random(spec, seed).eval(), card, RANDOM)
    network, card = load_file(path, spec.architecture, spec.variant)
    if spec.inputs:
        network = _refinement(network, card, path)
    return Loaded(network.eval(), card, str(path))


def _refinement(network: nn.Module, card: Card, path: Path) -> ModularNetwork:
    """Return the refinement network joined with the single-task networks that its card names."""
    from jrn_perception.networks.jrn import ModularNetwork
    inputs = {}
    for task in ('depth', 'semantics'):
        if task not in card.inputs:
            raise WeightsError(f'{path}: its card names no {task} network as input')
        name, digest = card.inputs[task]
        inputs[task], other = load_file(path.parent / name, architecture=task)
        if other.sha256 != digest:
            raise WeightsError(f'{path.parent / name}: is not the file that {path.name} was '
                               f'trained on (sha256 {digest[:12]}…)')
        # All three networks are fed the same image.
        if other.preprocessing != card.preprocessing:
            raise WeightsError(f'{path.parent / name}: its preprocessing differs from the '
                               f'preprocessing of {path.name}')
    # ``other`` is the semantic network's card: its label set is folded to the JRN's.
    return ModularNetwork(inputs['depth'], inputs['semantics'], network,
                          _fold(other.label_set, card.label_set))


def _fold(source: labels.LabelSet, target: labels.LabelSet) -> torch.Tensor:
    import torch
    return torch.from_numpy(labels.fold_matrix(source, target))


def _random(spec: networks.Spec, seed: int) -> nn.Module:
    from jrn_perception.networks.jrn import ModularNetwork
    import torch
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        # Draw the input networks first: they are then the same for all variants of a JRN.
        inputs = [networks.find(*other) for other in spec.inputs]
        drawn = [other.build() for other in inputs]
        network = spec.build()
    if not inputs:
        return network
    return ModularNetwork(*drawn, network, _fold(inputs[1].labels, spec.labels))


def load_file(path: Path, architecture: str = '', variant: str = '') -> tuple[nn.Module, Card]:
    """
    Return the single network in the file at ``path`` and its card, checked.

    Raises WeightsError; for ``architecture`` and ``variant`` see ``check``.
    """
    from safetensors.torch import load_file as load_tensors
    if not path.is_file():
        raise WeightsError(f'{path}: missing')
    card = check(path, architecture, variant)
    try:
        network = card.spec.build(**card.options)
    except (TypeError, ValueError) as error:
        raise WeightsError(f'{path}: options of its card: {error}') from error
    try:
        state = load_tensors(path)
    except SafetensorError as error:
        raise WeightsError(f'{path}: not a safetensors file: {error}') from error
    expected = network.state_dict()
    wrong = [f'lacks {name}' for name in expected if name not in state]
    wrong += [f'has an unknown {name}' for name in state if name not in expected]
    wrong += [f'{name} is {tuple(value.shape)}, expected {tuple(expected[name].shape)}'
              for name, value in state.items()
              if name in expected and value.shape != expected[name].shape]
    if wrong:
        more = f' and {len(wrong) - 1} more' if len(wrong) > 1 else ''
        raise WeightsError(f'{path}: is no {card.spec.name}: {wrong[0]}{more}')
    network.load_state_dict(state)
    return network, card


def save(network: nn.Module, card: Card, path: Path) -> Card:
    """
    Write ``path`` (fp16 safetensors) and its card; return the card with the file's sha256.

    The card of a symbiosis network tells its learnt gammas. Raises ValueError, and writes nothing,
    if the network is not the card's or has values that are not finite in fp16.
    """
    from jrn_perception.networks.symbiosis import SymbiosisNetwork
    expected = card.spec.build(**card.options).state_dict()
    state = network.state_dict()
    if {k: v.shape for k, v in expected.items()} != {k: v.shape for k, v in state.items()}:
        raise ValueError(f'the network is no {card.spec.name} with options {card.options}')
    state = {name: (value.half() if value.is_floating_point() else value).cpu()
             for name, value in state.items()}
    for name, value in state.items():
        if not value.isfinite().all():
            raise ValueError(f'{name} holds values that are not finite in float16: did the '
                             'training diverge?')
    write_tensors(state, path)
    card = replace(card, sha256=sha256(path))
    if isinstance(network, SymbiosisNetwork):
        card = replace(card, training={**card.training, 'gammas': network.learnt_gammas()})
    write_card(card, path)
    return card


def write_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write a safetensors file with the permissions of any new file; create its folder."""
    from safetensors.torch import save as to_bytes
    path.parent.mkdir(parents=True, exist_ok=True)
    # safetensors' own save_file makes a file that only its owner can read.
    path.write_bytes(to_bytes({name: value.contiguous() for name, value in tensors.items()}))
