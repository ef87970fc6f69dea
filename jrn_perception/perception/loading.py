# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""From the name of a network to a backend that runs it, through exported files and their cache."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
import hashlib
import os
from pathlib import Path
import tempfile

from jrn_perception import networks, weights
from jrn_perception.perception.backends import choice
from jrn_perception.perception.backends.exported import BackendFault, ExportedBackend
from jrn_perception.perception.backends.interface import Backend
from jrn_perception.rooms.scenes import Scene
from jrn_perception.weights.onnx import EXPORTER, inputs_path, read_content, SUFFIX
import numpy as np

# Drawn rooms on which an export for the cache is compared with torch.
ROOMS = 3


@dataclass(frozen=True)
class Options:
    """
    Where and how a network runs.

    ``device``: auto, cpu, cuda or cuda:N; ``precision``: auto, fp32, fp16 or bf16; ``backend``:
    a name of ``choice.BACKENDS``; ``threads`` of the CPU: 0 for the physical cores.
    """

    device: str = 'auto'
    precision: str = 'auto'
    backend: str = 'auto'
    threads: int = 0


@dataclass(frozen=True)
class Opened:
    """A network that is ready in a backend; ``warnings`` name backends that were not used."""

    card: weights.Card
    source: str
    backend: Backend
    warnings: tuple[str, ...] = ()


def open_network(architecture: str, variant: str, weights_file: str, options: Options) -> Opened:
    """Return a network of ``weights.resolve`` in the backend of ``options``; ValueError."""
    names = choice.candidates(options.backend, weights_file)
    if names == ('torch',):
        loaded = weights.load(architecture, variant, weights_file)
        return Opened(loaded.card, loaded.source, in_torch(loaded, options))
    return _open_exported(architecture, variant, weights_file, names, options)


def in_torch(loaded: weights.Loaded, options: Options) -> Backend:
    """Return a loaded network in torch; ``auto`` precision is that of its card."""
    from jrn_perception.perception.backends.torch import TorchBackend
    card = loaded.card
    return TorchBackend(
        loaded.network, card.preprocessing, card.spec.can_mute, options.device,
        card.precision if options.precision == 'auto' else options.precision, options.threads)


def _open_exported(architecture: str, variant: str, weights_file: str, names: tuple[str, ...],
                   options: Options) -> Opened:
    """Return the network in the first of the runtimes ``names`` that computes it correctly."""
    if options.device not in ('auto', 'cpu'):
        raise ValueError(f'device {options.device!r}: backend {names[0]} runs on the CPU; choose '
                         'device auto or cpu, or backend torch')
    if options.precision not in ('auto', 'fp32'):
        raise ValueError(f'precision {options.precision!r}: backend {names[0]} computes in fp32; '
                         'choose precision auto or fp32, or backend torch')
    spec = networks.find(architecture, variant)
    path = weights.resolve(weights_file, architecture, variant)
    source = str(path or weights.RANDOM)
    if path is None or path.suffix != SUFFIX:
        path = cached_export(spec, path)
    card, content = weights.check(path, spec.architecture, spec.variant), read_content(path)
    if content.inputs_sha256:
        _check_inputs(path, content.inputs_sha256)
    refused: list[str] = []
    for name in names:
        try:
            runtime = choice.start(name, options.threads, cache_folder())
            return Opened(card, source, ExportedBackend(path, content, runtime), tuple(refused))
        except BackendFault as error:
            refused.append(str(error))
    raise BackendFault('; '.join(refused))


def _check_inputs(path: Path, digest: str) -> None:
    inputs = inputs_path(path)
    if not inputs.is_file():
        raise weights.WeightsError(f'{inputs}: missing; {path.name} needs it beside it')
    if weights.sha256(inputs) != digest:
        raise weights.WeightsError(f'{inputs}: is not the file that {path.name} was exported with')


def cache_folder() -> Path:
    """Return the folder for files that can be made again: XDG_CACHE_HOME/jrn_perception."""
    base = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
    return Path(base) / 'jrn_perception'


def cached_export(spec: networks.Spec, path: Path | None) -> Path:
    """
    Return the ONNX file of the weights at ``path``, None for random ones; export it if missing.

    The first export takes torch and about half a minute. The same weights are found again by
    their content.
    """
    digest = hashlib.sha256(f'{spec.name} {EXPORTER}'.encode())
    for part in _files(path) if path else _random(spec):
        digest.update(part)
    output = cache_folder() / 'exported' / digest.hexdigest()[:32] / f'{spec.name}{SUFFIX}'
    if not output.is_file():
        from jrn_perception.perception.export import export
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
