# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""A network over a fleet: the tasks on an engine, then the totals of their results."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from jrn_perception.evaluation.fleet.measuring import FAILED, measure, Part, read_part, Row, Task
from jrn_perception.fleet.engine import Engine
from jrn_perception.fleet.processes import Died
from jrn_perception.fleet.remote import Store
from jrn_perception.perception.stream import Track, untracked


@dataclass(frozen=True)
class Fleet:
    """
    The results of a fleet.

    ``rows`` are the results of the recordings, in their order. ``total`` has the totals of all
    measured recordings, None if there are none. ``apart`` says which measured recordings the
    totals leave out, and why.
    """

    rows: list[Row]
    total: Part | None
    apart: list[str]


def measure_fleet(tasks: Sequence[Task], engine: Engine, track: Track = untracked,
                  interrupted: Callable[[], bool] = lambda: False) -> list[Row]:
    """
    Return the rows of all tasks that ended, in the order of the tasks.

    ``track`` wraps the rows and their number, for a progress bar; ``interrupted`` ends the work
    early. Raises ValueError if the network cannot be loaded.
    """
    found: dict[int, Row] = {}
    results = engine.run(measure, tasks, interrupted)
    for index, row in track(results, len(tasks)):
        if isinstance(row, Died):
            row = Row(tasks[index].name, tasks[index].address, FAILED, row.reason)
        if row.fatal:
            raise ValueError(row.reason)
        found[index] = row
    return [found[index] for index in sorted(found)]


def total(rows: Iterable[Row], store: Store) -> Fleet:
    """
    Return the totals of rows: the numbers of one long recording, except for drift.

    Drift is measured between the frames of one recording. The totals do not depend on the engine,
    because they are merged in the order of the rows.
    """
    rows, apart = list(rows), []
    merged: Part | None = None
    for row in rows:
        if row.state == FAILED:
            continue
        part = read_part(store, row.key)
        for frames in part.totals.worst.values():
            frames.change(lambda frame, name=row.name: frame._replace(
                name=f'{name}: {frame.name}'))
        if merged is None:
            merged = part
            continue
        try:
            merged.totals.merge(part.totals)
            if merged.ranged is not None and part.ranged is not None:
                merged.ranged.merge(part.ranged)
        except ValueError as error:
            apart.append(f'{row.name}: {error}')
    return Fleet(rows, merged, apart)
