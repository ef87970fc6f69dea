# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Ground truth as people record it: damaged, in other units, beside a grey camera, of ROS 1."""

from contextlib import closing
from dataclasses import replace
import sqlite3

from bags import assert_same_metrics, by_dataset, COUNT, NYU5, PERIOD, rosbag2, run, START, write
from jrn_perception.evaluation.measures.comparison import Protocol
from jrn_perception.evaluation.recordings.bag import evaluate_bag
from jrn_perception.evaluation.recordings.record import record, RecordRequest
from jrn_perception.evaluation.recordings.scored import score
from jrn_perception.evaluation.recordings.session import Predicted, Request
from jrn_perception.labels import NYU40
from jrn_perception.messages.label_info import LABEL_INFO
from jrn_perception.recordings.reader import IMAGE, Recording, Span
from jrn_perception.recordings.writer import Writer
import numpy as np
import pytest

bag_document = pytest.importorskip('jrn_perception.evaluation.reports.bag_document').bag_document
rosbag1 = pytest.importorskip('rosbags.rosbag1')


def damage(path, topic, index, data):
    with closing(sqlite3.connect(path / 'bag.db3')) as database, database:
        database.execute(
            'UPDATE messages SET data = ? WHERE timestamp = ? AND topic_id = '
            '(SELECT id FROM topics WHERE name = ?)', (data, START + index * PERIOD, topic))


@pytest.mark.parametrize('index, data', [
    (0, b'\0\1\0\0'), (1, b'\0\1\0\0' + bytes(20)), (1, b'\0\1\0\0' + b'\x7f' * 9),
    (COUNT - 1, b'\xff' * 40)])
def test_a_damaged_message_is_left_out_wherever_it_stands(perception, frames, tmp_path, index,
                                                          data):
    path = write(tmp_path / 'bag', frames, storage='sqlite3')
    damage(path, '/image', index, data)
    damage(path, '/depth', index, data)
    damage(path, '/labels', index, data)
    evaluation = run(perception, path)
    assert evaluation.totals.frames == COUNT - 1 and evaluation.totals.num_damaged == 1
    reasons = evaluation.reasons
    assert [reason.partition(',')[0] for reason in reasons] == [
        '1 pictures were left out', '1 messages of /depth were left out',
        '1 messages of /labels were left out']
    whole = [frame for place, frame in enumerate(frames) if place != index]
    assert_same_metrics(bag_document(evaluation, perception), by_dataset(perception, whole))
    # The damaged messages are copied without results.
    written = record(perception, path, tmp_path / 'out', RecordRequest(namespace='/jrn'))
    assert written.frames == COUNT - 1
    assert written.reasons[0].startswith('1 pictures have no results, the first: /image at ')


def thousandfold(topic, index, msg):
    if topic == '/depth':
        msg.data = (msg.data.view(np.float32) * 1000).view(np.uint8)
    return msg


def test_true_depth_in_other_units_is_said_and_scaled(perception, frames, tmp_path):
    path = write(tmp_path / 'bag', frames, depth='32FC1', change=thousandfold)
    wrong = run(perception, path)
    note, = (note for note in wrong.notes if 'median' in note)
    assert note.startswith('/depth: the median of the true depth is ')
    assert 'is it in other units?; --depth-scale 0.001 makes it' in note
    right = run(perception, path, depth_scale=0.001)
    assert not [note for note in right.notes if 'median' in note]
    found = bag_document(right, perception)
    assert found['protocol']['depth_scale'] == 0.001
    expected = run(perception, write(tmp_path / 'metres', frames, depth='32FC1'))
    assert not [note for note in expected.notes if 'median' in note]
    for name, values in expected.totals.output.images.items():
        assert list(right.totals.output.images[name]) == pytest.approx(list(values), rel=1e-4)
    with pytest.raises(ValueError, match='depth scale 0: a positive number'):
        Request(depth_scale=0)


