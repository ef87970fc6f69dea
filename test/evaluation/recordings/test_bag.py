# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Recordings against the data set evaluator on the same frames, and recordings that are bad."""

from dataclasses import replace
import json
import os
import weakref

import cv2
from jrn_perception.datasets import nyuv2
from jrn_perception.datasets.subsets import Selection
from jrn_perception.evaluation.measures.comparison import evaluate, Protocol
from jrn_perception.evaluation.recordings import bag
from jrn_perception.evaluation.recordings.bag import evaluate_bag
from jrn_perception.evaluation.recordings.session import Request
from jrn_perception.evaluation.recordings.totals import Measured
from jrn_perception.evaluation.reports.documents import dataset_document
from jrn_perception.labels import LABEL_SETS, NYU40
from jrn_perception.messages.label_info import LABEL_INFO
from jrn_perception.messages.maps import compress_depth, QUANTISATION, REACH
from jrn_perception.perception import Perception
from jrn_perception.recordings.reader import COMPRESSED, IMAGE, Recording, RecordingError
from jrn_perception.recordings.writer import Writer
from jrn_perception.rooms.scenes import Scene
import numpy as np
import pytest

rosbag2 = pytest.importorskip('rosbags.rosbag2')
bag_document = pytest.importorskip('jrn_perception.evaluation.reports.bag_document').bag_document

NYU5 = LABEL_SETS['nyu5']
START = 1_700_000_000_000_000_000
PERIOD = 10**8
COUNT = 4


@pytest.fixture(scope='module')
def shipped():
    return Perception.load('jrn', 'sum60', device='cpu')


@pytest.fixture(scope='module')
def frames():
    """Return a short walk with holes in the ground truth, its depth whole millimetres."""
    scene, found = Scene(3), []
    for index in range(COUNT):
        frame = scene.render(index / 10, 96, 128)
        depth = np.rint(frame.depth * 1000).astype(np.float32) / 1000
        depth[:9, :9] = np.nan
        labels = frame.labels.copy()
        labels[-9:] = 255
        found.append(replace(frame, depth=depth, labels=labels))
    return found


class Frames(list):
    """A data set."""

    labels = NYU40


def message(writer, kind, frame, stamp):
    header = writer.header(stamp, 'optical')
    if kind in ('rgb8', 'bgr8'):
        rgb = frame.rgb if kind == 'rgb8' else np.ascontiguousarray(frame.rgb[..., ::-1])
        return writer.image(header, rgb, kind)
    if kind in ('png', 'jpeg'):
        data = cv2.imencode(f'.{kind}', frame.rgb[..., ::-1])[1].tobytes()
        return writer.compressed(header, data, f'rgb8; {kind} compressed bgr8')
    if kind == '32FC1':
        return writer.image(header, frame.depth.astype(np.float32), kind)
    millimetres = np.nan_to_num(np.rint(frame.depth * 1000)).astype(np.uint16)
    if kind == '16UC1':
        return writer.image(header, millimetres, kind)
    if kind.startswith('compressedDepth'):
        encoding = kind.partition(' ')[2]
        return writer.compressed(header, compress_depth(frame.depth, encoding),
                                 f'{encoding}; compressedDepth png')
    if kind == 'mono8':
        return writer.image(header, frame.labels, kind)
    data = cv2.imencode('.png', frame.labels)[1].tobytes()
    return writer.compressed(header, data, 'mono8; png compressed ')


def write(path, frames, image='png', depth='16UC1', labels='mono8', info=NYU40, storage='mcap',
          compression=None, late=0, change=lambda topic, index, msg: msg):
    """Write frames as /image, /depth and /labels, ground truth ``late`` ns by its stamps."""
    kinds = {'/depth': depth, '/labels': labels, '/image': image}
    with Writer(path, storage) as writer:
        for topic, kind in kinds.items():
            if kind:
                raw = kind in ('rgb8', 'bgr8', '32FC1', '16UC1', 'mono8')
                writer.add(topic, IMAGE if raw else COMPRESSED)
        if info:
            writer.add('/label_info', LABEL_INFO, latched=True)
            writer.write('/label_info', START, writer.label_info(writer.header(START, ''), info))
        for index, frame in enumerate(frames):
            stamp = START + index * PERIOD
            for topic, kind in kinds.items():
                if kind:
                    own = stamp + (late if topic != '/image' else 0)
                    msg = change(topic, index, message(writer, kind, frame, own))
                    writer.write(topic, stamp, msg)
    return path


def run(perception, path, **request):
    values = {'depth': '/depth', 'labels': '/labels', **request}
    return evaluate_bag(perception, path, Request(**values))


def by_dataset(perception, frames, protocol=None):
    protocol = protocol or Protocol()
    found = frames if isinstance(frames, Selection) else Frames(frames)
    evaluation = evaluate(perception, found, protocol)
    return dataset_document(evaluation, perception, protocol, {'reader': 'test'})


def close(value, rel):
    """Return what compares with a number, None or a dict of these."""
    if isinstance(value, dict):
        return {key: close(item, rel) for key, item in value.items()}
    return value if value is None else pytest.approx(value, rel=rel)


def assert_same_metrics(found, expected, rel=1e-9):
    for side in ('output', 'inputs'):
        for part in ('pooled', 'per_image'):
            for name, value in found[side][part].items():
                assert value == close(expected[side][part][name]['value'], rel), name
        for name, part in found[side]['classes'].items():
            other = expected[side]['classes'][name]
            assert part == close(other | {'iou': other['iou']['value']}, rel), name
        assert found[side]['bins'] == close(expected[side]['bins'], rel)
        assert found[side]['pixels'] == expected[side]['pixels']
    for name, value in found['gain'].items():
        assert value == pytest.approx(expected['gain'][name]['value'], rel=1e-6, abs=1e-9)


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
