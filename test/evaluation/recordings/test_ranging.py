# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""A recorded range sensor corrects depth in an evaluation of a recording."""

from bags import PERIOD, run, START
from jrn_perception.evaluation.recordings.annotated import annotated
from jrn_perception.evaluation.recordings.session import Request
from jrn_perception.evaluation.reports import bag_document
from jrn_perception.evaluation.reports.rows import recording_tables
from jrn_perception.perception import Perception
from jrn_perception.recordings.reader import CAMERA_INFO, IMAGE, RecordingError
from jrn_perception.recordings.writer import typestore, Writer
from jrn_perception.rooms.scenes import camera_matrix
import numpy as np
import pytest

pytest.importorskip('rosbags.rosbag2')
CLOUD, SCAN, TF = ('sensor_msgs/msg/PointCloud2', 'sensor_msgs/msg/LaserScan',
                   'tf2_msgs/msg/TFMessage')
# A sensor 0.1 m to the right of the camera, whose x axis looks ahead: as on a robot.
AXES = np.array(((0., -1, 0), (0, 0, -1), (1, 0, 0)))
PLACE = np.array((0.1, 0, 0))
QUATERNION = 0.5, -0.5, 0.5, 0.5


@pytest.fixture(scope='module')
def network():
    """Return a network whose depth is constant, so that any point improves it."""
    perception = Perception.load('jrn', 'cat1', weights_file='random', device='cpu', height=64)
    infer = perception.infer

    def constant(*arguments):
        maps = infer(*arguments)
        maps.depth[:] = 2.0
        return maps

    perception.infer = constant
    return perception


def rays(frame):
    rows, columns = np.mgrid[:frame.depth.shape[0]:5, :frame.depth.shape[1]:5]
    matrix, z = camera_matrix(*frame.depth.shape), frame.depth[rows, columns]
    points = np.stack(((columns - matrix[0, 2]) / matrix[0, 0] * z,
                       (rows - matrix[1, 2]) / matrix[1, 1] * z, z), -1).reshape(-1, 3)
    return points[np.isfinite(points).all(1)]


def cloud(header, points):
    types = typestore().types
    fields = [types['sensor_msgs/msg/PointField'](axis, 4 * place, 7, 1)
              for place, axis in enumerate('xyz')]
    data = points.astype('<f4').reshape(-1).view(np.uint8)
    return types[CLOUD](header, 1, len(points), fields, False, 12, data.size, data, True)


def scan(header, points):
    flat = points[np.abs(points[:, 2]) < 0.05]
    angles = np.linspace(-0.5, 0.5, 41)
    ranges = np.full(41, np.inf, np.float32)
    for x, y, _ in flat:
        ranges[np.abs(angles - np.arctan2(y, x)).argmin()] = np.hypot(x, y)
    return typestore().types[SCAN](header, -0.5, 0.5, 0.025, 0.0, 0.0, 0.1, 20.0, ranges,
                                   np.zeros(0, np.float32))


def write(path, frames, kind, static=True, info=True):
    with Writer(path) as writer:
        types = typestore().types
        for topic, msgtype in (('/image', IMAGE), ('/depth', IMAGE), ('/camera_info', CAMERA_INFO),
                               ('/lidar', kind)):
            if info or topic != '/camera_info':
                writer.add(topic, msgtype)
        if static:
            writer.add('/tf_static', TF, latched=True)
            transform = types['geometry_msgs/msg/Transform'](
                types['geometry_msgs/msg/Vector3'](*PLACE),
                types['geometry_msgs/msg/Quaternion'](*QUATERNION))
            writer.write('/tf_static', START, types[TF]([
                types['geometry_msgs/msg/TransformStamped'](
                    writer.header(START, 'optical'), 'lidar', transform)]))
        for index, frame in enumerate(frames):
            stamp = START + index * PERIOD
            header, own = writer.header(stamp, 'optical'), writer.header(stamp, 'lidar')
            size = frame.depth.shape
            messages = {'/image': writer.image(header, frame.rgb, 'rgb8'),
                        '/depth': writer.image(header, frame.depth, '32FC1'),
                        '/camera_info': writer.camera_info(header, size, camera_matrix(*size))}
            points = (rays(frame) - PLACE) @ AXES
            if kind == IMAGE:
                messages['/lidar'] = messages['/depth']
            else:
                messages['/lidar'] = (cloud if kind == CLOUD else scan)(own, points)
            for topic, message in messages.items():
                if info or topic != '/camera_info':
                    writer.write(topic, stamp, message)
    return path


