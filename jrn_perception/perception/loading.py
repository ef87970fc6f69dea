# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""From the name of a network to a backend that runs it, through exported files and their cache."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
import hashlib
import logging
import os
from pathlib import Path
import tempfile

from jrn_perception import networks, weights
from jrn_perception.networks.interface import NotExportableError
from jrn_perception.perception.backends import choice
from jrn_perception.perception.backends.choice import Options
from jrn_perception.perception.backends.exported import BackendFault, ExportedBackend, MULTIPLE
from jrn_perception.perception.backends.interface import Backend
from jrn_perception.perception.missing_torch import explain_missing_torch
from jrn_perception.rooms.scenes import Scene
from jrn_perception.weights.onnx import EXPORTER, inputs_path, read_content, SUFFIX
import numpy as np

_log = logging.getLogger(__name__)
# Drawn rooms on which an export for the cache is compared with torch.
ROOMS = 3


@dataclass(frozen=True)
class Opened:
    """A network that is ready in a backend; ``warnings`` name backends that were not used."""

    card: weights.Card
    source: str
    backend: Backend
    warnings: tuple[str, ...] = ()


def open_network(architecture: str, variant: str, weights_file: str, options: Options) -> Opened:
    """
    Return a network of ``weights.resolve`` in the backend of ``options``; ValueError.

    ``auto`` takes the next backend, and says so in ``warnings``, if the weights cannot be exported
    or if a runtime does not compute what torch computes. A backend that is named is not replaced.
    """
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


def in_torch(loaded: weights.Loaded, options: Options) -> Backend:
    """Return a loaded network in torch; ``auto`` precision is that of its card."""
    from jrn_perception.perception.backends.torch import TorchBackend
    card = loaded.card
    return TorchBackend(
        loaded.network, card.preprocessing, bool(card.spec.inputs), options.device,
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
    found again by their content.
    """
    digest = hashlib.sha256(f'{spec.name} {EXPORTER}'.encode())
    for part in _files(path) if path else _random(spec):
        digest.update(part)
    output = cache_folder() / 'exported' / digest.hexdigest()[:32] / f'{spec.name}{SUFFIX}'
    if not output.is_file():
        from jrn_perception.perception.export import export
        _log.warning('exporting %s to %s, once for these weights: about half a minute',
                     spec.name, output)
        loaded = weights.load(spec.architecture, spec.variant, str(path or weights.RANDOM))
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
