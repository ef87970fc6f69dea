# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Recordings whose results any viewer shows, and files of the viewer Rerun."""

import builtins

from jrn_perception import drawing
from jrn_perception.evaluation.recordings.record import record, RecordRequest
from jrn_perception.labels import NYU5
from jrn_perception.messages.camera_info import Intrinsics
from jrn_perception.messages.images import to_millimetres, to_rgb
from jrn_perception.messages.lens import rays
from jrn_perception.perception import Perception
from jrn_perception.recordings.reader import Recording, RecordingError
from jrn_perception.sources import sample
import numpy as np
import pytest

pytest.importorskip('rosbags')

COUNT, SIZE = 3, (48, 64)
COLOURS = ('depth_color', 'semantics_color', 'overlay')


@pytest.fixture(scope='module')
def bag(tmp_path_factory):
    path = tmp_path_factory.mktemp('viewers') / 'bag'
    sample.write_sample(path, COUNT, size=SIZE)
    return path


@pytest.fixture(scope='module')
def expected(perception, bag):
    """Return the frames and what a recording of results must hold of them."""
    with Recording(bag) as recording:
        frames = list(recording.frames())
    return [(frame, perception(frame.rgb, focal_length=frame.focal_length)) for frame in frames]


def pictures(path, topic):
    with Recording(path) as recording:
        return [to_rgb(recording.decode(item)) for item in recording.records([topic])]


def test_colours_are_pictures_that_any_viewer_shows(perception, bag, expected, tmp_path):
    output = tmp_path / 'out'
    written = record(perception, bag, output, RecordRequest(
        namespace='/jrn', colours=True, colour_range=(1, 4), confidence_threshold=0.35))
    assert {f'/jrn/{name}' for name in COLOURS} <= set(written.topics)
    assert written.colour_range == (1, 4) and not written.clouds
    found = {name: pictures(output, f'/jrn/{name}') for name in COLOURS}
    for index, (frame, prediction) in enumerate(expected):
        labels = prediction.confident_labels(0.35)
        np.testing.assert_array_equal(found['depth_color'][index], drawing.colourise_depth(
            prediction.valid_depth(), 1, 4))
        np.testing.assert_array_equal(found['semantics_color'][index], NYU5.palette()[labels])
        np.testing.assert_array_equal(found['overlay'][index],
                                      drawing.overlay(frame.rgb, labels, NYU5))
    with Recording(output) as recording:
        message = recording.decode(recording.first(recording.topic('/jrn/overlay')))
        assert (message.encoding, message.step) == ('rgb8', 3 * SIZE[1])
        assert message.header.frame_id == sample.FRAME_ID
        # Four topics of pictures: the next command asks which one is the camera's.
        with pytest.raises(RecordingError, match='4 topics of pictures, name one of'):
            recording.image_topic()


def test_colours_have_the_range_of_the_network_by_default(perception, bag, expected, tmp_path):
    written = record(perception, bag, tmp_path / 'out', RecordRequest(colours=True))
    assert written.colour_range == perception.card.depth_range
    np.testing.assert_array_equal(
        pictures(tmp_path / 'out', '/depth_color')[0],
        drawing.colourise_depth(expected[0][1].valid_depth(), *perception.card.depth_range))


def test_a_network_without_classes_has_the_colours_of_depth(bag, tmp_path):
    single = Perception.load('depth', weights_file='random', device='cpu', height=64)
    written = record(single, bag, tmp_path / 'out', RecordRequest(colours=True))
    assert '/depth_color' in written.topics
    assert not {'/semantics_color', '/overlay'} & set(written.topics)


@pytest.mark.parametrize('options, text', [
    ({'colour_range': (4, 1)}, 'colours from 4 to 1 m: two numbers'),
    ({'colour_range': (-1, 1)}, 'colours from -1 to 1 m'),
    ({'colours': True, 'topics': ['/overlay']}, "no messages of '/overlay'"),
])
def test_mistakes_in_colours_leave_nothing_behind(perception, bag, tmp_path, options, text):
    with pytest.raises(ValueError, match=text):
        record(perception, bag, tmp_path / 'out', RecordRequest(**options))
    assert not (tmp_path / 'out').exists()


def test_results_with_colours_are_not_overwritten(perception, bag, tmp_path):
    record(perception, bag, tmp_path / 'out', RecordRequest(colours=True))
    request = RecordRequest([sample.IMAGE_TOPIC, '/overlay'], sample.IMAGE_TOPIC, colours=True)
    with pytest.raises(RecordingError, match='has /overlay already; choose another --namespace'):
        record(perception, tmp_path / 'out', tmp_path / 'again', request)


