# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Tasks on a cluster of Ray or of Dask, which restart tasks whose worker died."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
import logging
import os
from typing import Any

from jrn_perception.fleet.processes import ATTEMPTS, Died

LOCAL = 'local'
# Seconds after which Ctrl-C is noticed.
PATIENCE = 0.5


def run_ray(work: Callable[[Any], Any], tasks: Sequence[Any], address: str, cpus: int, gpus: int,
            interrupted: Callable[[], bool]) -> Iterator[tuple[int, Any]]:
    """
    Yield (index, ``work(task)``) in the order in which the tasks end, a Ray task each.

    ``address`` is Ray's: ``auto`` is the cluster of this machine, ``local`` a new cluster of this
    machine alone. A task takes ``cpus`` and ``gpus`` of its node. Raises ImportError if Ray is
    missing, ConnectionError if no cluster answers.
    """
    # Ray would report its use to its makers.
    os.environ.setdefault('RAY_USAGE_STATS_ENABLED', '0')
    try:
        import ray
        from ray.exceptions import RayError
    except ImportError as error:
        raise ImportError("--ray needs Ray: pip install '.[ray]'") from error
    new = {'include_dashboard': False} if address == LOCAL else {}
    ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False, **new)
    task_of: dict[Any, int] = {}
    try:
        remote = ray.remote(max_retries=ATTEMPTS - 1, num_cpus=cpus, num_gpus=gpus)(work)
        task_of = {remote.remote(task): index for index, task in enumerate(tasks)}
        while task_of and not interrupted():
            for reference in ray.wait(list(task_of), timeout=PATIENCE)[0]:
                try:
                    result = ray.get(reference)
                except RayError as error:
                    result = Died(_one_line(error))
                yield task_of.pop(reference), result
    finally:
        for reference in task_of:
            ray.cancel(reference, force=True)
        ray.shutdown()


def run_dask(work: Callable[[Any], Any], tasks: Sequence[Any], address: str, processes: int,
             interrupted: Callable[[], bool]) -> Iterator[tuple[int, Any]]:
    """
    Yield (index, ``work(task)``) in the order in which the tasks end, on workers of Dask.

    ``address`` is the scheduler's, such as ``tcp://head:8786``, or ``local`` for ``processes`` new
    workers on this machine. Each worker should have one thread, because a task has its own.
    Raises ImportError if Dask is missing, OSError if no scheduler answers.
    """
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise ImportError("--dask needs Dask: pip install '.[dask]'") from error
    cluster = address
    if address == LOCAL:
        cluster = LocalCluster(n_workers=processes, threads_per_worker=1, processes=True,
                               dashboard_address=None, silence_logs=logging.CRITICAL)
    try:
        with Client(cluster) as client, client.get_executor(retries=ATTEMPTS - 1) as executor:
            task_of = {executor.submit(work, task): index for index, task in enumerate(tasks)}
            try:
                yield from _completed(task_of, interrupted)
            finally:
                for future in task_of:
                    future.cancel()
    finally:
        if address == LOCAL:
            cluster.close()


def _completed(task_of: dict[Future, int],
               interrupted: Callable[[], bool]) -> Iterator[tuple[int, Any]]:
    while task_of and not interrupted():
        for future in wait(task_of, PATIENCE, FIRST_COMPLETED).done:
            try:
                result = future.result()
            # A worker that died again and again is KilledWorker, and the others have their own.
            except Exception as error:  # noqa: B902, BLE001
                result = Died(_one_line(error))
            yield task_of.pop(future), result


def _one_line(error: Exception) -> str:
    return ' '.join(f'{type(error).__name__}: {error}'.split())[:500]
