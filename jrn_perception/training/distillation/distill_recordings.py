# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Recordings as a data set: their depth and labels, and a teacher's where these are missing.

Each recording is a task of a fleet. It writes ``rgb/KEY/000000.jpg`` and so on, then
``recordings/KEY.json``, which says that it is done. KEY is a digest of the recording's content,
the teacher and the settings. The joined folder has the layout of ``datasets.folder.Folder``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, replace
import hashlib
import json
import math
from pathlib import Path
from typing import Any

from jrn_perception.fleet.engine import Engine, Network
from jrn_perception.fleet.processes import Died, one_line
from jrn_perception.fleet.remote import digest, local_copy, Store
from jrn_perception.labels import custom, NYU40
from jrn_perception.perception import Perception
from jrn_perception.perception.stream import Track, untracked
from jrn_perception.training.distillation.distill import (
    annotate,
    Annotations,
    check,
    describe,
    describe_teacher,
    Distilled,
    SPLIT,
    total,
    write_provenance,
    write_split,
)

FOLDER = 'recordings'
FIT, VALIDATION = 'fit', 'val'


@dataclass(frozen=True)
class Task:
    """
    A recording to annotate: its ``name`` in messages and its ``address``.

    ``opened`` opens the annotated frames of a local recording for a teacher; ``settings`` is all
    that these frames depend on, as a text. ``threshold`` is that of ``distil``.
    """

    name: str
    address: str
    teacher: Network
    opened: Callable[[Perception, Path], AbstractContextManager[Any]]
    settings: str
    output: Path
    threshold: float


@dataclass(frozen=True)
class Row:
    """
    The result of a task; ``found`` is None for a recording without frames, ``reason`` says why.

    ``classes`` are the names of the labels, None for NYU40. ``skipped``: the result was there
    before. ``fatal``: the teacher cannot be loaded. ``warnings`` are the teacher's.
    """

    name: str
    reason: str = ''
    found: Annotations | None = None
    classes: list[str] | None = None
    teacher: dict[str, str] = field(default_factory=dict)
    left_out: int = 0
    skipped: bool = False
    fatal: bool = False
    warnings: tuple[str, ...] = ()


def distil_recordings(tasks: Sequence[Task], engine: Engine, track: Track = untracked,
                      interrupted: Callable[[], bool] = lambda: False) -> list[Row]:
    """
    Return the rows of all tasks that ended, in the order of the tasks.

    Raises ValueError if the teacher cannot be loaded.
    """
    rows: dict[int, Row] = {}
    for index, row in track(engine.run(annotate_recording, tasks, interrupted), len(tasks)):
        if isinstance(row, Died):
            row = Row(tasks[index].name, row.reason)
        if row.fatal:
            raise ValueError(row.reason)
        rows[index] = row
    return [rows[index] for index in sorted(rows)]


def annotate_recording(task: Task) -> Row:
    """Write the frames of a recording unless they are there; the row has the fault if any."""
    try:
        teacher = task.teacher.load()
    except Exception as error:  # noqa: B902, BLE001 the command reports it and ends
        return Row(task.name, one_line(error), fatal=True)
    try:
        # The temperature decides which pixels are confident enough.
        facts = [digest(task.address), describe_teacher(teacher), task.settings, task.threshold,
                 teacher.card.temperature, teacher.inference_size(480, 640)]
        key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
        store = Store(str(task.output))
        data = store.read(f'{FOLDER}/{key}.json')
        if data is None:
            row = _annotate(task, teacher, key)
            if row.found:
                store.write(f'{FOLDER}/{key}.json', json.dumps(asdict(row), indent=1).encode())
            return replace(row, warnings=teacher.warnings)
        content = json.loads(data)
        return Row(**content | {'name': task.name, 'skipped': True, 'warnings': teacher.warnings,
                                'found': Annotations(**content['found'])})
    # Whatever one damaged recording does, the others are annotated.
    except Exception as error:  # noqa: B902, BLE001
        return Row(task.name, one_line(error), warnings=teacher.warnings)


def join(rows: Sequence[Row], folder: Path, threshold: float, share: float) -> list[Row]:
    """
    Make one data set of all recordings; return the rows with the faults that this shows.

    ``share`` (0..1) of the frames go to the split ``val``: whole recordings, the last ones, or
    the end of a single recording. ``fit`` has the other frames, ``all`` has all of them. Raises
    ValueError if there are no frames, or too few for two splits.
    """
    if not 0 <= share < 1:
        raise ValueError(f'validation share {share}: from 0 to below 1')
    first = next((row for row in rows if row.found), None)
    if first is None:
        raise ValueError(f'none of {len(rows)} recordings has frames, the first: '
                         f'{rows[0].name}: {rows[0].reason}')
    checked = [_like(first, row) for row in rows]
    # Copies of one recording have the same names, and may not be in both splits.
    unique = {next(iter(row.found.origin)): row.found for row in checked if row.found}
    parts = list(unique.values())
    origin = {name: entry for part in parts for name, entry in part.origin.items()}
    classes = custom(first.classes) if first.classes else NYU40
    describe(folder, classes, first.found.focal_length)
    write_provenance(folder, first.teacher, threshold, total(parts), origin)
    fit, held = _divide(parts, share)
    for split, names in ((FIT, fit), (VALIDATION, held), (SPLIT, list(origin))):
        if names:
            write_split(folder, split, names)
    return checked


def numbers(rows: Sequence[Row]) -> Distilled:
    """Return the numbers of the frames of all rows."""
    return total([row.found for row in rows if row.found])


def _annotate(task: Task, teacher: Perception, key: str) -> Row:
    with local_copy(task.address) as path, task.opened(teacher, path) as frames:
        classes = check(teacher, frames.labels, task.threshold)
        found = annotate(teacher, frames, task.output, task.threshold, f'{key}/')
        reasons = [text.replace(str(path), task.address) for text in frames.faults]
        reason = f'{len(reasons)} faults, the first: {reasons[0]}' if reasons else ''
        if not found.origin:
            return Row(task.name, reason or f'no picture has the named depth or labels '
                       f'({frames.left_out} were left out)')
        own = None if classes in (None, NYU40) else list(classes.names)
        return Row(task.name, reason, found, own, describe_teacher(teacher), frames.left_out)


def _like(first: Row, row: Row) -> Row:
    """Return the row, without its frames if they do not fit into one folder with the first."""
    if row.found is None:
        return row
    for name, ours, theirs in (('focal length', row.found.focal_length, first.found.focal_length),
                               ('classes', row.classes, first.classes)):
        # A tuple that was stored is a list.
        if list(ours or ()) != list(theirs or ()):
            return replace(row, found=None, reason=f'{name} {ours}, but {theirs} in {first.name}: '
                           'a folder holds frames of one camera and one label set')
    return row


def _divide(parts: Sequence[Annotations], share: float) -> tuple[list[str], list[str]]:
    """Return the names of the frames to fit and of the frames held out."""
    names = [list(part.origin) for part in parts]
    if not share:
        return [name for part in names for name in part], []
    if len(names) > 1:
        # Neighbouring frames show the same scene, so that no recording is in both splits.
        count = min(len(names) - 1, max(1, round(share * len(names))))
        return ([name for part in names[:-count] for name in part],
                [name for part in names[-count:] for name in part])
    only = names[0]
    count = math.ceil(share * len(only))
    if count == len(only):
        raise ValueError(f'{len(only)} frames are too few for the splits {FIT} and {VALIDATION}')
    return only[:-count], only[-count:]
