# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Evaluation of recordings that are damaged, break off, or do not fit the request."""

from dataclasses import replace
import os
import weakref

from bags import (
    assert_same_metrics,
    by_dataset,
    COUNT,
    message,
    NYU5,
    PERIOD,
    run,
    START,
    write,
)
from jrn_perception.evaluation.measures.comparison import Protocol
from jrn_perception.evaluation.recordings import bag
from jrn_perception.evaluation.recordings.bag import evaluate_bag
from jrn_perception.evaluation.recordings.session import Request
from jrn_perception.evaluation.recordings.totals import Measured
from jrn_perception.messages.label_info import LABEL_INFO
from jrn_perception.recordings.reader import IMAGE, RecordingError
from jrn_perception.recordings.writer import Writer
import numpy as np
import pytest

rosbag2 = pytest.importorskip('rosbags.rosbag2')
bag_document = pytest.importorskip('jrn_perception.evaluation.reports.bag_document').bag_document


def cut_off(topic, index, msg):
    """Cut the picture and the depth of frame 1 in half, and depth of frame 2."""
    if (topic, index) in (('/image', 1), ('/depth', 1), ('/depth', 2)):
        msg.data = msg.data[:len(msg.data) // 2]
    return msg


def test_damaged_pictures_and_truth_are_named_and_counted(perception, frames, tmp_path):
    path = write(tmp_path / 'bag', frames, change=cut_off)
    evaluation = run(perception, path)
    found = bag_document(evaluation, perception)
    assert found['partial'] and found['source']['frames'] == COUNT - 1
    assert found['source']['damaged']['count'] == 1
    assert found['source']['damaged']['first'][0].startswith(
        '/image@1700000000.100000000: the data is cut off after')
    pictures, truth = evaluation.reasons
    assert pictures.startswith('1 pictures were left out, the first: /image@1700000000.100000000:')
    assert truth.startswith('1 messages of /depth were left out, one of them: /depth for '
                            '/image@1700000000.200000000: the data has')
    # Frame 1 is not there: between 0 and 2 there is no drift.
    assert found['drift']['labels']['pairs'] == 1
    whole = [frames[0], replace(frames[2], depth=None), frames[3]]
    assert_same_metrics(found, by_dataset(perception, whole))


def test_stamps_that_go_backwards_end_it(perception, frames, tmp_path):
    def loop(topic, index, msg):
        if index == 3:
            msg.header.stamp.sec -= 10
        return msg

    evaluation = run(perception, write(tmp_path / 'bag', frames, change=loop))
    (reason,) = evaluation.reasons
    assert reason == (f'{tmp_path}/bag: /depth: stamp 1699999990.300000000 goes back by 9.900 s; '
                      'later messages were left out')
    assert_same_metrics(bag_document(evaluation, perception), by_dataset(perception, frames[:3]))


@pytest.mark.parametrize('unstamped', [['/depth', '/labels', '/image'], ['/depth']])
def test_what_is_not_stamped_cannot_be_paired(perception, frames, tmp_path, unstamped):
    def change(topic, index, msg):
        if topic in unstamped:
            msg.header.stamp.sec = msg.header.stamp.nanosec = 0
        return msg

    path = write(tmp_path / 'bag', frames, change=change)
    evaluation = run(perception, path)
    missing = [topic for topic in ('/depth', '/labels') if topic in unstamped]
    assert evaluation.reasons == [
        *(f'{COUNT} messages of {topic} are not stamped (0): they cannot be paired'
          for topic in unstamped),
        *(f'{topic}: none within 0.017 s of any picture' for topic in missing)]
    assert evaluation.totals.with_truth == {
        role: 0 if f'/{role}' in missing else COUNT for role in ('depth', 'labels')}
    assert evaluation.totals.frames == COUNT and bag_document(evaluation, perception)['partial']
    # Alone they are as good as others.
    assert evaluate_bag(perception, path, Request(image='/image')).reasons == []


def test_a_recording_that_breaks_off_keeps_what_was_there(perception, frames, tmp_path):
    path = tmp_path / 'bag'
    writer = Writer(path)
    writer._writer.set_compression(rosbag2.CompressionMode.MESSAGE,
                                   rosbag2.CompressionFormat.ZSTD)
    with writer:
        writer.add('/image', IMAGE)
        for index, frame in enumerate(frames):
            stamp = START + index * PERIOD
            writer.write('/image', stamp, message(writer, 'rgb8', frame, stamp))
    file = path / 'bag.mcap'
    zstd = b'\x28\xb5\x2f\xfd'
    first, *messages = file.read_bytes().split(zstd)
    assert len(messages) == COUNT
    messages[2] = b'gone' + messages[2][4:]
    file.write_bytes(zstd.join([first, *messages]))
    found = bag_document(evaluate_bag(perception, path), perception)
    assert found['partial'] and found['source']['frames'] == 2
    assert f'{path}: damaged after 2 of 4 messages' in found['reason']


@pytest.mark.parametrize('request_, text', [
    ({'image': '/nothing'}, "no image topic '/nothing'"),
    ({'depth': '/nothing'}, "no messages of '/nothing'"),
    ({'depth': '/label_info'}, '/label_info is vision_msgs/msg/LabelInfo; depth is an Image'),
    ({'image': '/image', 'depth': '/image'}, 'need a topic each'),
    ({'image': '/depth'}, "could be evaluated: /depth@1700000000.000000000: encoding '16UC1'"),
    ({'limit': -1}, 'limit -1'),
    ({'tolerance_s': -1}, 'tolerance -1'),
    ({'labels': '', 'protocol': Protocol(labels=NYU5)}, 'the data set has no labels'),
    ({'protocol': Protocol(crop=(slice(0, 999), slice(0, 10)))}, 'does not fit a picture'),
])
def test_requests_that_do_not_fit(perception, frames, tmp_path, request_, text):
    path = write(tmp_path / 'bag', frames[:2])
    with pytest.raises(ValueError) as caught:
        run(perception, path, **({'depth': ''} if 'image' in request_ else {}) | request_)
    assert text in str(caught.value) and '\n' not in str(caught.value)


def test_two_image_topics_and_none_named(perception, frames, tmp_path):
    with Writer(tmp_path / 'bag') as writer:
        for topic in ('/left', '/right'):
            writer.add(topic, IMAGE)
            writer.write(topic, START, message(writer, 'rgb8', frames[0], START))
    with pytest.raises(RecordingError, match='2 topics of pictures, name one of: /left'):
        evaluate_bag(perception, tmp_path / 'bag')
    one = evaluate_bag(perception, tmp_path / 'bag', Request(image='/right'))
    assert one.totals.frames == 1 and np.isnan(one.totals.drift['labels']).all()


def test_recordings_without_pictures(perception, tmp_path):
    with Writer(tmp_path / 'empty') as writer:
        writer.add('/image', IMAGE)
    with pytest.raises(RecordingError, match='no image topic among no messages at all'):
        evaluate_bag(perception, tmp_path / 'empty')
    with Writer(tmp_path / 'other') as writer:
        writer.add('/label_info', LABEL_INFO)
        writer.write('/label_info', START, writer.label_info(writer.header(START, ''), NYU5))
    with pytest.raises(RecordingError, match='no image topic among /label_info'):
        evaluate_bag(perception, tmp_path / 'other')


def test_what_is_kept_does_not_grow_with_the_recording(perception, frames, tmp_path, monkeypatch):
    alive, counts = weakref.WeakSet(), []

    class Counted(Measured):
        """One that is counted while it lives."""

        def __init__(self, *arguments):
            super().__init__(*arguments)
            alive.add(self)

    def track(items, total):
        assert total == 30 * COUNT
        for item in items:
            counts.append(len(alive))
            yield item

    monkeypatch.setattr(bag, 'Measured', Counted)
    path = write(tmp_path / 'bag', frames * 30, labels='', info=None)
    evaluation = evaluate_bag(perception, path, Request(depth='/depth', worst=1), track)
    assert evaluation.totals.frames == len(counts) == 30 * COUNT
    # Predictions measured behind, and the worst of four measures; not the 120 of them.
    assert 0 < max(counts) <= 5 * max(2, os.cpu_count()) + 8 < 30 * COUNT or os.cpu_count() > 20