@pytest.mark.parametrize('kind', ['16UC1', '32FC1'])
@pytest.mark.parametrize('flagged', [False, True])
def test_a_wrong_order_of_bytes_is_said(perception, frames, tmp_path, kind, flagged):
    def swap(topic, index, msg):
        if topic == '/depth':
            # Either the flag is wrong, or flag and data agree.
            msg.is_bigendian = 1
            if not flagged:
                msg.data = msg.data.view(np.uint16 if kind == '16UC1' else np.uint32).byteswap(
                    ).view(np.uint8)
        return msg

    evaluation = run(perception, write(tmp_path / 'bag', frames, depth=kind, change=swap))
    text = '/depth: its is_bigendian seems wrong: depth is smooth in the other order of bytes'
    assert (text in evaluation.notes) is flagged


def test_a_grey_camera_beside_grey_labels(perception, frames, tmp_path):
    def grey(topic, index, msg):
        if topic == '/image':
            msg.encoding, msg.step = 'mono8', msg.width
            msg.data = np.ascontiguousarray(msg.data.reshape(-1, 3)[:, 1])
        return msg

    path = write(tmp_path / 'bag', frames, image='rgb8', change=grey)
    evaluation = run(perception, path)
    assert evaluation.topics['image'].name == '/image'
    assert evaluation.totals.frames == COUNT and evaluation.reasons == []
    with pytest.raises(ValueError, match='2 topics of pictures, name one of'):
        evaluate_bag(perception, path, Request())


def test_a_part_of_a_recording(perception, frames, tmp_path):
    path = write(tmp_path / 'bag', frames)
    evaluation = run(perception, path, span=Span(PERIOD / 1e9, 2 * PERIOD / 1e9))
    assert evaluation.reasons == []
    found = bag_document(evaluation, perception)
    assert_same_metrics(found, by_dataset(perception, frames[1:3]))
    assert (found['protocol']['start_s'], found['protocol']['duration_s']) == (0.1, 0.2)
    record(perception, path, tmp_path / 'out', RecordRequest(namespace='/jrn', span=Span(0.2)))
    with Recording(tmp_path / 'out') as recording:
        assert recording.topic('/image').count == recording.topic('/jrn/semantics').count == 2


def test_a_recording_of_ros_1(perception, frames, tmp_path):
    from rosbags.convert.converter import convert
    path, bag = write(tmp_path / 'bag', frames, image='rgb8'), tmp_path / 'run.bag'
    convert([path], bag, dst_storage='', dst_version=8, compress='lz4', compress_mode='',
            default_typestore=None, typestore=None, exclude_topics=['/label_info'],
            include_topics=[], exclude_msgtypes=[], include_msgtypes=[])
    evaluation = run(perception, bag, labels='')
    expected = run(perception, path, labels='')
    assert evaluation.reasons == []
    for name, values in expected.totals.output.images.items():
        np.testing.assert_array_equal(evaluation.totals.output.images[name], values)
    written = record(perception, bag, tmp_path / 'out', RecordRequest(namespace='/jrn'))
    assert (written.frames, written.reasons, written.left_out) == (COUNT, [], [])
    with Recording(tmp_path / 'out') as new, Recording(path) as old:
        assert [frame.stamp_ns for frame in new.frames('/image')] == [
            frame.stamp_ns for frame in old.frames('/image')]
        assert new.topic('/depth').count == COUNT


def test_a_writer_of_results_needs_no_copy_of_unknown_types(tmp_path):
    with rosbag2.Writer(tmp_path / 'bag', version=9) as writer:
        topic = writer.add_connection('/own', 'my/msg/Own', msgdef='int32 a\n', rihs01='RIHS01_x')
        writer.write(topic, 1, b'\0\1\0\0' + bytes(4))
    with Recording(tmp_path / 'bag') as recording, Writer(tmp_path / 'copy') as writer:
        assert writer.add_copy(recording, ['/own']) == []
        assert recording.decode(next(recording.records())).a == 0


# --- recorded predictions -----------------------------------------------------------------------

