# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
The evaluation of one recording of a fleet, in whichever process it runs.

``recordings/KEY.json`` is the document of ``jrn_evaluate bag``; ``KEY.totals`` are the totals, to
be merged. KEY is a digest of the recording's content, the network and the request, so that a
recording is measured again only if one of these has changed.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
import hashlib
import json
from pathlib import Path
import tempfile
from typing import Any, NamedTuple

import jrn_perception
from jrn_perception.evaluation.fleet import stored
from jrn_perception.evaluation.measures.metrics import METRICS
from jrn_perception.evaluation.recordings.bag import evaluate_bag
from jrn_perception.evaluation.recordings.ranging import RangeTotals
from jrn_perception.evaluation.recordings.session import BagEvaluation, Request
from jrn_perception.evaluation.recordings.totals import Totals
from jrn_perception.evaluation.reports.bag_document import bag_document, timings
from jrn_perception.evaluation.reports.documents import describe_network, FORMAT, serialise
from jrn_perception.evaluation.reports.page import jpegs, write_html
from jrn_perception.fleet.engine import Network
from jrn_perception.fleet.processes import one_line
from jrn_perception.fleet.remote import digest, local_copy, Store
from jrn_perception.labels import LabelSet
from jrn_perception.perception import Perception

DONE, PARTIAL, FAILED = 'done', 'partial', 'failed'
FOLDER = 'recordings'


@dataclass(frozen=True)
class Task:
    """
    A recording to measure: its ``name`` in the reports and its ``address``.

    ``output`` is the address of the folder for results. With ``page`` there is a page for each
    recording.
    """

    name: str
    address: str
    network: Network
    request: Request
    output: str
    page: bool = False


@dataclass(frozen=True)
class Row:
    """
    The result of a task.

    ``state`` is done, partial or failed; ``reason`` explains partial and failed. ``key`` and
    ``document`` are of the result in the folder, '' and empty for a failed one. ``skipped``: the
    result was there before. ``fatal``: the network cannot be loaded. ``warnings`` are the
    network's.
    """

    name: str
    address: str
    state: str
    reason: str = ''
    key: str = ''
    document: dict[str, Any] = field(default_factory=dict)
    skipped: bool = False
    fatal: bool = False
    warnings: tuple[str, ...] = ()


class Part(NamedTuple):
    """
    The totals of one recording, as they are stored.

    ``labels`` is the label set of the comparison, None without one. ``ranged`` are the totals of
    the depth that a range sensor corrected, None without one. The content of a worst frame are
    captions and JPEG files.
    """

    totals: Totals
    labels: LabelSet | None
    ranged: RangeTotals | None


def measure(task: Task) -> Row:
    """Measure a recording unless its result is there; a fault of the recording is in the row."""
    try:
        perception = task.network.load()
    except Exception as error:  # noqa: B902, BLE001 the command reports it and ends
        return Row(task.name, task.address, FAILED, one_line(error), fatal=True)
    try:
        store = Store(task.output)
        key = _key(task, perception)
        wanted = [f'{FOLDER}/{key}.totals', *([f'{FOLDER}/{key}.html'] if task.page else [])]
        found = store.read(f'{FOLDER}/{key}.json')
        skipped = found is not None and all(map(store.exists, wanted))
        if not skipped:
            found = _measure(task, perception, store, key)
        document = json.loads(found)
    # Whatever one damaged recording does, the others are measured.
    except Exception as error:  # noqa: B902, BLE001
        return Row(task.name, task.address, FAILED, one_line(error),
                   warnings=perception.warnings)
    return Row(task.name, task.address, PARTIAL if document['partial'] else DONE,
               document['reason'] or '', key, document, skipped, warnings=perception.warnings)


def read_part(store: Store, key: str) -> Part:
    """Return the totals of a measured recording; ValueError if they are absent or damaged."""
    data = store.read(f'{FOLDER}/{key}.totals')
    if data is None:
        raise ValueError(f'{store.path(FOLDER)}: has no {key}.totals, which a worker wrote: is '
                         'the output a folder that all machines share?')
    try:
        return Part(*stored.from_bytes(data))
    except (TypeError, ValueError) as error:
        raise ValueError(f'{store.path(FOLDER)}: {key}.totals: {error}; delete it to have it '
                         'measured again') from error


def metrics_of(document: dict[str, Any]) -> dict[str, float | None]:
    """Return the numbers by which recordings are ranked and judged, None if undefined."""
    pooled = document.get('output', {}).get('pooled', {})
    return {**{name: pooled.get(name) for name in METRICS},
            'depth_drift': document['drift']['depth']['mean'],
            'label_drift': document['drift']['labels']['mean'],
            'invalid_share': document.get('depth', {}).get('invalid_share'),
            'low_confidence_share': document.get('semantics', {}).get('low_confidence_share')}


def _measure(task: Task, perception: Perception, store: Store, key: str) -> bytes:
    with local_copy(task.address) as path:
        evaluation = evaluate_bag(perception, path, task.request)
        document = bag_document(evaluation, perception)
        if str(path) != task.address:
            document = _rename(document, str(path), task.address)
        if task.page:
            store.write(f'{FOLDER}/{key}.html', _page(evaluation, document))
        store.write(f'{FOLDER}/{key}.totals', stored.to_bytes(tuple(_part(evaluation))))
    # Last: its presence says that the recording is done.
    content = serialise(document).encode()
    store.write(f'{FOLDER}/{key}.json', content)
    return content


def _page(evaluation: BagEvaluation, document: dict[str, Any]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'page.html'
        write_html(evaluation, document, timings(evaluation), path)
        return path.read_bytes()


def _part(evaluation: BagEvaluation) -> Part:
    """Return the totals with small pictures of the worst frames."""
    totals = evaluation.totals
    for frames in totals.worst.values():
        frames.change(lambda frame: frame._replace(content=jpegs(frame.content, evaluation)))
    return Part(totals, evaluation.labels, evaluation.ranged)


def _key(task: Task, perception: Perception) -> str:
    request, names = task.request, ''
    if request.label_map:
        # The path of the file says nothing of its content.
        names, request = request.label_map.read_text(), replace(request, label_map=Path('given'))
    facts = {'format': FORMAT, 'version': jrn_perception.__version__,
             'content': digest(task.address), 'network': describe_network(perception),
             'backend': perception.backend_name, 'threads': task.network.threads,
             'request': repr(request), 'names': names}
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:32]


def _rename(value: Any, before: str, after: str) -> Any:
    """Return a document whose texts name the recording by its address, not by its copy."""
    if isinstance(value, dict):
        return {key: _rename(item, before, after) for key, item in value.items()}
    if isinstance(value, list):
        return [_rename(item, before, after) for item in value]
    return value.replace(before, after) if isinstance(value, str) else value
