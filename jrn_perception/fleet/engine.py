# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The choice of who does the tasks of a fleet, and the network that each of them loads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from jrn_perception.fleet import clusters, processes
from jrn_perception.perception import Perception


@dataclass(frozen=True)
class Engine:
    """
    Where tasks run: on ``jobs`` processes of this machine, or on a cluster.

    ``ray`` and ``dask`` are addresses of clusters, '' for none. ``cpus`` and ``gpus`` are the
    shares of a Ray node that a task takes.
    """

    jobs: int = 1
    ray: str = ''
    dask: str = ''
    cpus: int = 1
    gpus: int = 0

    def __post_init__(self):
        if self.jobs < 1:
            raise ValueError(f'jobs {self.jobs}: at least 1')
        if self.ray and self.dask:
            raise ValueError('the tasks run on Ray or on Dask, not on both')

    def run(self, work: Callable[[Any], Any], tasks: Sequence[Any],
            interrupted: Callable[[], bool] = lambda: False) -> Iterator[tuple[int, Any]]:
        """
        Yield (index, ``work(task)``) in the order in which the tasks end.

        ``work`` is a function of a module, and tasks and results can be pickled. The result of a
        task whose process died in both attempts is ``processes.Died``.
        """
        if self.ray:
            return clusters.run_ray(work, tasks, self.ray, self.cpus, self.gpus, interrupted)
        if self.dask:
            return clusters.run_dask(work, tasks, self.dask, self.jobs, interrupted)
        return processes.run(work, tasks, min(self.jobs, len(tasks)), interrupted)


@dataclass(frozen=True)
class Network:
    """The arguments of ``Perception.load``, for a process that has not loaded the network yet."""

    architecture: str
    variant: str = ''
    weights_file: str = ''
    device: str = 'auto'
    precision: str = 'auto'
    height: int = 0
    width: int = 0
    backend: str = 'auto'
    threads: int = 1
    depth_source: str = 'network'
    semantics_source: str = 'network'

    def load(self) -> Perception:
        """Return the network, which a process loads once."""
        return _load(self)


@lru_cache(maxsize=1)
def _load(network: Network) -> Perception:
    perception = Perception.load(**vars(network))
    perception.refuse_sensor()
    # So that the first frame's latency does not include the allocations.
    perception.warm_up()
    return perception
