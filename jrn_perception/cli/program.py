# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
What all commands share: exit codes, error lines, Ctrl-C, progress bars and common options.

| exit code | meaning |
| --- | --- |
| 0 | done; also Ctrl-C where only the user can end the work (jrn_node, jrn_play, jrn_predict) |
| 1 | failed; a line on stderr, ``NAME: reason``, says why |
| 2 | argparse refused the command line |
| 3 | partial results (``jrn_evaluate`` and ``jrn_distill`` on recordings, ``jrn_replay``) |
| 4 | a threshold is missed (``jrn_evaluate bags``) |
| 130 | stopped by Ctrl-C; ``jrn_evaluate`` and ``jrn_predict`` keep the results until then |

This module imports neither torch nor ROS: jrn_node sets environment variables before both.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from operator import length_hint
from pathlib import Path
import signal
import sys
import tempfile
import threading
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from jrn_perception.perception import Perception

DONE, FAILED, USAGE, PARTIAL, MISSED, INTERRUPTED = 0, 1, 2, 3, 4, 130
ROS = "source a ROS 2 installation, or in a checkout pip install '.[{}]'"
Item = TypeVar('Item')


# --- errors and exit codes ----------------------------------------------------------------------

def run(name: str, work: Callable[[], int | None], install: str = '',
        failures: tuple[type[Exception], ...] = ()) -> int:
    """
    Return the exit code of ``work``, DONE if it returns None.

    An ImportError, OSError, ValueError or one of ``failures`` becomes the error line of command
    ``name``. ``install`` says how to get a Python package that is missing.
    """
    try:
        return work() or DONE
    except KeyboardInterrupt:
        return INTERRUPTED
    except ModuleNotFoundError as error:
        # An error with a cause already says what to install.
        explained = error.__cause__ or not install
        return fail(name, error if explained else f'{error.name} is missing: {install}')
    except (ImportError, OSError, ValueError, *failures) as error:
        return fail(name, error)


def fail(name: str, reason: Exception | str) -> int:
    """Print the error line of command ``name``; return FAILED."""
    print(f'{name}:', *str(reason).split(), file=sys.stderr)
    return FAILED


# --- Ctrl-C -------------------------------------------------------------------------------------

@contextmanager
def interruption() -> Iterator[threading.Event]:
    """
    Yield an event that the first Ctrl-C sets, so that the work can end early with its results.

    The second Ctrl-C raises KeyboardInterrupt as usual.
    """
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event  # Only the main thread gets signals.
        return

    def stop(*_: object) -> None:
        signal.signal(signal.SIGINT, previous)
        event.set()

    previous = signal.signal(signal.SIGINT, stop)
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, previous)


# --- progress -----------------------------------------------------------------------------------

def track(items: Iterable[Item], total: int | None = None, title: str = '') -> Iterator[Item]:
    """Yield ``items``; show a progress bar with their rate where stderr is a terminal."""
    if not sys.stderr.isatty():
        yield from items
        return
    try:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TaskProgressColumn,
            TextColumn,
            TimeRemainingColumn,
        )
    except ImportError:
        print('no progress bar: pip install rich', file=sys.stderr)
        yield from items
        return
    with Progress(TextColumn('{task.description}'), BarColumn(), TaskProgressColumn(),
                  MofNCompleteColumn(), TimeRemainingColumn(), TextColumn('{task.fields[rate]}'),
                  console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=total or length_hint(items) or None, rate='')
        for item in items:
            yield item
            bar.advance(task)
            speed = bar.tasks[0].finished_speed or bar.tasks[0].speed
            bar.update(task, rate=f'{speed:.1f} Hz' if speed else '')


# --- options ------------------------------------------------------------------------------------

@dataclass(frozen=True)
class Arguments:
    """A command line in two parts: ``own`` arguments of the command and arguments for ``ros``."""

    own: list[str]
    ros: list[str]


def split_ros(argv: Sequence[str] | None) -> Arguments:
    """Split a command line, by default the process's: ROS's part is --ros-args to its end, --."""
    result, inside = Arguments([], []), False
    for argument in sys.argv[1:] if argv is None else argv:
        if argument == '--ros-args':
            inside = True
        elif inside and argument == '--':
            inside = False
        else:
            (result.ros if inside else result.own).append(argument)
    return result


