# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Recordings against the data set evaluator on the same frames, and recordings that are bad."""

from dataclasses import replace
import json

from bags import (
    assert_same_metrics,
    by_dataset,
    COUNT,
    NYU5,
    run,
    write,
)
from jrn_perception.datasets import nyuv2
from jrn_perception.datasets.subsets import Selection
from jrn_perception.evaluation.measures.comparison import Protocol
from jrn_perception.evaluation.recordings.bag import evaluate_bag
from jrn_perception.evaluation.recordings.session import Request
from jrn_perception.labels import NYU40
from jrn_perception.messages.maps import QUANTISATION, REACH
from jrn_perception.perception import Perception
from jrn_perception.recordings.reader import Recording, RecordingError
from jrn_perception.recordings.writer import Writer
import numpy as np
import pytest

rosbag2 = pytest.importorskip('rosbags.rosbag2')
bag_document = pytest.importorskip('jrn_perception.evaluation.reports.bag_document').bag_document


@pytest.fixture(scope='module')
def shipped():
    return Perception.load('jrn', 'sum60', device='cpu', backend='torch')


@pytest.mark.parametrize('image, depth, labels, storage', [
    ('png', '16UC1', 'mono8', 'mcap'),
    ('rgb8', 'compressedDepth 16UC1', 'packed', 'sqlite3'),
    ('bgr8', '32FC1', 'mono8', 'mcap'),
])
def test_the_metrics_are_those_of_the_data_set_evaluator(perception, frames, tmp_path, image,
                                                         depth, labels, storage):
    protocol = Protocol(crop=(slice(5, 90), slice(3, 120)), max_depth=3.0)
    path = write(tmp_path / 'bag', frames, image, depth, labels, storage=storage)
    evaluation = run(perception, path, protocol=protocol)
    found = bag_document(evaluation, perception)
    assert evaluation.reasons == [] and evaluation.notes == []
    assert found['source']['with_depth'] == found['source']['with_labels'] == COUNT
    assert_same_metrics(found, by_dataset(perception, frames, protocol))


@pytest.mark.parametrize('depth', ['16UC1', 'compressedDepth 32FC1'])
def test_depth_to_the_rounding_of_its_encoding(perception, frames, tmp_path, depth):
    rng = np.random.default_rng(0)
    # Whole millimetres no more: 16UC1 has something to round.
    frames = [replace(frame, depth=frame.depth + rng.uniform(-5e-4, 5e-4, frame.depth.shape))
              for frame in frames]
    true = np.concatenate([frame.depth[np.isfinite(frame.depth)] for frame in frames])
    # Half a millimetre; or one step of A / d + B, which is cut off, so that read is what is
    # farther away: 1 / d' = 1 / d - 1 / A at the most. And what float32 has at 10 m.
    read = true + 5e-4 if depth == '16UC1' else 1 / (1 / true - 1 / (QUANTISATION ** 2
                                                                     + QUANTISATION))
    step = (read - true).max() + 1e-6
    ratio = (np.log(true) - np.log(2 * true - read)).max() + 1e-6
    found = bag_document(run(perception, write(tmp_path / 'bag', frames, depth=depth)),
                         perception)
    expected = by_dataset(perception, frames)['output']
    assert found['output']['pixels'] == expected['pixels'] and true.max() < REACH
    # Distances of predictions from the truth: no metric moves farther than the truth does.
    for name, bound in (('rms', step), ('rms_log', ratio), ('log10', ratio / np.log(10)),
                        ('rel', perception.card.depth_range[1] * np.expm1(ratio) / true.min())):
        value = expected['pooled'][name]['value']
        assert found['output']['pooled'][name] == pytest.approx(value, rel=0, abs=bound), name
        assert found['output']['pooled'][name] != value
        assert bound < 0.02 * value, name


def test_jpeg_moves_the_metrics_a_little(perception, frames, tmp_path):
    found = bag_document(run(perception, write(tmp_path / 'bag', frames, 'jpeg')), perception)
    expected = by_dataset(perception, frames)
    for name in ('rel', 'rms', 'log10', 'rms_log'):
        value = expected['output']['pooled'][name]['value']
        assert found['output']['pooled'][name] == pytest.approx(value, rel=0.1)
        assert found['output']['pooled'][name] != value


@pytest.mark.parametrize('network, count', [
    ('perception', 5), pytest.param('shipped', 100, marks=pytest.mark.slow)])
