# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Sources of pictures, from real files."""

from itertools import islice
import struct

import cv2
from jrn_perception.frame import Frame
from jrn_perception.sources.opening import open_source
from jrn_perception.sources.source import resize_frame, Resized
import numpy as np
import pytest


def picture(height=24, width=32, seed=0):
    rng = np.random.default_rng(seed)
    return cv2.GaussianBlur(rng.integers(0, 256, (height, width, 3), np.uint8), (0, 0), 2)


def save(path, rgb):
    assert cv2.imwrite(str(path), rgb[..., ::-1])
    return path


def video(path, frames, rate=12.5, codec='MJPG'):
    height, width = frames[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), rate, (width, height))
    assert writer.isOpened()
    for rgb in frames:
        writer.write(np.ascontiguousarray(rgb[..., ::-1]))
    writer.release()
    return path


def test_a_picture(tmp_path):
    path = save(tmp_path / 'a.png', picture())
    source = open_source(str(path))
    assert (source.length, source.rate, source.endless) == (1, None, False)
    for _ in range(2):
        frame, = source
        np.testing.assert_array_equal(frame.rgb, picture())
        assert frame.name == 'a.png'
        assert frame.rgb.flags.c_contiguous


def test_a_folder_in_natural_order(tmp_path):
    for index, name in enumerate(['frame10.png', 'frame2.PNG', 'frame1.jpg', 'b.webp']):
        save(tmp_path / name, picture(seed=index))
    (tmp_path / 'notes.txt').write_text('no picture')
    (tmp_path / '.hidden.png').write_bytes(b'of another system')
    (tmp_path / 'folder.png').mkdir()
    source = open_source(str(tmp_path))
    assert source.length == 4
    assert [frame.name for frame in source] == ['b.webp', 'frame1.jpg', 'frame2.PNG',
                                                'frame10.png']


def test_other_kinds_of_pixels(tmp_path):
    rgb = picture()
    grey = rgb[..., 0]
    cv2.imwrite(str(tmp_path / 'grey.png'), grey)
    cv2.imwrite(str(tmp_path / 'alpha.png'), np.dstack([rgb[..., ::-1], grey]))
    cv2.imwrite(str(tmp_path / 'wide.png'), rgb[..., ::-1].astype(np.uint16) * 257)
    alpha, gray, wide = open_source(str(tmp_path))
    np.testing.assert_array_equal(alpha.rgb, rgb)
    np.testing.assert_array_equal(gray.rgb, np.dstack([grey] * 3))
    np.testing.assert_array_equal(wide.rgb, rgb)


def test_a_photograph_is_turned_upright(tmp_path):
    path = save(tmp_path / 'photo.jpg', picture())
    lying = next(iter(open_source(str(path)))).rgb
    exif = b'Exif\0\0' + struct.pack('>2sHIHHHIHHI', b'MM', 42, 8, 1, 0x112, 3, 1, 6, 0, 0)
    data = path.read_bytes()
    path.write_bytes(data[:2] + b'\xff\xe1' + struct.pack('>H', len(exif) + 2) + exif + data[2:])
    np.testing.assert_array_equal(next(iter(open_source(str(path)))).rgb,
                                  np.rot90(lying, -1))


