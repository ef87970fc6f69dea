# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""From the name of a network to a backend that runs it, through exported files and their cache."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
import hashlib
import logging
import os
from pathlib import Path
import tempfile
from typing import cast, Protocol

from jrn_perception import networks, weights
from jrn_perception.networks.interface import NotExportableError
from jrn_perception.perception.backends import choice
from jrn_perception.perception.backends.choice import Options
from jrn_perception.perception.backends.exported import BackendFault, ExportedBackend, MULTIPLE
from jrn_perception.perception.backends.interface import ArrayMaps, Backend
from jrn_perception.perception.inputs.interface import NETWORK, SENSOR, Sources
from jrn_perception.perception.inputs.joined import ExternalBackend, Inputs
from jrn_perception.perception.missing_torch import explain_missing_torch
from jrn_perception.rooms.scenes import Scene
from jrn_perception.weights.onnx import EXPORTER, inputs_path, read_content, SUFFIX
import numpy as np

_log = logging.getLogger(__name__)
# Rows and columns, of whose quarter the maps of ``external`` are, and the metres that count.
EXTERNAL_SIZE, EXTERNAL_RANGE = (480, 640), (0.1, 100.0)
# Drawn rooms on which an export for the cache is compared with torch.
ROOMS = 3


@dataclass(frozen=True)
class Opened:
    """
    A network that is ready in a backend.

    ``warnings`` name backends that were not used, and tell what to know of the ``inputs``, which
    are None if the network has its own.
    """

    card: weights.Card
    source: str
    backend: Backend
    warnings: tuple[str, ...] = ()
    inputs: Inputs | None = None


class Refining(Backend, Protocol):
    """The backend of a JRN, which also runs the networks in front of it alone."""

    def predict_inputs(self, pictures: np.ndarray) -> ArrayMaps:
        """Return what the JRN would be given for ``pictures`` (B, h, w, 3)."""


def open_network(architecture: str, variant: str, weights_file: str, options: Options) -> Opened:
    """
    Return a network of ``weights.network_of`` in the backend of ``options``; ValueError.

    ``auto`` takes the next backend, and says so in ``warnings``, if the weights cannot be exported
    or if a runtime does not compute what torch computes. A backend that is named is not replaced.
    With a depth camera, shipped weights that learned from one come before the others.
    """
    architecture, variant = weights.network_of(architecture, variant, weights_file)
    if architecture == networks.EXTERNAL:
        return _open_external(variant, weights_file, options)
    if weights_file or options.sources.depth != SENSOR:
        return _with_sources(_open_own(architecture, variant, weights_file, options), options)
    return _open_shipped_for_sensor(architecture, variant, options)


def _open_shipped_for_sensor(architecture: str, variant: str, options: Options) -> Opened:
    """Return shipped weights behind a depth camera, those that learned from one if they run."""
    file = weights.for_sensor(architecture, variant)
    runs = options.backend in ('auto', 'torch')
    opened = _with_sources(
        _open_own(architecture, variant, file if runs else '', options), options)
    if runs or not file:
        return opened
    return replace(opened, warnings=(
        f'{Path(file).name} has learned from a depth camera, but only backend torch runs it, '
        f'backend is {options.backend}', *opened.warnings))


def _open_own(architecture: str, variant: str, weights_file: str, options: Options) -> Opened:
    """Return a network of ours, see ``open_network``."""
    names = choice.candidates(options, weights_file)
    *runtimes, last = names if names[-1] == 'torch' else (*names, '')
    refused: list[str] = []
    if runtimes:
        spec = networks.find(architecture, variant)
        path = weights.resolve(weights_file, architecture, variant)
        try:
            graph = _graph(spec, path, options.size if last else (0, 0))
        except (BackendFault, NotExportableError, ImportError, OSError) as error:
            if not last:
                raise
            refused.append(f'{", ".join(runtimes)}: {" ".join(str(error).split())}')
        else:
            opened = _open_graph(graph, runtimes, options, refused)
            if opened is not None:
                return opened
    if not last:
        raise BackendFault('; '.join(refused))
    loaded = weights.load(architecture, variant, weights_file)
    return Opened(loaded.card, loaded.source, in_torch(loaded, options), tuple(refused))


