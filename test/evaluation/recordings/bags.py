# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Small recordings with ground truth, written by ``rosbags``, and their evaluation."""

import cv2
from jrn_perception.datasets.subsets import Selection
from jrn_perception.evaluation.measures.comparison import evaluate, Protocol
from jrn_perception.evaluation.recordings.bag import evaluate_bag
from jrn_perception.evaluation.recordings.session import Request
from jrn_perception.evaluation.reports.documents import dataset_document
from jrn_perception.labels import LABEL_SETS, NYU40
from jrn_perception.messages.label_info import LABEL_INFO
from jrn_perception.messages.maps import compress_depth
from jrn_perception.recordings.reader import COMPRESSED, IMAGE
from jrn_perception.recordings.writer import Writer
import numpy as np
import pytest

rosbag2 = pytest.importorskip('rosbags.rosbag2')
bag_document = pytest.importorskip('jrn_perception.evaluation.reports.bag_document').bag_document

NYU5 = LABEL_SETS['nyu5']
START = 1_700_000_000_000_000_000
PERIOD = 10**8
COUNT = 4


class Frames(list):
    """A data set."""

    labels = NYU40


def message(writer, kind, frame, stamp):
    header = writer.header(stamp, 'optical')
    if kind in ('rgb8', 'bgr8'):
        rgb = frame.rgb if kind == 'rgb8' else np.ascontiguousarray(frame.rgb[..., ::-1])
        return writer.image(header, rgb, kind)
    if kind in ('png', 'jpeg'):
        data = cv2.imencode(f'.{kind}', frame.rgb[..., ::-1])[1].tobytes()
        return writer.compressed(header, data, f'rgb8; {kind} compressed bgr8')
    if kind == '32FC1':
        return writer.image(header, frame.depth.astype(np.float32), kind)
    millimetres = np.nan_to_num(np.rint(frame.depth * 1000)).astype(np.uint16)
    if kind == '16UC1':
        return writer.image(header, millimetres, kind)
    if kind.startswith('compressedDepth'):
        encoding = kind.partition(' ')[2]
        return writer.compressed(header, compress_depth(frame.depth, encoding),
                                 f'{encoding}; compressedDepth png')
    if kind == 'mono8':
        return writer.image(header, frame.labels, kind)
    data = cv2.imencode('.png', frame.labels)[1].tobytes()
    return writer.compressed(header, data, 'mono8; png compressed ')


def write(path, frames, image='png', depth='16UC1', labels='mono8', info=NYU40, storage='mcap',
          compression=None, late=0, change=lambda topic, index, msg: msg):
    """Write frames as /image, /depth and /labels, ground truth ``late`` ns by its stamps."""
    kinds = {'/depth': depth, '/labels': labels, '/image': image}
    with Writer(path, storage) as writer:
        for topic, kind in kinds.items():
            if kind:
                raw = kind in ('rgb8', 'bgr8', '32FC1', '16UC1', 'mono8')
                writer.add(topic, IMAGE if raw else COMPRESSED)
        if info:
            writer.add('/label_info', LABEL_INFO, latched=True)
            writer.write('/label_info', START, writer.label_info(writer.header(START, ''), info))
        for index, frame in enumerate(frames):
            stamp = START + index * PERIOD
            for topic, kind in kinds.items():
                if kind:
                    own = stamp + (late if topic != '/image' else 0)
                    msg = change(topic, index, message(writer, kind, frame, own))
                    writer.write(topic, stamp, msg)
    return path


def run(perception, path, **request):
    values = {'depth': '/depth', 'labels': '/labels', **request}
    return evaluate_bag(perception, path, Request(**values))


def by_dataset(perception, frames, protocol=None):
    protocol = protocol or Protocol()
    found = frames if isinstance(frames, Selection) else Frames(frames)
    evaluation = evaluate(perception, found, protocol)
    return dataset_document(evaluation, perception, protocol, {'reader': 'test'})


def close(value, rel):
    """Return what compares with a number, None or a dict of these."""
    if isinstance(value, dict):
        return {key: close(item, rel) for key, item in value.items()}
    return value if value is None else pytest.approx(value, rel=rel)


def assert_same_metrics(found, expected, rel=1e-9):
    for side in ('output', 'inputs'):
        for part in ('pooled', 'per_image'):
            for name, value in found[side][part].items():
                assert value == close(expected[side][part][name]['value'], rel), name
        for name, part in found[side]['classes'].items():
            other = expected[side]['classes'][name]
            assert part == close(other | {'iou': other['iou']['value']}, rel), name
        assert found[side]['bins'] == close(expected[side]['bins'], rel)
        assert found[side]['pixels'] == expected[side]['pixels']
    for name, value in found['gain'].items():
        assert value == pytest.approx(expected['gain'][name]['value'], rel=1e-6, abs=1e-9)
