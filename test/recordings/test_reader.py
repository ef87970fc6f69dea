# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""rosbag2 recordings, written here in the real formats."""

from itertools import zip_longest
from pathlib import Path
import sys

import cv2
from jrn_perception.recordings.reader import (
    CAMERA_INFO,
    COMPRESSED,
    IMAGE,
    is_recording,
    Recording,
    RecordingError,
)
import numpy as np
import pytest

rosbag2 = pytest.importorskip('rosbags.rosbag2')
typesys = pytest.importorskip('rosbags.typesys')

STORE = typesys.get_typestore(typesys.Stores.ROS2_HUMBLE)
START = 1_700_000_000_000_000_000
PERIOD = 100_000_000
STRING = 'std_msgs/msg/String'


def header(stamp_ns, frame_id='optical'):
    types = STORE.types
    stamp = types['builtin_interfaces/msg/Time'](stamp_ns // 10**9, stamp_ns % 10**9)
    return types['std_msgs/msg/Header'](stamp, frame_id)


def image(array, encoding, stamp_ns):
    data = np.frombuffer(array.tobytes(), np.uint8)
    return STORE.types[IMAGE](header(stamp_ns), *array.shape[:2], encoding, 0,
                              data.size // array.shape[0], data)


def compressed(rgb, extension, stamp_ns, form):
    _, data = cv2.imencode(extension, rgb[..., ::-1])
    return STORE.types[COMPRESSED](header(stamp_ns), form, data.reshape(-1))


def camera_info(height, width, focal, stamp_ns):
    k = np.array((focal, 0, width / 2, 0, focal, height / 2, 0, 0, 1.0)) * bool(focal)
    region = STORE.types['sensor_msgs/msg/RegionOfInterest'](0, 0, 0, 0, False)
    return STORE.types[CAMERA_INFO](
        header(stamp_ns), height, width, 'plumb_bob', np.zeros(5), k, np.eye(3).reshape(-1),
        np.zeros(12), 0, 0, region)


def write(path, topics, storage='sqlite3', compression=None):
    """Write {topic: [(stamp, message), ...]}, interleaved by time as a recorder does."""
    plugin = getattr(rosbag2.StoragePlugin, storage.upper())
    writer = rosbag2.Writer(path, version=9, storage_plugin=plugin)
    if compression:
        writer.set_compression(getattr(rosbag2.CompressionMode, compression.upper()),
                               rosbag2.CompressionFormat.ZSTD)
    with writer:
        connections = {
            name: writer.add_connection(name, messages[0][1].__msgtype__, typestore=STORE)
            for name, messages in topics.items()}
        for row in zip_longest(*([(name, *entry) for entry in messages]
                                 for name, messages in topics.items())):
            for name, stamp, msg in filter(None, row):
                writer.write(connections[name], stamp,
                             STORE.serialize_cdr(msg, msg.__msgtype__))
    return path


def pictures(count=4, height=24, width=32):
    rng = np.random.default_rng(5)
    return [rng.integers(0, 256, (height, width, 3), np.uint8) for _ in range(count)]


def stamps(count=4):
    return [START + i * PERIOD for i in range(count)]


def camera(**others):
    """Return the topics of a depth camera in colour, with calibration and chatter."""
    rgb = pictures()
    depth = np.full((24, 32), 1500, np.uint16)
    text = STORE.types[STRING]('hello')
    return rgb, {
        '/camera/color/image_raw': [(s + 5, image(p, 'rgb8', s))
                                    for s, p in zip(stamps(), rgb)],
        '/camera/color/camera_info': [(s, camera_info(24, 32, 30.0, s)) for s in stamps()],
        '/camera/depth/image_raw': [(s, image(depth, '16UC1', s)) for s in stamps()],
        '/chatter': [(s, text) for s in stamps()], **others}


@pytest.mark.parametrize('compression', [None, 'message', 'file'])
@pytest.mark.parametrize('storage', ['sqlite3', 'mcap'])
def test_pictures_come_back_in_every_storage(tmp_path, storage, compression):
    rgb, topics = camera()
    path = write(tmp_path / 'bag', topics, storage, compression)
    assert is_recording(path)
    with Recording(path) as recording:
        assert {t.name: (t.msgtype, t.count) for t in recording.topics.values()} == {
            '/camera/color/camera_info': (CAMERA_INFO, 4), '/camera/color/image_raw': (IMAGE, 4),
            '/camera/depth/image_raw': (IMAGE, 4), '/chatter': (STRING, 4)}
        assert recording.start_ns == START
        assert recording.duration_ns == 3 * PERIOD + 5
        assert recording.frame_id('/camera/depth/image_raw') == 'optical'
        frames = list(recording.frames())
    assert [frame.stamp_ns for frame in frames] == stamps()
    for frame, expected in zip(frames, rgb):
        np.testing.assert_array_equal(frame.rgb, expected)
        np.testing.assert_array_equal(frame.camera_matrix, ((30, 0, 16), (0, 30, 12), (0, 0, 1)))


@pytest.mark.parametrize('storage, suffix', [('sqlite3', '.db3'), ('mcap', '.mcap')])
def test_a_storage_file_without_its_folder(tmp_path, storage, suffix):
    _, topics = camera()
    path = write(tmp_path / 'bag', topics, storage)
    (path / 'metadata.yaml').unlink()
    file = next(path.glob(f'*{suffix}'))
    assert is_recording(path)
    assert is_recording(file)
    for source in (path, file):
        with Recording(source) as recording:
            assert len(list(recording.frames())) == 4
    file.rename(path / f'bag_0{suffix}')
    more = write(tmp_path / 'more', topics, storage)
    next(more.glob(f'*{suffix}')).rename(path / f'bag_1{suffix}')
    with Recording(path) as recording:
        assert len(list(recording.frames())) == 8
        assert recording.topic('/camera/color/image_raw').count == 8


def test_records_are_the_bytes_of_the_chosen_topics(tmp_path):
    _, topics = camera()
    path = write(tmp_path / 'bag', topics)
    with Recording(path) as recording:
        records = list(recording.records(['/chatter', '/camera/depth/image_raw']))
        everything = list(recording.records())
    assert [record.topic.name for record in records].count('/chatter') == 4
    assert len(records) == 8
    expected = STORE.serialize_cdr(topics['/chatter'][0][1], STRING)
    assert {r.data for r in records if r.topic.msgtype == STRING} == {bytes(expected)}
    assert len(everything) == 16
    assert [r.stamp_ns for r in everything] == sorted(r.stamp_ns for r in everything)


@pytest.mark.parametrize('extension, form, tolerance', [
    ('.png', 'rgb8; png compressed bgr8', 0), ('.jpg', 'jpeg', 60)])
def test_compressed_pictures(tmp_path, extension, form, tolerance):
    rgb = [cv2.GaussianBlur(picture, (0, 0), 3) for picture in pictures()]
    path = write(tmp_path / 'bag', {'/image/compressed': [
        (s, compressed(p, extension, s, form)) for s, p in zip(stamps(), rgb)]})
    with Recording(path) as recording:
        frames = list(recording.frames())
    for frame, expected in zip(frames, rgb):
        assert np.abs(frame.rgb.astype(int) - expected).max() <= tolerance
        assert frame.camera_matrix is None


def test_which_topic_is_the_camera(tmp_path):
    grey = np.zeros((24, 32), np.uint8)
    mono = {'/infra': [(START, image(grey, 'mono8', START))]}
    rgb, topics = camera(**mono)
    with Recording(write(tmp_path / 'colour', topics)) as recording:
        assert recording.image_topic().name == '/camera/color/image_raw'
        assert recording.image_topic('/infra').name == '/infra'
        # Another camera's is not its own.
        assert recording.camera_info_topic('/infra') is None
        assert next(recording.frames('/infra')).rgb.shape == (24, 32, 3)
    twin = {'/camera/color/image_raw/compressed': [
        (START, compressed(rgb[0], '.png', START, 'png'))]}
    with Recording(write(tmp_path / 'twin', camera(**twin)[1])) as recording:
        assert recording.image_topic().name == '/camera/color/image_raw'
    with Recording(write(tmp_path / 'mono', mono)) as recording:
        assert recording.image_topic().name == '/infra'


def test_several_cameras_and_none_have_to_be_named(tmp_path):
    rgb = pictures(1)[0]
    two = {name: [(START, image(rgb, 'bgr8', START))] for name in ('/left/image', '/right/image')}
    with Recording(write(tmp_path / 'two', two)) as recording:
        with pytest.raises(RecordingError) as caught:
            recording.image_topic()
        text = '2 topics of pictures, name one of: /left/image (Image, 1), /right/image (Image, 1)'
        assert str(caught.value).endswith(text)
        with pytest.raises(RecordingError, match="no image topic '/up'; there are: /left/image"):
            next(recording.frames('/up'))
        with pytest.raises(RecordingError, match="no messages of '/up'; there are: /left/image"):
            next(recording.records(['/up']))
    _, topics = camera()
    depth = '/camera/depth/image_raw'
    with Recording(write(tmp_path / 'depth', {depth: topics[depth]})) as recording:
        with pytest.raises(RecordingError, match='no topics of pictures, name one of: /camera/de'):
            recording.image_topic()
    with Recording(write(tmp_path / 'text', {'/chatter': topics['/chatter']})) as recording:
        with pytest.raises(RecordingError, match='no image topic among /chatter'):
            recording.image_topic()


def test_calibration_of_another_size_or_all_zero_is_no_calibration(tmp_path):
    rgb, topics = camera()
    name = '/camera/color/camera_info'
    topics[name] = [(s, camera_info(24, width, focal, s)) for s, width, focal in
                    zip(stamps(), (31, 32, 32, 32), (30.0, 0.0, 30.0, 40.0))]
    with Recording(write(tmp_path / 'bag', topics)) as recording:
        matrices = [frame.camera_matrix for frame in recording.frames()]
    assert matrices[:2] == [None, None]
    assert [matrix[0, 0] for matrix in matrices[2:]] == [30, 40]


def test_rectified_pictures_have_the_matrix_of_p(tmp_path):
    rgb = pictures()
    info = camera_info(48, 64, 60.0, START)
    info.p = np.array((40.0, 0, 20, 0, 0, 44.0, 12, 0, 0, 0, 1, 0))
    info.d = np.array((0.1, 0.0, 0.0, 0.0, 0.0))
    info.binning_x = info.binning_y = 2
    topics = {f'/{name}/{kind}': [(START, message)] for name, image_name in (
        ('raw', 'image_raw'), ('flat', 'image_rect')) for kind, message in (
            (image_name, image(rgb[0], 'rgb8', START)), ('camera_info', info))}
    with Recording(write(tmp_path / 'bag', topics)) as recording:
        raw, flat = (next(recording.frames(name)).camera_matrix for name in (
            '/raw/image_raw', '/flat/image_rect'))
    np.testing.assert_array_equal(raw, ((30, 0, 16), (0, 30, 12), (0, 0, 1)))
    np.testing.assert_array_equal(flat, ((20, 0, 10), (0, 22, 6), (0, 0, 1)))


def test_a_damaged_picture_is_left_out_or_fatal(tmp_path):
    rgb, topics = camera()
    messages = topics['/camera/color/image_raw']
    messages[1][1].data = messages[1][1].data[:100]
    messages[2][1].encoding = 'quantum8'
    with Recording(write(tmp_path / 'bag', topics)) as recording:
        told = []
        assert [frame.stamp_ns for frame in recording.frames(damaged=told.append)] == [
            stamps()[0], stamps()[3]]
        assert len(told) == 2
        assert told[0].startswith(f'/camera/color/image_raw at {stamps()[1] + 5} ns: the data has '
                                  '100 bytes; rgb8')
        assert "encoding 'quantum8' is not supported" in told[1]
        frames = recording.frames()
        next(frames)
        with pytest.raises(RecordingError, match='the data has 100 bytes'):
            next(frames)


@pytest.mark.parametrize('storage, suffix', [('sqlite3', '.db3'), ('mcap', '.mcap')])
@pytest.mark.parametrize('share', [0.0, 0.02, 0.3, 0.6])
def test_a_truncated_recording_is_an_error_of_one_line(tmp_path, storage, suffix, share):
    _, topics = camera()
    path = write(tmp_path / 'bag', topics, storage)
    file = next(path.glob(f'*{suffix}'))
    file.write_bytes(file.read_bytes()[:int(share * file.stat().st_size)])
    with pytest.raises(RecordingError) as caught:
        with Recording(path) as recording:
            list(recording.frames())
    assert str(path) in str(caught.value)
    assert '\n' not in str(caught.value)


def test_what_was_read_before_the_damage_is_kept(tmp_path):
    _, topics = camera()
    path = write(tmp_path / 'bag', {'/chatter': topics['/chatter']}, 'mcap', 'message')
    file = next(path.glob('*.mcap'))
    zstd = b'\x28\xb5\x2f\xfd'
    first, *messages = file.read_bytes().split(zstd)
    assert len(messages) == 4
    file.write_bytes(first + zstd + messages[0] + zstd + messages[1] + b'gone' + messages[2]
                     + zstd + messages[3])
    records = []
    with Recording(path) as recording:
        with pytest.raises(RecordingError, match='damaged after 2 of 4 messages'):
            for record in recording.records():
                records.append(record)
    assert len(records) == 2


def test_no_recording(tmp_path):
    with pytest.raises(FileNotFoundError, match='no such recording'):
        Recording(tmp_path / 'nothing')
    text = tmp_path / 'text.mcap'
    text.write_text('no recording')
    with pytest.raises(RecordingError, match='damaged or no rosbag2 recording'):
        Recording(text)
    assert not is_recording(Path(__file__))
    assert not is_recording(tmp_path / 'nothing')


def test_without_rosbags_one_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'rosbags.highlevel', None)
    with pytest.raises(ImportError, match='needs rosbags: pip install .rosbags>=0.11.$'):
        Recording(tmp_path)


def test_an_empty_recording(tmp_path):
    path = tmp_path / 'bag'
    with rosbag2.Writer(path, version=9) as writer:
        writer.add_connection('/image', IMAGE, typestore=STORE)
    with Recording(path) as recording:
        assert recording.topics == {}
        assert recording.duration_ns == 0
        assert list(recording.records()) == []
        with pytest.raises(RecordingError, match='no image topic among no messages at all'):
            next(recording.frames())