def _with_sources(opened: Opened, options: Options) -> Opened:
    """Return the same network behind the sources of ``options``; ValueError if it has none."""
    sources, card = options.sources, opened.card
    chosen = {'depth': sources.depth, 'semantics': sources.semantics}
    warnings = [f'the weights learned from the {task} source {name}, {task}_source is '
                f'{chosen[task]}' for task, name in card.sources.items() if chosen[task] != name]
    if sources == Sources():
        # The card of a perception tells the sources that it runs on.
        return replace(opened, card=replace(card, sources={}),
                       warnings=(*opened.warnings, *warnings))
    if not card.spec.inputs:
        raise ValueError(f'depth_source {sources.depth!r}, semantics_source '
                         f'{sources.semantics!r}: {card.architecture} sees pictures alone; choose '
                         f'architecture jrn, or {networks.EXTERNAL} for models alone')
    assert card.label_set is not None
    inputs = Inputs(sources, card.label_set, options.device, options.threads,
                    cast('Refining', opened.backend).predict_inputs)
    return replace(
        opened, inputs=inputs, card=_sourced(card, inputs),
        warnings=(*opened.warnings, *warnings, *inputs.warnings()))


def _sourced(card: weights.Card, inputs: Inputs) -> weights.Card:
    models = (inputs.depth_model, inputs.semantics_model)
    return replace(card, sources=inputs.describe(), licence=weights.joint_licence(
        card.licence, *(model.origin.licence_text for model in models if model is not None)))


def _open_external(variant: str, weights_file: str, options: Options) -> Opened:
    """Return models of somebody else alone; ValueError."""
    sources, spec = options.sources, networks.find(networks.EXTERNAL, variant)
    if weights_file:
        raise ValueError(f'weights {weights_file!r}: {networks.EXTERNAL} has none; name its '
                         'models in depth_source and semantics_source')
    for task, name in (('depth', sources.depth), ('semantics', sources.semantics)):
        if name in (NETWORK, SENSOR):
            raise ValueError(f'{task}_source {name!r}: {networks.EXTERNAL} needs a model: a '
                             'Hugging Face name or folder, an ONNX file, or a yaml file that '
                             'describes one')
    if options.backend != 'auto' or options.precision not in ('auto', 'fp32'):
        raise ValueError(f'{networks.EXTERNAL} runs each model in its own runtime and in fp32: '
                         'choose backend auto and precision auto')
    assert spec.labels is not None
    inputs = Inputs(sources, spec.labels, options.device, options.threads, None)
    card = weights.Card.of(spec, spec.labels, input_size=EXTERNAL_SIZE,
                           depth_range=EXTERNAL_RANGE, licence='')
    return Opened(_sourced(card, inputs), f'{sources.depth}, {sources.semantics}',
                  ExternalBackend(), inputs.warnings(), inputs)


def in_torch(loaded: weights.Loaded, options: Options) -> Backend:
    """Return a loaded network in torch; ``auto`` precision is that of its card."""
    from jrn_perception.perception.backends.torch import TorchBackend
    card = loaded.card
    return TorchBackend(
        loaded.network, card.preprocessing, card.spec.can_mute, options.device,
        card.precision if options.precision == 'auto' else options.precision, options.threads)


@dataclass(frozen=True)
class _Graph:
    """An ONNX file, the card of the weights that it was made from, and their name."""

    path: Path
    card: weights.Card
    source: str


def _graph(spec: networks.Spec, path: Path | None, size: tuple[int, int]) -> _Graph:
    """
    Return the ONNX file of the weights at ``path``, exported into the cache if there is none.

    Raises NotExportableError if its graph cannot have the ``size`` that the caller asked for.
    """
    path = weights.with_graph(path)
    if path is not None and path.suffix == SUFFIX:
        graph, source = path, path
    else:
        if path is not None:
            _check_size(weights.check(path, spec.architecture, spec.variant), size)
        with explain_missing_torch(str(path or weights.RANDOM)):
            graph = cached_export(spec, path)
        # A cached file differs between versions of the exporter; its weights are those of path.
        source = path or graph
    return _Graph(graph, weights.check(source, spec.architecture, spec.variant),
                  str(path or weights.RANDOM))