def new_file(text: str) -> Path:
    """
    Return the path of a file to write, whose folder need not exist; an argument's type.

    The folder is tried, so that a place where nothing can be written is known before hours of
    work.
    """
    path = Path(text)
    if path.is_dir():
        raise argparse.ArgumentTypeError(f'{text} is a folder; name a file')
    try:
        missing = [folder for folder in path.absolute().parents if not folder.exists()]
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            with path.open('ab'):
                pass
        else:
            tempfile.TemporaryFile(dir=path.parent).close()
        for folder in missing:
            folder.rmdir()
    except OSError as error:
        raise argparse.ArgumentTypeError(f'{text} cannot be written: {error.strerror}') from error
    return path


def add_network(parser: argparse._ActionsContainer,
                choices: Iterable[str] | None = None) -> None:
    """Add the options that choose a network; ``choices``: its architecture, by default any."""
    from jrn_perception import networks

    parser.add_argument('--architecture', default='',
                        choices=(*(choices or networks.ARCHITECTURES), networks.EXTERNAL),
                        help='default: the one of the variant or the weights file, else '
                        f'{networks.DEFAULT}')
    parser.add_argument('--variant', default='', help="default: the architecture's first one")
    parser.add_argument('--weights', default='', metavar='FILE',
                        help='a safetensors file, an ONNX file of jrn_export, or random for a '
                        'test; default: the shipped weights')
    add_sources(parser)
    add_inference(parser)


def add_sources(parser: argparse._ActionsContainer) -> None:
    """Add the options that choose the sources of a JRN's inputs."""
    from jrn_perception.perception.inputs.interface import NETWORK

    parser.add_argument('--depth-source', default=NETWORK, metavar='SOURCE',
                        help="depth for the jrn or external: network (the jrn's own), sensor, a "
                        'Hugging Face name or folder, an ONNX file, or a yaml file that describes '
                        'one; default: %(default)s')
    parser.add_argument('--semantics-source', default=NETWORK, metavar='SOURCE',
                        help='semantics for the jrn or external: as --depth-source, without '
                        'sensor; default: %(default)s')


def add_inference(parser: argparse._ActionsContainer) -> None:
    """Add the options that say where and at which size a network runs."""
    from jrn_perception.perception.backends.choice import BACKENDS
    from jrn_perception.perception.backends.interface import PRECISIONS

    parser.add_argument('--device', default='auto', help='auto, cpu, cuda or cuda:N; default: '
                        '%(default)s')
    parser.add_argument('--precision', default='auto', choices=PRECISIONS,
                        help='default: %(default)s')
    parser.add_argument('--backend', default='auto', choices=BACKENDS, help='runtime; auto is '
                        'openvino, onnxruntime or torch on a CPU, the first that is installed, '
                        'and torch on CUDA and for random weights; default: %(default)s')
    parser.add_argument('--threads', type=int, default=0, help='threads of the network on the '
                        'CPU, 0 for one on each physical core; default: %(default)s')
    parser.add_argument('--height', type=int, default=0, help='rows of the network input; '
                        'default: as trained')
    parser.add_argument('--width', type=int, default=0, help='columns of the network input; '
                        'default: as trained')


def load(options: argparse.Namespace, mutes: bool = False, measured: bool = False) -> Perception:
    """Return the network that the options of ``add_network`` name; see ``load_network``."""
    perception = load_network(options, options.architecture, options.variant, options.weights,
                              mutes)
    if not measured:
        perception.refuse_sensor()
    return perception


def load_network(options: argparse.Namespace, architecture: str, variant: str, weights_file: str,
                 mutes: bool = False) -> Perception:
    """
    Return a network under the options of ``add_inference``; print its warnings.

    ``mutes``: the network will be muted. Among exported networks a JRN alone can be, so that
    ``auto`` is then torch for the others.
    """
    from jrn_perception import networks, weights
    from jrn_perception.perception import Perception
    from jrn_perception.perception.inputs.interface import NETWORK
    from jrn_perception.weights.onnx import SUFFIX

    architecture, variant = weights.network_of(architecture, variant, weights_file)
    backend = options.backend
    if mutes and backend == 'auto' and not weights_file.endswith(SUFFIX) and (
            not networks.find(architecture, variant).inputs):
        backend = 'torch'
    perception = Perception.load(
        architecture, variant, weights_file=weights_file, device=options.device,
        precision=options.precision, height=options.height, width=options.width,
        backend=backend, threads=options.threads,
        # Commands that choose their network themselves have no sources.
        depth_source=getattr(options, 'depth_source', NETWORK),
        semantics_source=getattr(options, 'semantics_source', NETWORK))
    for warning in perception.warnings:
        print(f'warning: {warning}', file=sys.stderr)
    return perception
