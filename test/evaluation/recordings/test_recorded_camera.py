# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Depth on a recording is metric for its camera, as the node makes it."""

from dataclasses import replace

import cv2
from depth_limits import limit_depth
from jrn_perception import weights
from jrn_perception.evaluation.measures.comparison import evaluate, Protocol
from jrn_perception.evaluation.measures.frames import SceneFrames
from jrn_perception.evaluation.recordings.bag import evaluate_bag
from jrn_perception.evaluation.recordings.pairing import stamp_of
from jrn_perception.evaluation.recordings.record import record
from jrn_perception.evaluation.recordings.replay import OUTPUTS, PARAMETERS, Replay
from jrn_perception.evaluation.recordings.session import Request
from jrn_perception.evaluation.reports.documents import dataset_document
from jrn_perception.evaluation.reports.rows import headline
from jrn_perception.messages.images import compressed_to_rgb
from jrn_perception.messages.maps import to_depth
from jrn_perception.perception import Perception
from jrn_perception.recordings.reader import (
    CAMERA_INFO,
    COMPRESSED,
    IMAGE,
    Recording,
    RecordingError,
)
from jrn_perception.recordings.writer import Writer
from jrn_perception.rooms.scenes import Scene
import numpy as np
import pytest

pytest.importorskip('rosbags.rosbag2')
bag_report = pytest.importorskip('jrn_perception.evaluation.reports.bag_document')

SIZE = (96, 128)
START, PERIOD, COUNT = 1_700_000_000_000_000_000, 10**8, 4
MATRIX = np.array(((100., 0., 64.), (0., 100., 48.), (0., 0., 1.)))
ZERO = np.zeros((3, 3))
IMAGE_TOPIC, INFO_TOPIC = '/camera/image_raw/compressed', '/camera/camera_info'
# The network reads the pictures as they are: all things are 1.5 times as far as it thinks.
TRAINED = (100 / 1.5,) * 2


@pytest.fixture(scope='module')
def perception():
    loaded = weights.load('jrn', 'cat1', weights='random')
    card = replace(loaded.card, input_size=SIZE, focal_length=TRAINED, depth_range=(0.5, 10.0))
    return Perception(replace(loaded, card=card), 'cpu', height=96)


@pytest.fixture(scope='module')
def frames():
    return [Scene(3).render(index / 10, *SIZE) for index in range(COUNT)]


def write(path, frames, matrices, info=INFO_TOPIC, size=SIZE):
    """Write frames, each before it (None: not) a CameraInfo, and depth as the truth."""
    with Writer(path) as writer:
        for topic, msgtype in ((IMAGE_TOPIC, COMPRESSED), ('/depth_truth', IMAGE),
                               (info, CAMERA_INFO)):
            writer.add(topic, msgtype)
        for index, (frame, matrix) in enumerate(zip(frames, matrices)):
            stamp = START + index * PERIOD
            header = writer.header(stamp, 'optical')
            if matrix is not None:
                writer.write(info, stamp, writer.camera_info(header, size, matrix))
            png = cv2.imencode('.png', frame.rgb[..., ::-1])[1].tobytes()
            writer.write(IMAGE_TOPIC, stamp, writer.compressed(header, png, 'png'))
            writer.write('/depth_truth', stamp,
                         writer.image(header, frame.depth.astype(np.float32), '32FC1'))
    return path


def document(perception, path, correct=True, **request):
    request = Request(depth='/depth_truth', protocol=Protocol(focal_correction=correct), **request)
    evaluation = evaluate_bag(perception, path, request)
    assert evaluation.reasons == []
    return bag_report.bag_document(evaluation, perception)


def expected_rms(perception, frames, scales):
    """Return the pooled error of what the network says, scaled, in the scaled range of valid."""
    squares = [
        (np.clip(perception(frame.rgb).depth, 0.5, 10) * scale - frame.depth)[
            np.isfinite(frame.depth)] ** 2 for frame, scale in zip(frames, scales)]
    return float(np.sqrt(np.concatenate(squares).mean()))


def test_the_metrics_are_those_of_scaled_depth(perception, frames, tmp_path):
    path = write(tmp_path / 'bag', frames, [MATRIX] * COUNT)
    found, plain = (document(perception, path, correct) for correct in (True, False))
    assert found['protocol']['focal_correction'] == {
        'topic': INFO_TOPIC, 'frames': COUNT, 'scale': pytest.approx(1.5),
        'range': pytest.approx([1.5, 1.5])}
    assert plain['protocol']['focal_correction'] is None
    for content, scale in ((found, 1.5), (plain, 1.0)):
        assert content['output']['pooled']['rms'] == pytest.approx(
            expected_rms(perception, frames, [scale] * COUNT), rel=1e-5)
        assert content['notes'] == []
    assert found['depth'] == plain['depth'] and found['semantics'] == plain['semantics']
    assert found['inputs']['pooled']['rms'] != plain['inputs']['pooled']['rms']
    assert f'depth x 1.500 for the focal length in {INFO_TOPIC}' in headline(found)
    assert 'focal' not in headline(plain)


def test_the_scale_is_the_one_that_the_node_takes(perception, frames, tmp_path):
    path = write(tmp_path / 'bag', frames, [MATRIX] * COUNT)
    prediction = perception(frames[0].rgb, focal_length=(MATRIX[0, 0], MATRIX[1, 1]))
    assert document(perception, path)['protocol']['focal_correction']['scale'] == pytest.approx(
        prediction.depth_scale, rel=1e-12)
    record(perception, path, tmp_path / 'out')
    with Recording(tmp_path / 'out') as recording:
        depth = to_depth(recording.decode(recording.first(recording.topic('/depth'))))
    np.testing.assert_array_equal(depth, limit_depth(prediction.depth, 0.75, 15.0))


