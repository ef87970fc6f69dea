# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The pictures of a recording with their ground truth, as a data set has them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path

from jrn_perception.evaluation.recordings.bag import _Visit, Run
from jrn_perception.evaluation.recordings.pairing import pair
from jrn_perception.evaluation.recordings.ranging import POINTS, RangeSensor, Ranging
from jrn_perception.evaluation.recordings.session import Request
from jrn_perception.frame import Frame
from jrn_perception.perception import Perception
from jrn_perception.perception.anchoring import Anchors
from jrn_perception.recordings.reader import Recording
import numpy as np


class Annotated:
    """
    The pictures of an open recording that have all the ground truth of a request.

    Iterating yields every ``every``-th picture as a frame with its camera, if that is known.
    ``labels`` is the label set of the frames, None if the request names no labels; the sets of
    ``perception`` are preferred. A PointCloud2 or LaserScan as ``depth`` of the request becomes a
    sparse depth image of the points that the camera sees, at ``range_extrinsics`` (see
    ``RangeSensor``). ``left_out`` counts pictures without their ground truth; ``faults`` say which
    pictures or measurements are damaged and where the recording breaks off.
    """

    def __init__(self, perception: Perception, recording: Recording, request: Request,
                 every: int = 1):
        if every < 1:
            raise ValueError(f'every {every}: at least 1')
        ranges = request.depth and recording.topic(request.depth).msgtype in POINTS
        if ranges:
            request = replace(request, depth='', range_topic=request.depth)
        elif request.range_extrinsics:
            raise ValueError(f'{recording.path}: {request.depth or "no topic"} is no point cloud '
                             'and no laser scan: range extrinsics are of no use')
        self._run = Run(perception, recording, request, False)
        if ranges:
            topics = self._run.topics
            self._run.ranging = Ranging(
                RangeSensor(recording, topics['range'], topics['image'],
                            request.range_extrinsics), self._run.comparison)
        self._every, self.left_out = every, 0
        self.labels = self._run.ids.labels if self._run.ids else None
        self.faults: list[str] = []

    def __iter__(self) -> Iterator[Frame]:
        run = self._run
        matches = run._unbroken(pair(run._messages(), run.pairing))
        for found in islice(matches, 0, None, self._every):
            visit = _Visit(found)
            frame = run._decode(visit)
            if frame is not None and run.ranging:
                frame = replace(frame, depth=_sparse(visit.anchors, frame.rgb.shape[:2]))
                if frame.depth is None and visit.unmeasured:
                    self.faults.append(f'{visit.name}: {visit.unmeasured}')
                    continue
            if visit.fault or visit.remarks.faults:
                self.faults += [visit.fault] if visit.fault else visit.remarks.faults.values()
            elif any(getattr(frame, 'depth' if role == 'range' else role) is None
                     for role in run.topics if role != 'image'):
                self.left_out += 1
            else:
                yield frame
        if run.stopped:
            self.faults.append(run.stopped)


@contextmanager
def annotated(perception: Perception, path: Path, request: Request,
              every: int = 1) -> Iterator[Annotated]:
    """Open a recording for its annotated pictures, see ``Annotated``."""
    with Recording(path, request.span) as recording:
        yield Annotated(perception, recording, request, every)


def _sparse(anchors: Anchors, size: tuple[int, int]) -> np.ndarray | None:
    """Return anchors as depth, float32 of ``size``, NaN between them; None without anchors."""
    if not len(anchors):
        return None
    depth = np.full(size, np.nan, np.float32)
    far_to_near = np.argsort(-anchors.depth, kind='stable')
    rows, columns = (np.rint(part[far_to_near]).astype(int)
                     for part in (anchors.row, anchors.column))
    # Of several values for one pixel, NumPy keeps the last.
    depth[rows.clip(0, size[0] - 1), columns.clip(0, size[1] - 1)] = anchors.depth[far_to_near]
    return depth