def test_recorded_predictions_are_measured_without_a_network(perception, frames, tmp_path):
    path = write(tmp_path / 'bag', frames)
    record(perception, path, tmp_path / 'out', RecordRequest(namespace='/jrn',
                                                             focal_correction=False))
    predicted = Predicted('/jrn/depth', '/jrn/semantics')
    found = score(tmp_path / 'out', Request(depth='/depth', labels='/labels',
                                            predicted=predicted))
    assert found.reasons == [] and found.totals.frames == COUNT
    assert found.network.label_set.names == perception.label_set.names
    expected = run(perception, path, protocol=Protocol(focal_correction=False))
    images = found.totals.output.images
    for name in ('pixel_accuracy', 'mean_iou'):
        np.testing.assert_array_equal(images[name], expected.totals.output.images[name])
    # The network's depth is recorded inside its limits alone.
    for place, frame in enumerate(frames):
        depth = perception(frame.rgb).valid_depth()
        known = np.isfinite(frame.depth) & np.isfinite(depth)
        error = np.abs(depth - frame.depth)[known] / frame.depth[known]
        assert images['rel'][place] == pytest.approx(error.mean(), rel=1e-4)
    assert found.totals.drift['labels'] == pytest.approx(
        list(expected.totals.drift['labels']), nan_ok=True)
    document = bag_document(found, found.network)
    assert document['network']['architecture'] == 'recorded'
    assert document['semantics']['mean_confidence'] is None
    # One of both, and truth of one's own.
    alone = score(tmp_path / 'out', Request(labels='/labels', predicted=Predicted(
        labels='/jrn/semantics')))
    np.testing.assert_array_equal(alone.totals.output.images['mean_iou'], images['mean_iou'])
    assert np.isnan(alone.totals.output.images['rel']).all()
    with pytest.raises(ValueError, match='need a topic each'):
        score(path, Request(depth='/depth', predicted=Predicted('/depth')))


def test_pixels_without_a_prediction_are_counted(frames, tmp_path):
    shifted = [replace(frame, rgb=None, depth=np.float32(1.25) * frame.depth) for frame in frames]
    with Writer(tmp_path / 'bag') as writer:
        writer.add('/mine', IMAGE)
        writer.add('/depth', IMAGE)
        for index, (frame, other) in enumerate(zip(frames, shifted)):
            stamp = START + index * PERIOD
            depth = other.depth.copy()
            depth[:, :10] = np.nan
            for topic, values in (('/depth', frame.depth), ('/mine', depth)):
                header = writer.header(stamp, '')
                writer.write(topic, stamp, writer.image(header, values, '32FC1'))
    found = score(tmp_path / 'bag', Request(depth='/depth', predicted=Predicted('/mine')))
    assert found.totals.output.images['rel'] == pytest.approx([0.25] * COUNT, rel=1e-5)
    missing = sum(np.isfinite(frame.depth[:, :10]).sum() for frame in frames)
    assert f'{missing} pixels have a true depth but no predicted depth' in ' '.join(found.notes)
    with pytest.raises(ValueError, match="no messages of '/nothing'"):
        score(tmp_path / 'bag', Request(depth='/depth', predicted=Predicted('/nothing')))


def test_predicted_classes_are_folded_for_the_comparison(tmp_path):
    with Writer(tmp_path / 'both') as writer:
        for topic, kind in (('/truth', IMAGE), ('/mine', IMAGE), ('/label_info', LABEL_INFO)):
            writer.add(topic, kind)
        writer.write('/label_info', START, writer.label_info(writer.header(START, ''), NYU40))
        wall, window = (NYU40.names.index(name) for name in ('wall', 'window'))
        for index in range(2):
            stamp = START + index * PERIOD
            header = writer.header(stamp, '')
            for topic, value in (('/truth', wall), ('/mine', window)):
                writer.write(topic, stamp, writer.image(
                    header, np.full((24, 32), value, np.uint8), 'mono8'))
    predicted = Predicted(labels='/mine')
    fine = score(tmp_path / 'both', Request(labels='/truth', predicted=predicted))
    assert list(fine.totals.output.images['pixel_accuracy']) == [0, 0]
    coarse = score(tmp_path / 'both', Request(
        labels='/truth', predicted=predicted, protocol=Protocol(labels=NYU5)))
    # Both are vertical.
    assert list(coarse.totals.output.images['pixel_accuracy']) == [100, 100]
    assert bag_document(coarse, coarse.network)['semantics']['classes']['vertical'] == 1