def _check_size(card: weights.Card, size: tuple[int, int]) -> None:
    for length in size:
        if (length or card.preprocessing.multiple_of) % MULTIPLE:
            raise NotExportableError(
                f'an exported network takes multiples of {MULTIPLE} pixels, asked for are '
                f'{length or f"multiples of {card.preprocessing.multiple_of}"}')


def _open_graph(graph: _Graph, names: list[str], options: Options, refused: list[str]
                ) -> Opened | None:
    """Return the graph in the first runtime that computes it correctly; say why in ``refused``."""
    content = read_content(graph.path)
    if content.inputs_sha256:
        _check_inputs(graph.path, content.inputs_sha256)
    for name in names:
        precision = choice.runtime_precision(name, options.precision,
                                             content.card.get('precision', 'auto'))
        try:
            runtime = choice.start(name, options.threads, cache_folder(), precision,
                                   options.device)
            backend = ExportedBackend(graph.path, content, runtime)
            return Opened(graph.card, graph.source, backend, tuple(refused))
        except BackendFault as error:
            refused.append(str(error))
    return None


def _check_inputs(path: Path, digest: str) -> None:
    inputs = inputs_path(path)
    if not inputs.is_file():
        raise weights.WeightsError(f'{inputs}: missing; {path.name} needs it beside it')
    if weights.sha256(inputs) != digest:
        raise weights.WeightsError(f'{inputs}: is not the file that {path.name} was exported with')


def cache_folder() -> Path:
    """Return the folder for files that can be made again: XDG_CACHE_HOME/jrn_perception."""
    base = os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache')
    return Path(base) / 'jrn_perception'


def cached_export(spec: networks.Spec, path: Path | None) -> Path:
    """
    Return the ONNX file of the weights at ``path``, None for random ones; export it if missing.

    The first export takes torch and about half a minute, which the log says. The same weights are
    found again by their content. Raises NotExportableError.
    """
    digest = hashlib.sha256(f'{spec.name} {EXPORTER}'.encode())
    for part in _files(path) if path else _random(spec):
        digest.update(part)
    output = cache_folder() / 'exported' / digest.hexdigest()[:32] / f'{spec.name}{SUFFIX}'
    if not output.is_file():
        from jrn_perception.networks.exporting import require_exportable
        from jrn_perception.perception.export import export
        loaded = weights.load(spec.architecture, spec.variant, str(path or weights.RANDOM))
        require_exportable(loaded.network)
        _log.warning('exporting %s to %s, once for these weights: about half a minute',
                     spec.name, output)
        folder = output.parent.parent
        folder.mkdir(parents=True, exist_ok=True)
        # Appears as a whole: two processes may export the same weights at once.
        with tempfile.TemporaryDirectory(dir=folder, prefix='.') as temporary:
            export(loaded, Path(temporary) / 'done' / output.name, drawn_rooms())
            try:
                (Path(temporary) / 'done').rename(output.parent)
            except OSError:
                if not output.is_file():  # Otherwise the other process was first.
                    raise
    return output


def _files(path: Path) -> Iterator[bytes]:
    """Yield the content of a weights file, its card, and the files that its card names."""
    card = weights.read_card(path)
    for file in (path, *(path.parent / name for name, _ in card.inputs.values())):
        for part in (file, file.with_suffix('.json')):
            if not part.is_file():
                raise weights.WeightsError(f'{part}: missing')
            yield part.read_bytes()


def _random(spec: networks.Spec) -> Iterator[bytes]:
    """Yield the random weights of a network: they depend on its code and on torch."""
    loaded = weights.load(spec.architecture, spec.variant, weights.RANDOM)
    for value in loaded.network.state_dict().values():
        yield value.numpy().tobytes()


def drawn_rooms() -> Iterator[np.ndarray]:
    """Yield pictures of drawn rooms, RGB (480, 640, 3)."""
    for seed in range(ROOMS):
        yield Scene(seed).render(height=480, width=640).rgb