def test_real_frames_to_the_rounding_of_the_encodings(network, count, request, tmp_path, data_dir):
    perception = request.getfixturevalue(network)
    frames = Selection(nyuv2.NYUv2(data_dir / 'nyuv2', 'val'), range(count))
    protocol = Protocol(crop=nyuv2.CROP, max_depth=5.0)
    expected = by_dataset(perception, frames, protocol)
    compared = sum(np.count_nonzero(frame.depth[nyuv2.CROP] <= 5) for frame in frames)
    assert 0 < compared < count * 426 * 560 and expected['output']['pixels']['depth'] == compared
    names = tmp_path / 'names.json'
    names.write_text(json.dumps(dict(enumerate(NYU40.names))))
    for image, depth, info, label_map in (('png', '16UC1', NYU40, None),
                                          ('rgb8', '32FC1', None, names)):
        path = write(tmp_path / depth, frames, image, depth, info=info)
        evaluation = run(perception, path, protocol=protocol, label_map=label_map)
        assert evaluation.reasons == [] and evaluation.notes == []
        found = bag_document(evaluation, perception)
        assert found['source']['with_depth'] == found['source']['with_labels'] == count
        # PNG, raw pictures, mono8 and 32FC1 keep every value, and the depth of these frames is
        # whole millimetres, which 16UC1 keeps as well: what is left is the order in which
        # float64 is summed, 2^-53 for each of up to 10^8 summands.
        assert_same_metrics(found, expected, rel=1e-8)


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
@pytest.mark.parametrize('compression', ['MESSAGE', 'FILE'])
def test_compressed_recordings(perception, frames, tmp_path, storage, compression):
    plain = write(tmp_path / 'plain', frames, storage=storage)
    packed = tmp_path / 'packed'
    writer = Writer(packed, storage)
    writer._writer.set_compression(rosbag2.CompressionMode[compression],
                                   rosbag2.CompressionFormat.ZSTD)
    with Recording(plain) as recording, writer:
        writer.add_copy(plain, list(recording.topics))
        for record in recording.records():
            writer.write_copy(record.topic.name, record.stamp_ns, record.data)
    first, second = (bag_document(run(perception, path, image='/image'), perception)
                     for path in (plain, packed))
    assert first.pop('source') | {'recording': 'packed'} == second.pop('source')
    assert first == second


def test_twice_the_same_bytes_and_only_the_limit(perception, frames, tmp_path):
    path = write(tmp_path / 'bag', frames)
    documents = [json.dumps(bag_document(run(perception, path, limit=limit), perception))
                 for limit in (0, 0, 3)]
    assert documents[0] == documents[1]
    three = json.loads(documents[2])
    assert three['source']['frames'] == 3 and not three['partial']
    assert three['output']['pooled']['rms'] == pytest.approx(by_dataset(
        perception, frames[:3])['output']['pooled']['rms']['value'])


def test_what_is_reported_without_ground_truth(perception, frames, tmp_path):
    path = write(tmp_path / 'bag', frames, depth='', labels='', info=None)
    evaluation = evaluate_bag(perception, path, Request(worst=2, confidence=0.4))
    found = bag_document(evaluation, perception)
    assert not found['partial'] and 'output' not in found
    predictions = [perception(frame.rgb) for frame in frames]
    labels = np.stack([prediction.labels for prediction in predictions])
    confidence = np.stack([prediction.confidence for prediction in predictions])
    depth = np.stack([prediction.depth for prediction in predictions])
    low, high = predictions[0].depth_scale * np.array(perception.card.depth_range)
    depth = np.where((depth >= low) & (depth <= high), depth, np.nan)
    changed = [(one != other).mean() for one, other in zip(labels[1:], labels)]
    assert found['drift']['labels'] == {'mean': pytest.approx(np.mean(changed)), 'pairs': 3,
                                        'largest': pytest.approx(max(changed))}
    moved = [np.nanmedian(np.abs(one - other) / other) for one, other in zip(depth[1:], depth)]
    assert found['drift']['depth']['mean'] == pytest.approx(np.mean(moved), rel=1e-5)
    assert found['depth']['invalid_share'] == pytest.approx(np.isnan(depth).mean())
    assert found['semantics']['low_confidence_share'] == pytest.approx((confidence < 0.4).mean())
    assert found['semantics']['mean_confidence'] == pytest.approx(confidence.mean())
    shares = np.bincount(labels.reshape(-1), minlength=5) / labels.size
    assert found['semantics']['classes'] == pytest.approx(dict(zip(NYU5.names, shares)))
    rate = found['rates']['/image']
    assert (rate['messages'], rate['hz'], rate['period_s']['largest']) == (COUNT, 10.0, 0.1)
    assert set(found['worst']) == {'depth_drift', 'label_drift'}
    worst = found['worst']['label_drift']
    assert [item['value'] for item in worst] == sorted(changed)[:0:-1]
    assert worst[0]['frame'] == f'/image@1700000000.{100_000_000 * (1 + np.argmax(changed)):09d}'


