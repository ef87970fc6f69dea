# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Options of work on many recordings, which ``jrn_evaluate bags`` and ``jrn_distill`` share."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
import os
import sys
from typing import Any

from jrn_perception.fleet.clusters import LOCAL
from jrn_perception.fleet.engine import Engine, Network
from jrn_perception.fleet.finding import Shard
from jrn_perception.perception.inputs.interface import NETWORK, SENSOR
from jrn_perception.weights import network_of as network_of_weights
from jrn_perception.weights import RANDOM

SOURCES = ('a recording, a folder with recordings below it, a quoted glob, or a manifest: a .txt '
           'file with one of these on each line; each may be a URL such as s3://bucket/folder')
# The work of several processes is fastest, and the results of all machines are alike, if each
# process has one thread.
THREADS = 1


def add_engine(parser: argparse._ActionsContainer) -> None:
    """Add the options that say where the work on recordings runs, see ``engine_of``."""
    parser.add_argument('--jobs', type=int, default=0, metavar='N',
                        help='processes of this machine, with a recording each; default: one for '
                        'each CPU core, with --device cuda one')
    parser.add_argument('--ray', default='', metavar='ADDRESS',
                        help='run on a Ray cluster: auto, HOST:PORT, ray://HOST:PORT, or local '
                        'for a new one on this machine')
    parser.add_argument('--dask', default='', metavar='ADDRESS',
                        help='run on a Dask cluster: tcp://HOST:PORT, or local for --jobs new '
                        'workers on this machine')
    parser.add_argument('--shard', type=_shard, metavar='I/N',
                        help='only part I (from 0) of N of the recordings, for job arrays; the '
                        'command without --shard then joins the results')


def engine_of(options: argparse.Namespace) -> Engine:
    """Return the engine that the options of ``add_engine`` name; ValueError."""
    if options.jobs < 0:
        raise ValueError(f'--jobs {options.jobs}: at least 1')
    if options.jobs and (options.ray or options.dask not in ('', LOCAL)):
        raise ValueError('--jobs has no use with --ray or a Dask cluster, which have workers')
    cuda = options.device.startswith('cuda')
    jobs = options.jobs or (1 if cuda else os.cpu_count() or 1)
    return Engine(jobs, options.ray, options.dask, max(1, options.threads), int(cuda))


def network_of(options: argparse.Namespace) -> Network:
    """Return the network that the options of ``program.add_network`` name."""
    weights = options.weights
    if weights not in ('', RANDOM):
        weights = _absolute(weights)
    depth, semantics = map(_source, (options.depth_source, options.semantics_source))
    architecture, variant = network_of_weights(options.architecture, options.variant, weights)
    return Network(architecture, variant, weights, options.device,
                   options.precision, options.height, options.width, options.backend,
                   options.threads, depth, semantics)


def _source(name: str) -> str:
    is_file = name not in (NETWORK, SENSOR) and os.path.exists(os.path.expanduser(name))
    return _absolute(name) if is_file else name


def _absolute(path: str) -> str:
    """Return a path for the processes of a cluster, which have other working directories."""
    return os.path.abspath(os.path.expanduser(path))


def print_warnings(rows: Iterable[Any]) -> None:
    """Print the warnings of the network, once for all results of a fleet."""
    for warning in sorted({warning for row in rows for warning in row.warnings}):
        print(f'warning: {warning}', file=sys.stderr)


def _shard(text: str) -> Shard:
    try:
        return Shard.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
