# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Recordings with results: what was there is copied, what is new is the network's."""

from depth_limits import limit_depth
from jrn_perception.evaluation.recordings.record import record, RecordRequest
from jrn_perception.labels import NYU5
from jrn_perception.messages.label_info import names_of
from jrn_perception.messages.maps import to_depth, to_labels
from jrn_perception.perception import Perception
from jrn_perception.recordings.reader import COMPRESSED, Recording, RecordingError
from jrn_perception.recordings.writer import STORAGES, Writer
from jrn_perception.sources import sample
import numpy as np
import pytest

pytest.importorskip('rosbags')

COUNT = 4


@pytest.fixture(scope='module')
def bag(tmp_path_factory):
    path = tmp_path_factory.mktemp('record') / 'bag'
    sample.write_sample(path, COUNT, size=(48, 64))
    return path


def messages(path, topic):
    with Recording(path) as recording:
        return [recording.decode(item) for item in recording.records([topic])]


@pytest.mark.parametrize('storage', STORAGES)
def test_results_beside_exact_copies(perception, bag, tmp_path, storage):
    output = tmp_path / 'out'
    written = record(perception, bag, output, RecordRequest(storage=storage))
    assert (written.frames, written.reasons, written.left_out) == (COUNT, [], [])
    with Recording(bag) as old, Recording(output) as new:
        assert set(new.topics) == {*old.topics, '/depth', '/semantics', '/label_info'}
        assert set(written.topics) == set(new.topics)
        for topic in old.topics.values():
            assert list(new.records([topic.name])) == list(old.records([topic.name]))
        assert new.topics['/label_info'].latched
        (info,) = new.records(['/label_info'])
        assert names_of(info.data) == dict(enumerate(NYU5.names))
        frames = list(old.frames())
        stamps = [[item.stamp_ns for item in new.records([topic])]
                  for topic in ('/depth', '/semantics', sample.IMAGE_TOPIC)]
        assert stamps[0] == stamps[1] == stamps[2]
        # The recorded picture is still found by itself: depth and labels are no pictures.
        assert new.image_topic().name == sample.IMAGE_TOPIC
    for frame, depth, labels in zip(frames, messages(output, '/depth'),
                                    messages(output, '/semantics'), strict=True):
        expected = perception(frame.rgb)
        for msg, encoding in ((depth, '32FC1'), (labels, 'mono8')):
            assert (msg.encoding, msg.height, msg.width) == (encoding, 48, 64)
            assert msg.header.stamp.sec * 10**9 + msg.header.stamp.nanosec == frame.stamp_ns
            assert msg.header.frame_id == sample.FRAME_ID
        limited = limit_depth(expected.depth,
                              *np.multiply(expected.depth_scale, perception.card.depth_range))
        np.testing.assert_array_equal(to_depth(depth), limited)
        np.testing.assert_array_equal(to_labels(labels), expected.labels)


def test_options(perception, bag, tmp_path):
    output = tmp_path / 'out'
    written = record(perception, bag, output, RecordRequest(
        [sample.CAMERA_INFO_TOPIC], namespace='/jrn', depth_encoding='16UC1',
        confidence_threshold=0.35))
    assert sorted(written.topics) == [sample.CAMERA_INFO_TOPIC, '/jrn/depth', '/jrn/label_info',
                                      '/jrn/semantics']
    with Recording(bag) as recording:
        frame = next(recording.frames())
    expected = perception(frame.rgb)
    depth, labels = (messages(output, f'/jrn/{name}')[0] for name in ('depth', 'semantics'))
    assert depth.encoding == '16UC1'
    limits = np.multiply(expected.depth_scale, perception.card.depth_range)
    limited = limit_depth(expected.depth, *limits)
    np.testing.assert_allclose(to_depth(depth), limited, atol=0.0006)
    np.testing.assert_array_equal(to_labels(labels), expected.confident_labels(0.35))
    assert {255} < set(np.unique(to_labels(labels)))


@pytest.mark.parametrize('architecture, topic, missing', [
    ('depth', '/depth', {'/semantics', '/label_info'}), ('semantics', '/semantics', {'/depth'})])
def test_a_network_of_one_task_writes_one_topic(bag, tmp_path, architecture, topic, missing):
    single = Perception.load(architecture, weights_file='random', device='cpu', height=64)
    written = record(single, bag, tmp_path / 'out', RecordRequest([sample.IMAGE_TOPIC]))
    assert topic in written.topics and not missing & set(written.topics)


def test_a_picture_that_is_damaged_is_copied_without_results(perception, tmp_path):
    bag, output = tmp_path / 'bag', tmp_path / 'out'
    sample.write_sample(tmp_path / 'whole', 3, size=(48, 64))
    with Recording(tmp_path / 'whole') as recording, Writer(bag) as writer:
        writer.add('/image', COMPRESSED)
        for index, item in enumerate(recording.records([sample.IMAGE_TOPIC])):
            msg = recording.decode(item)
            data = msg.data[:300 if index == 1 else None].tobytes()
            writer.write('/image', item.stamp_ns, writer.compressed(msg.header, data, 'jpeg'))
    written = record(perception, bag, output)
    assert written.frames == 2
    (reason,) = written.reasons
    assert reason.startswith('1 pictures have no results, the first: /image at '
                             '1700000000100000000 ns: the data is cut off after 300 bytes')
    assert len(messages(output, '/image')) == 3 and len(messages(output, '/depth')) == 2


def test_mistakes_leave_nothing_behind(perception, bag, tmp_path):
    output = tmp_path / 'out'
    for options, text in (
            ({'topics': ['/nothing']}, "no messages of '/nothing'"),
            ({'image': '/nothing'}, 'no image topic'),
            ({'namespace': 'jrn'}, 'begins with /'),
            ({'namespace': '/camera'}, 'has /camera/label_info already'),
            ({'depth_encoding': '8UC1'}, 'choose from 32FC1, 16UC1'),
            ({'storage': 'zip'}, 'choose from mcap, sqlite3')):
        with pytest.raises(ValueError, match=text):
            record(perception, bag, output, RecordRequest(**options))
        assert not output.exists()
    record(perception, bag, output, RecordRequest([sample.IMAGE_TOPIC]))
    with pytest.raises(ValueError, match='exists already'):
        record(perception, bag, output)
    with pytest.raises(RecordingError, match='has /depth, /semantics, /label_info already|'
                       'has /depth, /label_info, /semantics already'):
        record(perception, output, tmp_path / 'again')