def test_truth_that_is_there_but_not_named_is_noted(perception, frames, tmp_path):
    path = write(tmp_path / 'bag', frames[:1])
    assert evaluate_bag(perception, path).notes == [
        'not compared with /depth: name it with --depth if it is the truth',
        'not compared with /labels: name it with --labels if it is the truth']
    assert run(perception, path, labels='').notes == [
        'not compared with /labels: name it with --labels if it is the truth']
    assert run(perception, path).notes == []


def test_the_worst_frames_are_the_worst(perception, frames, tmp_path):
    found = bag_document(run(perception, write(tmp_path / 'bag', frames), worst=COUNT),
                         perception)
    single = [by_dataset(perception, [frame])['output']['pooled'] for frame in frames]
    for name, order in (('rel', -1), ('pixel_accuracy', 1)):
        expected = sorted((item[name]['value'] for item in single), key=lambda v: order * v)
        assert [item['value'] for item in found['worst'][name]] == pytest.approx(expected)


def test_truth_is_paired_within_the_tolerance(perception, frames, tmp_path):
    path = write(tmp_path / 'bag', frames, late=20_000_000)
    near = run(perception, path, tolerance_s=0.025)
    assert near.totals.with_truth == {'depth': COUNT, 'labels': COUNT} and not near.reasons
    far = run(perception, path, tolerance_s=0.015)
    assert far.totals.with_truth == {'depth': 0, 'labels': 0}
    assert far.reasons == ['/depth: none within 0.015 s of any picture',
                           '/labels: none within 0.015 s of any picture']
    assert 'output' not in bag_document(far, perception)


def test_truth_of_another_size_is_taken_by_the_nearest_pixel(perception, frames, tmp_path):
    large = [replace(frame, depth=frame.depth.repeat(2, 0).repeat(2, 1),
                     labels=frame.labels.repeat(3, 0).repeat(3, 1)) for frame in frames]
    evaluation = run(perception, write(tmp_path / 'bag', large))
    assert evaluation.notes == [
        '/depth is 256x192, the pictures are 128x96: compared by the nearest pixel',
        '/labels is 384x288, the pictures are 128x96: compared by the nearest pixel']
    assert evaluation.reasons == []
    assert_same_metrics(bag_document(evaluation, perception), by_dataset(perception, frames))


def test_truth_of_another_view_is_left_out_and_named(perception, frames, tmp_path):
    wide = [replace(frame, depth=frame.depth[:60]) for frame in frames]
    evaluation = run(perception, write(tmp_path / 'bag', wide))
    (reason,) = evaluation.reasons
    assert reason.startswith(f'{COUNT} messages of /depth were left out, one of them: /depth is '
                             '128x60, /image@1700000000.000000000 128x96: not the same view')
    assert evaluation.totals.with_truth == {'depth': 0, 'labels': COUNT}


def test_labels_by_file_and_ids_without_a_name(perception, frames, tmp_path):
    path = write(tmp_path / 'bag', frames, info=None)
    with pytest.raises(RecordingError, match='no topics of LabelInfo that could belong to /label'):
        run(perception, path)
    names = {str(index): name for index, name in enumerate(NYU40.names)}
    floor = str(NYU40.names.index('wall'))
    del names[floor]
    (tmp_path / 'map.json').write_text(json.dumps(names | {'77': 'unicorn'}))
    evaluation = run(perception, path, label_map=tmp_path / 'map.json')
    assert evaluation.notes == [
        f'/labels has id {floor}, which has no name: not compared',
        'classes that nyu40 does not have are not compared: unicorn']
    without = [replace(frame, labels=np.where(frame.labels == int(floor), np.uint8(255),
                                              frame.labels)) for frame in frames]
    assert_same_metrics(bag_document(evaluation, perception), by_dataset(perception, without))


def test_a_network_of_one_task(frames, tmp_path):
    depth = Perception.load('depth', 'mobilenetv2', weights_file='random', device='cpu',
                            height=64)
    found = bag_document(run(depth, write(tmp_path / 'bag', frames), labels=''), depth)
    assert 'semantics' not in found and 'inputs' not in found
    assert found['output']['pooled']['mean_iou'] is None
    assert found['output']['pooled']['rms'] > 0
    assert found['drift']['labels'] == {'mean': None, 'largest': None, 'pairs': 0}