def test_a_damaged_picture_is_left_out_or_fatal(tmp_path):
    for index in range(4):
        save(tmp_path / f'{index}.jpg', picture(seed=index))
    whole = (tmp_path / '1.jpg').read_bytes()
    (tmp_path / '1.jpg').write_bytes(whole[:len(whole) // 2])
    (tmp_path / '2.jpg').write_bytes(b'no picture')
    told = []
    source = open_source(str(tmp_path), damaged=told.append)
    assert [frame.name for frame in source] == ['0.jpg', '3.jpg']
    assert told == [f'{tmp_path}/1.jpg: cut off after {len(whole) // 2} bytes',
                    f'{tmp_path}/2.jpg: no picture that OpenCV can decode, 10 bytes']
    assert source.skipped == 2
    frames = iter(open_source(str(tmp_path)))
    next(frames)
    with pytest.raises(ValueError, match='1.jpg: cut off after'):
        next(frames)


@pytest.mark.parametrize('suffix, codec', [('.avi', 'MJPG'), ('.mp4', 'mp4v')])
def test_a_video(tmp_path, suffix, codec):
    frames = [np.full((48, 64, 3), colour, np.uint8)
              for colour in ((250, 0, 0), (0, 250, 0), (0, 0, 250), (90, 90, 90))]
    source = open_source(str(video(tmp_path / f'film{suffix}', frames, codec=codec)))
    assert (source.length, source.rate, source.endless) == (4, 12.5, False)
    for _ in range(2):
        seen = list(source)
        assert [frame.stamp_ns for frame in seen] == [0, 80_000_000, 160_000_000, 240_000_000]
        for frame, expected in zip(seen, frames):
            assert np.abs(frame.rgb.astype(int) - expected).max() < 16


def test_a_video_that_ends_early(tmp_path):
    path = video(tmp_path / 'film.avi', [picture(48, 64, seed) for seed in range(20)])
    data = path.read_bytes()
    path.write_bytes(data[:len(data) // 2])
    told = []
    source = open_source(str(path), damaged=told.append)
    count = len(list(source))
    assert (source.length, source.skipped) == (20, 1)
    assert 0 < count < 20
    assert told == [f'{path}: ends after {count} of the 20 frames that its header announces']
    with pytest.raises(ValueError, match='ends after'):
        list(open_source(str(path)))


@pytest.mark.parametrize('spec, seed', [('scenes', 0), ('scenes:7', 7)])
def test_scenes_are_drawn_with_their_truth(spec, seed):
    source = open_source(spec, size=(48, 64))
    assert (source.length, source.rate, source.endless) == (None, 10, True)
    first, second = islice(source, 2)
    again, = islice(source, 1)
    assert first.rgb.shape == (48, 64, 3)
    assert first.depth.shape == first.labels.shape == (48, 64)
    assert first.name.startswith(f'scene-{seed}')
    assert second.stamp_ns - first.stamp_ns == 100_000_000
    assert (second.rgb != first.rgb).any()
    np.testing.assert_array_equal(again.rgb, first.rgb)


def test_a_recording(tmp_path):
    rosbag2 = pytest.importorskip('rosbags.rosbag2')
    typesys = pytest.importorskip('rosbags.typesys')
    store = typesys.get_typestore(typesys.Stores.ROS2_HUMBLE)
    types, kind = store.types, 'sensor_msgs/msg/Image'
    rgb = picture()
    path = tmp_path / 'bag'
    with rosbag2.Writer(path, version=9) as writer:
        topics = [writer.add_connection(f'/{side}/image', kind, typestore=store)
                  for side in ('left', 'right')]
        for index in range(5):
            header = types['std_msgs/msg/Header'](
                types['builtin_interfaces/msg/Time'](7, 200_000_000 * index), 'optical')
            cut = 9 if index == 3 else None
            msg = types[kind](header, 24, 32, 'rgb8', 0, 96, rgb.reshape(-1)[:cut])
            for topic in topics:
                writer.write(topic, 10**18 + 200_000_000 * index, store.serialize_cdr(msg, kind))
    with pytest.raises(ValueError, match='2 topics of pictures, name one of: /left/image'):
        open_source(str(path))
    told = []
    source = open_source(str(path), topic='/right/image', damaged=told.append)
    assert (source.length, source.rate, source.endless) == (5, 5, False)
    assert source.frame_id == 'optical'
    frames = list(source)
    assert [frame.stamp_ns - 7 * 10**9 for frame in frames] == [0, 200_000_000, 400_000_000,
                                                                800_000_000]
    np.testing.assert_array_equal(frames[3].rgb, rgb)
    assert source.skipped == 1
    assert told[0].startswith('/right/image at 1000000000600000000 ns: the data has 9 bytes')


def test_the_rate_of_a_recorded_topic_is_its_own(tmp_path):
    rosbag2 = pytest.importorskip('rosbags.rosbag2')
    typesys = pytest.importorskip('rosbags.typesys')
    store = typesys.get_typestore(typesys.Stores.ROS2_HUMBLE)
    types, kind = store.types, 'sensor_msgs/msg/Image'
    path, start = tmp_path / 'bag', 10**18
    with rosbag2.Writer(path, version=9) as writer:
        other = writer.add_connection('/log', 'std_msgs/msg/String', typestore=store)
        text = store.serialize_cdr(types['std_msgs/msg/String']('hello'), 'std_msgs/msg/String')
        camera = writer.add_connection('/image', kind, typestore=store)
        header = types['std_msgs/msg/Header'](
            types['builtin_interfaces/msg/Time'](7, 0), 'optical')
        data = store.serialize_cdr(
            types[kind](header, 24, 32, 'rgb8', 0, 96, picture().reshape(-1)), kind)
        writer.write(other, start, text)
        # Late, at 10 Hz, and with a pause.
        for tenth in (*range(90, 101), *range(150, 156)):
            writer.write(camera, start + tenth * 10**8, data)
        writer.write(other, start + 60 * 10**9, text)
    assert open_source(str(path)).rate == pytest.approx(10)
    assert open_source(str(path), size=(12, 16)).rate == pytest.approx(10)


def test_resizing_keeps_what_is_known(tmp_path):
    depth = np.arange(24, dtype=np.float32).reshape(4, 6)
    labels = np.arange(24, dtype=np.uint8).reshape(4, 6)
    matrix = np.array(((10.0, 0, 2.5), (0, 20.0, 1.5), (0, 0, 1)))
    frame = Frame(picture(4, 6), 'a', 5, depth, labels, matrix)
    double = resize_frame(frame, 8, 12)
    assert double.rgb.shape == (8, 12, 3)
    np.testing.assert_array_equal(double.depth, depth.repeat(2, 0).repeat(2, 1))
    np.testing.assert_array_equal(double.labels, labels.repeat(2, 0).repeat(2, 1))
    # The principal point, the middle of the picture, stays in the middle.
    np.testing.assert_allclose(double.camera_matrix, ((20, 0, 5.5), (0, 40, 3.5), (0, 0, 1)))
    assert (double.name, double.stamp_ns) == ('a', 5)
    assert resize_frame(frame, 4, 6) is frame
    save(tmp_path / 'a.png', picture())
    (tmp_path / 'b.png').write_bytes(b'')
    told = []
    source = open_source(str(tmp_path), size=(8, 16), damaged=told.append)
    assert isinstance(source, Resized)
    assert source.length == 2
    assert [frame.rgb.shape for frame in source] == [(8, 16, 3)]
    assert source.skipped == len(told) == 1


def test_what_is_no_source(tmp_path):
    (tmp_path / 'text.txt').write_text('hello')
    (tmp_path / 'film.mp4').write_text('hello')
    (tmp_path / 'empty').mkdir()
    save(tmp_path / 'a.png', picture())
    for spec, reason in (('nothing', 'no such file or folder; expected a picture, a folder'),
                         ('text.txt', 'neither a picture nor a video by its suffix; expected'),
                         ('film.mp4', 'OpenCV cannot read this as a video'),
                         ('empty', 'no pictures in this folder')):
        with pytest.raises(ValueError, match=reason) as caught:
            open_source(str(tmp_path / spec))
        assert str(caught.value).startswith(str(tmp_path / spec))
        assert '\n' not in str(caught.value)
    with pytest.raises(ValueError, match='only a recording has topics'):
        open_source(str(tmp_path / 'a.png'), topic='/image')
    # A user that does not exist.
    with pytest.raises(ValueError, match='^~nobody-at-all/x.png: no such file or folder'):
        open_source('~nobody-at-all/x.png')
    with pytest.raises(ValueError, match='camera /dev/video77: not there, in use'):
        open_source('/dev/video77')
    with pytest.raises(ValueError, match='scenes:x: no such file'):
        open_source('scenes:x')
