# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""What a camera publishes, and when; the nodes themselves are tested in test_play.py."""

from itertools import islice

import cv2
from jrn_perception.frame import Frame
from jrn_perception.sources.source import Source
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
camera = pytest.importorskip('jrn_perception.ros.playback.player')
images = pytest.importorskip('jrn_perception.ros.conversions.images')
messages = pytest.importorskip('std_msgs.msg')

SECOND = 10**9


class Listed(Source):
    """Frames with given stamps."""

    def __init__(self, stamps, rate=None):
        super().__init__('list')
        self.stamps, self.rate = stamps, rate

    def __iter__(self):
        for stamp in self.stamps:
            yield Frame(np.zeros((1, 1, 3), np.uint8), str(stamp), stamp)


def due(source, count=100, **options):
    """Return the names of the frames, and their times since the first."""
    pairs = list(islice(camera.timed(source, **options), count))
    return [frame.name for _, frame in pairs], [time - pairs[0][0] for time, _ in pairs]


def test_pictures_without_a_clock_get_a_rate():
    assert due(Listed([0, 0, 0]))[1] == [0, SECOND // 10, SECOND // 5]
    assert due(Listed([0, 0, 0]), rate=4)[1] == [0, SECOND // 4, SECOND // 2]


def test_a_video_keeps_its_pace_unless_told_otherwise():
    video = Listed([0, 40_000_000, 90_000_000], rate=25)
    assert due(video)[1] == [0, 40_000_000, 90_000_000]
    assert due(video, rate=2)[1] == [0, SECOND // 2, SECOND]
    # A place in the video is no time of day.
    assert next(camera.timed(video))[0] > 10**18


def test_a_recording_keeps_its_stamps():
    recording = Listed([7 * SECOND, 8 * SECOND], rate=1)
    assert [time for time, _ in camera.timed(recording)] == [7 * SECOND, 8 * SECOND]
    looped = list(islice(camera.timed(recording, loop=True), 4))
    assert [time // SECOND for time, _ in looped] == [7, 8, 7, 8]


def test_the_time_of_a_looped_video_goes_on():
    names, times = due(Listed([0, SECOND // 4], rate=4), count=5, loop=True)
    assert names == ['0', '250000000', '0', '250000000', '0']
    assert times == [0, SECOND // 4, SECOND // 2, 3 * SECOND // 4, SECOND]
    assert due(Listed([0]), count=3, rate=5, loop=True)[1] == [0, SECOND // 5, 2 * SECOND // 5]


def test_a_loop_over_nothing_ends():
    assert list(camera.timed(Listed([]), loop=True)) == []


@pytest.mark.parametrize('encoding', camera.ENCODINGS)
def test_every_encoding_is_the_picture(encoding):
    rng = np.random.default_rng(0)
    rgb = cv2.GaussianBlur(rng.integers(0, 256, (48, 64, 3), np.uint8), (0, 0), 4)
    header = messages.Header(frame_id='eye')
    msg = camera.picture_message(rgb, header, encoding)
    assert msg.header == header
    back = images.to_rgb(msg) if encoding in camera.RAW else images.compressed_to_rgb(msg)
    if encoding == 'mono8':
        rgb = cv2.cvtColor(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    tolerance = 6 if encoding == 'jpeg' else 0
    assert np.abs(back.astype(int) - rgb).max() <= tolerance
    if encoding in camera.RAW:
        assert msg.encoding == encoding
    else:
        assert msg.format == f'rgb8; {encoding} compressed bgr8'


def test_calibration():
    matrix = np.array(((30.0, 0, 16), (0, 31, 12), (0, 0, 1)))
    header = messages.Header(frame_id='eye')
    rgb = np.zeros((24, 32, 3), np.uint8)
    info = camera.camera_info(Frame(rgb, camera_matrix=matrix), header)
    assert (info.height, info.width, info.distortion_model) == (24, 32, 'plumb_bob')
    assert list(info.k) == [30, 0, 16, 0, 31, 12, 0, 0, 1]
    assert list(info.p) == [30, 0, 16, 0, 0, 31, 12, 0, 0, 0, 1, 0]
    assert list(info.r) == [1, 0, 0, 0, 1, 0, 0, 0, 1]
    assert list(info.d) == [0] * 5
    unknown = camera.camera_info(Frame(rgb), header)
    assert not any(unknown.k)
    assert (unknown.height, unknown.width) == (24, 32)