def test_a_missing_extra_is_named_before_anything_is_written(
        perception, bag, tmp_path, monkeypatch):
    imported = builtins.__import__

    def without_rerun(name, *arguments):
        if name == 'rerun':
            raise ImportError(name)
        return imported(name, *arguments)

    monkeypatch.setattr(builtins, '__import__', without_rerun)
    with pytest.raises(ImportError, match=r"needs rerun-sdk: pip install '.\[rerun\]'"):
        record(perception, bag, tmp_path / 'out', RecordRequest(rrd=tmp_path / 'out.rrd'))
    assert not list(tmp_path.iterdir())


def rows(path):
    """Return the rows of a Rerun file, as Rerun reads them: a list for each entity."""
    chunk = pytest.importorskip('rerun.chunk', reason='rerun-sdk needs Python 3.11')
    found = {}
    for part in chunk.RrdReader(path).stream():
        batch = part.to_record_batch()
        columns = {name: batch.column(name) for name in batch.schema.names}
        for index in range(part.num_rows):
            row = {'stamp': None} | {name.partition(':')[2] or name: (
                column[index].value if name in ('stamp', 'log_time') else column[index].as_py())
                for name, column in columns.items()}
            found.setdefault(part.entity_path, []).append(row)
    return {name: sorted(items, key=lambda row: row['stamp'] or 0)
            for name, items in found.items()}


def one(row, name):
    (value,) = row[name]
    return value


def array(row, dtype, shape):
    return np.frombuffer(bytes(one(row, 'buffer')), dtype).reshape(shape)


@pytest.mark.parametrize('encoding, dtype, unit', [('32FC1', np.float32, 1),
                                                   ('16UC1', np.uint16, 1000)])
def test_a_rerun_file_reads_back(perception, bag, expected, tmp_path, encoding, dtype, unit):
    path = tmp_path / 'folder' / 'out.rrd'
    pytest.importorskip('rerun')
    written = record(perception, bag, tmp_path / 'out', RecordRequest(
        depth_encoding=encoding, rrd=path, colour_range=(1, 4)))
    assert written.clouds == written.frames == COUNT
    found = rows(path)
    (context,) = found['/']
    classes = [item['class_description']['info'] for item in one(context, 'context')]
    assert [(item['id'], item['label']) for item in classes] == [
        *enumerate(NYU5.names), (255, 'unlabelled')]
    assert [item['color'] >> 8 for item in classes[:-1]] == [
        (red << 16) + (green << 8) + blue for red, green, blue in NYU5.colours]
    # The calibration does not change, so it is there once.
    (pinhole,) = found['/camera']
    matrix = expected[0][0].camera_matrix
    np.testing.assert_allclose(np.reshape(one(pinhole, 'image_from_camera'), (3, 3)).T, matrix)
    assert one(pinhole, 'resolution') == [64, 48]
    for index, (frame, prediction) in enumerate(expected):
        picture, depth, labels, points = (found[f'/{name}'][index] for name in (
            'camera/image', 'camera/depth', 'camera/semantics', 'points'))
        assert {row['stamp'] for row in (picture, depth, labels, points)} == {frame.stamp_ns}
        np.testing.assert_array_equal(array(picture, np.uint8, (*SIZE, 3)), frame.rgb)
        np.testing.assert_array_equal(array(labels, np.uint8, SIZE), prediction.labels)
        metres = prediction.valid_depth()
        np.testing.assert_array_equal(
            array(depth, dtype, SIZE), metres if unit == 1 else to_millimetres(metres))
        assert one(depth, 'meter') == unit
        assert one(depth, 'depth_range') == [unit, 4 * unit]
        x, y = rays(Intrinsics(*matrix[[0, 1, 0, 1], [0, 1, 2, 2]]), SIZE, 4)
        z = metres[::4, ::4]
        valid = np.isfinite(z)
        cloud = np.stack(np.broadcast_arrays(x * z, y * z, z), -1)[valid]
        np.testing.assert_allclose(points['positions'], cloud, rtol=1e-6)
        assert points['class_ids'] == prediction.labels[::4, ::4][valid].tolist()


def test_without_a_calibration_there_are_no_points(perception, tmp_path, bag):
    pytest.importorskip('rerun')
    topics = [sample.IMAGE_TOPIC]
    record(perception, bag, tmp_path / 'alone', RecordRequest(topics))
    written = record(perception, tmp_path / 'alone', tmp_path / 'out', RecordRequest(
        topics, sample.IMAGE_TOPIC, rrd=tmp_path / 'out.rrd'))
    assert (written.frames, written.clouds) == (COUNT, 0)
    found = rows(tmp_path / 'out.rrd')
    assert not {'/points', '/camera'} & set(found) and len(found['/camera/depth']) == COUNT


def test_points_need_no_correction_of_depth(perception, tmp_path, bag):
    pytest.importorskip('rerun')
    written = record(perception, bag, tmp_path / 'out', RecordRequest(
        focal_correction=False, rrd=tmp_path / 'out.rrd'))
    assert written.clouds == COUNT and not written.scales