def test_a_camera_that_changes_is_followed(perception, frames, tmp_path):
    # Before the first CameraInfo the first counts.
    path = write(tmp_path / 'bag', frames, [None, MATRIX, 2 * MATRIX, None])
    found = document(perception, path)
    assert found['protocol']['focal_correction']['range'] == pytest.approx([1.5, 3.0])
    assert found['output']['pooled']['rms'] == pytest.approx(
        expected_rms(perception, frames, (1.5, 1.5, 3.0, 3.0)), rel=1e-5)


def test_all_zero_k_is_ignored_with_one_note(perception, frames, tmp_path):
    path = write(tmp_path / 'bag', frames, [ZERO] * COUNT)
    found = document(perception, path)
    assert found['protocol']['focal_correction'] == {'topic': INFO_TOPIC, 'frames': 0}
    (note,) = found['notes']
    assert note.startswith(f'{INFO_TOPIC}: camera_info has no focal length (K is 0)')
    assert found['output'] == document(perception, path, False)['output']
    assert document(perception, path, False)['notes'] == []
    written = record(perception, path, tmp_path / 'out')
    assert written.notes == [note] and not written.scales


def test_camera_info_for_pictures_of_another_size(perception, frames, tmp_path):
    found = document(perception, write(tmp_path / 'bag', frames, [MATRIX] * COUNT, size=(48, 64)))
    (note,) = found['notes']
    assert 'camera_info is for 64x48, the image is 128x96' in note


def test_another_cameras_info_counts_when_it_is_named(perception, frames, tmp_path):
    path = write(tmp_path / 'bag', frames, [MATRIX] * COUNT, '/other/info')
    assert document(perception, path)['protocol']['focal_correction'] is None
    found = document(perception, path, camera_info='/other/info')
    assert found['protocol']['focal_correction']['topic'] == '/other/info'
    assert found['output']['pooled']['rms'] == pytest.approx(
        expected_rms(perception, frames, [1.5] * COUNT), rel=1e-5)
    with pytest.raises(RecordingError, match='/depth_truth is sensor_msgs/msg/Image, no CameraIn'):
        document(perception, path, camera_info='/depth_truth')
    with pytest.raises(RecordingError, match="no messages of '/nothing'"):
        document(perception, path, camera_info='/nothing')


def serialised(writer, stamp, array, encoding):
    return bytes(writer._store.serialize_cdr(
        writer.image(writer.header(stamp, 'camera'), array, encoding), IMAGE))


def test_a_replay_corrects_as_the_evaluation_of_the_bag(perception, frames, tmp_path):
    path = write(tmp_path / 'bag', frames, [None, MATRIX, 2 * MATRIX, ZERO])
    request = Request(depth='/depth_truth')
    with Recording(path) as recording, Recording(path) as played:
        session = Replay(perception, recording, request, {name: name for name in OUTPUTS})
        writer = Writer(tmp_path / 'unused')
        for item in played.records([IMAGE_TOPIC, '/depth_truth']):
            session.hear(item.topic.name, item.data, 0.0)
            if item.topic.name == IMAGE_TOPIC:
                prediction, stamp = perception(compressed_to_rgb(played.decode(item))), stamp_of(
                    item.data)
                depth = limit_depth(prediction.depth, PARAMETERS['min_depth'],
                                    PARAMETERS['max_depth'])
                for name, array, encoding in (('depth', depth, '32FC1'),
                                              ('semantics', prediction.labels, 'mono8'),
                                              ('confidence', prediction.confidence, '32FC1')):
                    session.hear(name, serialised(writer, stamp, array, encoding), 0.0)
        found = bag_report.replay_document(session.result(), session)
    expected = document(perception, path)
    assert found['protocol'] == expected['protocol']
    assert found['protocol']['focal_correction']['range'] == pytest.approx([1.5, 3.0])
    assert found['protocol']['focal_correction']['frames'] == 3
    assert 'K is 0' in ' '.join(found['notes'])
    for name, value in expected['output']['pooled'].items():
        assert found['output']['pooled'][name] == (value if value is None else pytest.approx(
            value, rel=1e-6)), name
    assert found['depth'] == expected['depth']
    assert found['drift']['depth']['mean'] == pytest.approx(expected['drift']['depth']['mean'],
                                                            rel=1e-6)


def test_a_data_set_with_another_camera(perception):
    class Wide(SceneFrames):
        """Rooms whose camera is said to have half the focal length."""

        def __getitem__(self, index):
            frame = super().__getitem__(index)
            return replace(frame, camera_matrix=frame.camera_matrix / 2)

    def evaluated(frames, network, **protocol):
        protocol = Protocol(**protocol)
        return dataset_document(evaluate(network, frames, protocol), network, protocol, {})

    own = Perception.load('depth', device='cpu', backend='torch')
    plain, corrected = (evaluated(SceneFrames(1), own, focal_correction=on)
                        for on in (False, True))
    # The camera of training: nothing changes at all.
    assert corrected['protocol']['focal_correction'] == {'frames': 1, 'scale': 1.0,
                                                         'range': [1.0, 1.0]}
    assert plain['protocol']['focal_correction'] is None
    assert plain['output'] == corrected['output']
    wide = evaluated(Wide(1), own)
    assert wide['protocol']['focal_correction']['scale'] == pytest.approx(0.5, abs=1e-5)
    assert wide['output']['pooled']['rel'] != plain['output']['pooled']['rel']
    assert evaluated(Wide(1), own, focal_correction=False)['output'] == plain['output']
