# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The sample recording is what it says, and small."""

from jrn_perception.labels import NYU40
from jrn_perception.messages.label_info import names_of
from jrn_perception.messages.maps import to_depth, to_labels
from jrn_perception.recordings.reader import Recording
from jrn_perception.sources import sample
import numpy as np
import pytest

pytest.importorskip('rosbags')

FRAMES = 4


@pytest.fixture(scope='module')
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp('sample') / 'bag'
    assert sample.main([str(path), '--frames', str(FRAMES)]) == 0
    return path


def test_it_holds_the_room_with_exact_depth_and_labels(path, room):
    scene = room(sample.SEED)
    with Recording(path) as recording:
        assert recording.image_topic().name == sample.IMAGE_TOPIC
        frames = list(recording.frames())
        depths = [recording.decode(r) for r in recording.records([sample.DEPTH_TOPIC])]
        labels = [recording.decode(r) for r in recording.records([sample.LABEL_TOPIC])]
        (info,) = recording.records([sample.LABEL_INFO_TOPIC])
    assert names_of(info.data) == dict(enumerate(NYU40.names))
    assert len(frames) == len(depths) == len(labels) == FRAMES
    for index, (frame, depth, ids) in enumerate(zip(frames, depths, labels)):
        expected = scene.render(index / sample.RATE, *sample.SIZE)
        assert frame.stamp_ns == sample.START_NS + index * 10**8
        for msg in (depth, ids):
            assert msg.header.stamp.sec * 10**9 + msg.header.stamp.nanosec == frame.stamp_ns
            assert msg.header.frame_id == sample.FRAME_ID
        np.testing.assert_allclose(to_depth(depth), expected.depth, atol=0.000501)
        np.testing.assert_array_equal(to_labels(ids), expected.labels)
        np.testing.assert_allclose(frame.camera_matrix, expected.camera_matrix)
        # JPEG blurs the noise of the picture, not what is in it.
        assert np.abs(frame.rgb.astype(int) - expected.rgb).mean() < 6


def test_it_is_the_same_each_time(path, tmp_path):
    sample.write_sample(tmp_path / 'again', FRAMES)
    with Recording(path) as first, Recording(tmp_path / 'again') as second:
        assert [(r.topic, r.stamp_ns, r.data) for r in first.records()] == [
            (r.topic, r.stamp_ns, r.data) for r in second.records()]


def test_the_whole_of_it_has_at_most_4_megabytes(path):
    size = sum(file.stat().st_size for file in path.iterdir())
    assert size / FRAMES * sample.FRAMES < 4e6
    assert sample.FRAMES / sample.RATE == 10


def test_it_is_never_written_over(path, capsys):
    assert sample.main([str(path)]) == 2
    assert 'exists already' in capsys.readouterr().err