@pytest.mark.parametrize('kind, part', [(CLOUD, 0.5), (SCAN, 0.9), (IMAGE, 0.5)])
def test_depth_is_better_with_the_sensor(network, frames, tmp_path, kind, part):
    path = write(tmp_path / 'bag', frames, kind)
    evaluation = run(network, path, labels='', range_topic='/lidar')
    found = bag_document.bag_document(evaluation, network)
    ranged = found['range']
    assert evaluation.reasons == []
    assert (ranged['topic'], ranged['type'], ranged['frames']) == ('/lidar', kind, len(frames))
    old = found['output']['pooled']['rel']
    assert ranged['pooled']['rel'] < part * old
    assert ranged['gain']['rel'] == pytest.approx(ranged['pooled']['rel'] - old)
    assert ranged['drift']['pairs'] == len(frames) - 1
    table, = (table for table in recording_tables(found, {'stages_ms': {}})
              if table.title == 'range /lidar')
    assert [row[0] for row in table.rows][:3] == [
        'points that were used', 'points that were rejected',
        'median change of depth, frame to frame']


def test_the_pose_may_come_from_the_command_line(network, frames, tmp_path):
    path = write(tmp_path / 'bag', frames, CLOUD, static=False)
    with pytest.raises(RecordingError, match="does not connect 'lidar'.*--range-extrinsics"):
        run(network, path, labels='', range_topic='/lidar')
    pose = ' '.join(map(str, (*PLACE, *QUATERNION)))
    found = run(network, path, labels='', range_topic='/lidar', range_extrinsics=pose)
    assert found.ranged.frames == len(frames)


def test_without_a_camera_no_point_is_projected(network, frames, tmp_path):
    path = write(tmp_path / 'bag', frames, CLOUD, info=False)
    found = run(network, path, labels='', range_topic='/lidar')
    assert found.ranged.frames == 0
    assert any('without the camera_info' in note for note in found.notes)


def test_the_true_depth_may_be_the_sensor_and_pictures_may_not(network, frames, tmp_path):
    path = write(tmp_path / 'bag', frames, CLOUD)
    found = run(network, path, labels='', range_topic='/depth')
    assert found.ranged.frames == len(frames)
    with pytest.raises(RecordingError, match='a range topic is'):
        run(network, path, labels='', range_topic='/camera_info')


@pytest.mark.parametrize('kind, least', [(CLOUD, 100), (SCAN, 10)])
def test_points_are_the_sparse_depth_of_annotated_frames(network, frames, tmp_path, kind, least):
    path = write(tmp_path / 'bag', frames, kind)
    with annotated(network, path, Request(depth='/lidar')) as found:
        got = list(found)
    assert (len(got), found.left_out, found.faults) == (len(frames), 0, [])
    for frame, truth in zip(got, frames):
        known = np.isfinite(frame.depth)
        assert frame.depth.shape == truth.depth.shape and known.sum() >= least
        assert frame.camera_matrix is not None
        ratio = frame.depth[known] / truth.depth[known]
        assert np.mean(np.abs(ratio - 1) < 0.05) > 0.9


def test_annotated_frames_need_the_pose_and_the_camera_of_points(network, frames, tmp_path):
    path = write(tmp_path / 'bag', frames, CLOUD, static=False)
    with pytest.raises(RecordingError, match="does not connect 'lidar'"), \
            annotated(network, path, Request(depth='/lidar')):
        pass
    pose = ' '.join(map(str, (*PLACE, *QUATERNION)))
    with annotated(network, path, Request(depth='/lidar', range_extrinsics=pose)) as found:
        assert len(list(found)) == len(frames)
    with pytest.raises(ValueError, match='/depth is no point cloud'), \
            annotated(network, path, Request(depth='/depth', range_extrinsics=pose)):
        pass
    blind = write(tmp_path / 'blind', frames, CLOUD, info=False)
    with annotated(network, blind, Request(depth='/lidar')) as found:
        assert not list(found)
    assert len(found.faults) == len(frames)
    assert 'without the camera_info' in found.faults[0]
