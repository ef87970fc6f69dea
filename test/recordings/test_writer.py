# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Recordings that we write, read by the reader that everybody uses."""

import sqlite3
import sys

from jrn_perception.labels import NYU5
from jrn_perception.messages.label_info import LABEL_INFO
from jrn_perception.recordings.reader import CAMERA_INFO, COMPRESSED, IMAGE, Recording
from jrn_perception.recordings.writer import STORAGES, Writer
import numpy as np
import pytest
import yaml

rosbag2 = pytest.importorskip('rosbags.rosbag2')

START = 1_700_000_000_123_456_789
RGB = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
DEPTH = np.linspace(0.5, 3, 24, dtype=np.float32).reshape(4, 6)


def write(path, storage='mcap'):
    with Writer(path, storage) as writer:
        for topic, msgtype in (('/image', IMAGE), ('/depth', IMAGE), ('/jpeg', COMPRESSED),
                               ('/camera_info', CAMERA_INFO)):
            writer.add(topic, msgtype)
        writer.add('/label_info', LABEL_INFO, latched=True)
        for index in range(2):
            stamp = START + index * 10**8
            header = writer.header(stamp, 'optical')
            for topic, msg in (
                    ('/image', writer.image(header, RGB, 'rgb8')),
                    ('/depth', writer.image(header, DEPTH, '32FC1')),
                    ('/jpeg', writer.compressed(header, b'\xff\xd8', 'jpeg')),
                    ('/camera_info', writer.camera_info(header, (4, 6), np.eye(3) * 5)),
                    ('/label_info', writer.label_info(header, NYU5, 0.25))):
                writer.write(topic, stamp + 7, msg)
    return path


@pytest.mark.parametrize('storage', STORAGES)
def test_messages_come_back(tmp_path, storage):
    with Recording(write(tmp_path / 'bag', storage)) as recording:
        assert [topic.count for topic in recording.topics.values()] == [2] * 5
        assert {name for name, topic in recording.topics.items() if topic.latched} == {
            '/label_info'}
        assert (recording.start_ns, recording.duration_ns) == (START + 7, 10**8)
        messages = {record.topic.name: recording.decode(record)
                    for record in recording.records()}
    for msg in messages.values():
        assert (msg.header.stamp.sec, msg.header.stamp.nanosec) == (1_700_000_000, 223_456_789)
        assert msg.header.frame_id == 'optical'
    image, depth, info = (messages[name] for name in ('/image', '/depth', '/camera_info'))
    assert (image.height, image.width, image.step, image.encoding) == (4, 6, 18, 'rgb8')
    assert image.data.tobytes() == RGB.tobytes()
    assert (depth.step, depth.is_bigendian) == (24, 0)
    np.testing.assert_array_equal(depth.data.view('<f4').reshape(4, 6), DEPTH)
    assert (info.height, info.width, info.k[0], info.p[0]) == (4, 6, 5, 5)
    assert [(c.class_id, c.class_name) for c in messages['/label_info'].class_map] == list(
        enumerate(NYU5.names))
    assert messages['/label_info'].threshold == 0.25


@pytest.mark.parametrize('storage, suffix', [('mcap', '.mcap'), ('sqlite3', '.db3')])
def test_the_metadata_is_what_ros2_bag_info_reads(tmp_path, storage, suffix):
    path = write(tmp_path / 'bag', storage)
    content = yaml.safe_load((path / 'metadata.yaml').read_text())['rosbag2_bagfile_information']
    # Humble knows the layouts up to 8, in which QoS profiles are a text with numbers.
    assert content['version'] <= 8
    assert content['storage_identifier'] == storage
    assert content['relative_file_paths'] == [f'bag{suffix}']
    assert (path / f'bag{suffix}').is_file()
    assert content['message_count'] == 10
    assert content['duration'] == {'nanoseconds': 10**8}
    assert content['starting_time'] == {'nanoseconds_since_epoch': START + 7}
    for row in content['topics_with_message_count']:
        topic = row['topic_metadata']
        assert row['message_count'] == 2
        assert topic['serialization_format'] == 'cdr'
        assert topic['type_description_hash'].startswith('RIHS01_')
        (profile,) = yaml.safe_load(topic['offered_qos_profiles'])
        latched = topic['name'] == '/label_info'
        assert (profile['reliability'], profile['durability']) == (1, 1 if latched else 2)


def test_an_mcap_explains_itself(tmp_path):
    data = (write(tmp_path / 'bag') / 'bag.mcap').read_bytes()
    for text in (b'vision_msgs/VisionClass[] class_map', b'uint16 class_id', b'ros2msg',
                 b'builtin_interfaces/Time stamp'):
        assert text in data


@pytest.mark.parametrize('source', STORAGES)
@pytest.mark.parametrize('target', STORAGES)
def test_copies_are_exact(tmp_path, source, target):
    original = write(tmp_path / 'bag', source)
    topics = ['/image', '/label_info', '/camera_info']
    with Recording(original) as recording, Writer(tmp_path / 'copy', target) as writer:
        assert writer.add_copy(original, topics) == []
        expected = list(recording.records(topics))
        for record in expected:
            writer.write_copy(record.topic.name, record.stamp_ns, record.data)
    with Recording(tmp_path / 'copy') as recording:
        assert set(recording.topics) == set(topics)
        assert recording.topics['/label_info'].latched
        copied = list(recording.records())
    # Topics of one time come in any order.
    for name in topics:
        assert [r for r in copied if r.topic.name == name] == [
            r for r in expected if r.topic.name == name]
    assert len(copied) == 6


def test_a_type_that_nobody_knows_is_left_out(tmp_path):
    original = write(tmp_path / 'bag', 'sqlite3')
    # As recorded before Iron: without definitions.
    with sqlite3.connect(original / 'bag.db3') as connection:
        connection.execute('DELETE FROM message_definitions')
        connection.execute("UPDATE topics SET type = 'my_msgs/msg/Mine' WHERE name = '/jpeg'")
    metadata = original / 'metadata.yaml'
    metadata.write_text(metadata.read_text().replace(COMPRESSED, 'my_msgs/msg/Mine'))
    with Writer(tmp_path / 'copy') as writer:
        assert writer.add_copy(original, ['/image', '/jpeg', '/label_info']) == ['/jpeg']
        assert sorted(writer.topics) == ['/image', '/label_info']


def test_mistakes(tmp_path, monkeypatch):
    path = write(tmp_path / 'bag')
    with pytest.raises(ValueError, match='exists already'):
        Writer(path)
    with pytest.raises(ValueError, match='choose from mcap, sqlite3'):
        Writer(tmp_path / 'other', 'rosbag1')
    with Writer(tmp_path / 'new') as writer:
        writer.add('/image', IMAGE)
        with pytest.raises(ValueError, match='two topics called /image'):
            writer.add('/image', IMAGE)
        header = writer.header(0, '')
        for array, encoding in ((RGB, 'mono8'), (DEPTH, '16UC1'), (DEPTH.astype(float), '32FC1')):
            with pytest.raises(ValueError, match=f'{encoding} takes'):
                writer.image(header, array, encoding)
    monkeypatch.setitem(sys.modules, 'rosbags', None)
    with pytest.raises(ImportError, match='needs rosbags: pip install'):
        Writer(tmp_path / 'third')
