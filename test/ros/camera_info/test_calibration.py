# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""What is said where camera_info does not come, does not fit, or says nothing."""

from dataclasses import replace
from importlib import import_module

from jrn_perception import weights
import numpy as np
import pytest

pytest.importorskip('rclpy', reason="needs ROS 2 (pip install '.[ros]')")
calibration = import_module('jrn_perception.ros.camera_info.calibration')
CameraInfo = import_module('sensor_msgs.msg').CameraInfo
PointCloud2 = import_module('sensor_msgs.msg').PointCloud2
Time = import_module('builtin_interfaces.msg').Time
SIZE = 48, 64
K = [50.0, 0.0, 32.0, 0.0, 51.0, 24.0, 0.0, 0.0, 1.0]
CAUSES = {
    'none': (None, 'no camera_info has come', 'remap image_camera_info'),
    'another size': (CameraInfo(height=480, width=640, k=K),
                     'camera_info is for 640x480, the image is 64x48', 'remap image_camera_info'),
    'uncalibrated': (CameraInfo(height=48, width=64), 'K is 0', 'calibrate the camera')}
FIT = CameraInfo(height=48, width=64, k=K)


@pytest.fixture
def clock(monkeypatch):
    """Return the list whose one entry is the time of the module under test."""
    now = [5000.0]
    monkeypatch.setattr(calibration, 'monotonic', lambda: now[0])
    return now


class Camera:
    """Images of one size, their camera_info and the watch that pairs them."""

    def __init__(self):
        self.infos = calibration.CameraInfoBuffer()
        self.watch = calibration.CalibrationWatch(self.infos, '/front/info', '/front/points')

    def look(self, cloud=False, correction=True, size=SIZE):
        """Show an image; return what the watch says of it."""
        self.watch.match(calibration.ImageNeeds(Time(), size, cloud, correction))
        return self.watch.fault()


@pytest.fixture
def camera():
    return Camera()


# The words alone.


@pytest.mark.parametrize('cause', CAUSES)
def test_cause_effect_and_cure_are_told_when_the_fault_has_lasted(clock, camera, cause):
    info, reason, cure = CAUSES[cause]
    if info is not None:
        camera.infos.add(info)
    assert camera.look() == ''
    clock[0] += calibration.WAIT_S - 0.1
    assert camera.look() == ''
    clock[0] += 0.2
    text = camera.look()
    assert text.startswith('/front/info: ')
    assert reason in text
    assert 'depth is not corrected for the focal length' in text
    assert '/front/points' not in text
    assert text.split(': ')[-1].startswith(cure)
    assert text.endswith(', or set focal_correction to false')
    assert 'nothing is published on /front/points' in camera.look(cloud=True)
    camera.infos.add(FIT)
    assert camera.look(cloud=True) == ''


def test_a_camera_info_that_comes_late_leaves_no_fault(clock, camera):
    assert camera.look() == ''
    # Before the next picture.
    clock[0] += 100
    camera.infos.add(FIT)
    assert camera.watch.fault() == ''
    # Another resolution, whose camera_info is not here yet, has its own time.
    assert camera.look(size=(96, 128)) == ''
    clock[0] += calibration.WAIT_S
    assert 'camera_info is for 64x48' in camera.watch.fault()


def test_where_nothing_is_missing_nothing_is_said(clock, camera):
    for info in (None, CAUSES['uncalibrated'][0]):
        if info is not None:
            camera.infos.add(info)
        camera.look(correction=False)
        clock[0] += 100
        assert camera.look(correction=False) == ''
    # It comes out again with every picture, so it has to be of its size.
    camera = Camera()
    camera.infos.add(CAUSES['another size'][0])
    camera.look(correction=False)
    clock[0] += 100
    text = camera.look(correction=False)
    assert text.endswith("it is not passed on: remap image_camera_info to the camera's topic")


def test_before_the_first_picture_nothing_is_missing(clock, camera):
    assert camera.watch.fault() == ''
    clock[0] += 100
    assert camera.watch.fault() == ''


# Which camera_info belongs to an image.


def stamped(stamp, fx=50.0, height=48, width=64):
    info = CameraInfo(height=height, width=width, k=[fx, *K[1:]])
    info.header.stamp = Time(sec=stamp)
    return info


def found(infos, stamp):
    """Return the focal length found for an image with this stamp."""
    return infos.find(Time(sec=stamp), SIZE).k[0]


def test_the_camera_info_with_the_stamp_of_the_image_is_its_own():
    infos = calibration.CameraInfoBuffer()
    # Of another size, of an earlier and of a later frame: newer arrivals do not count.
    for info in (stamped(10, 1.0), stamped(11, 2.0), stamped(11, 9.0, 480, 640),
                 stamped(12, 3.0), stamped(9, 4.0)):
        infos.add(info)
    assert [found(infos, stamp) for stamp in (9, 10, 11, 12)] == [4.0, 1.0, 2.0, 3.0]


def test_without_that_stamp_the_latest_that_is_not_from_later_counts():
    infos = calibration.CameraInfoBuffer()
    # Published once, before the images.
    infos.add(stamped(5, 1.0))
    assert found(infos, 100) == 1.0
    # More rarely than the images; the last one was taken after a zoom.
    infos.add(stamped(50, 2.0))
    infos.add(stamped(150, 3.0))
    infos.add(stamped(150, 9.0, 480, 640))
    assert [found(infos, stamp) for stamp in (49, 100, 149, 151)] == [1.0, 2.0, 2.0, 3.0]


def test_stamps_of_another_clock_leave_the_latest_arrival_of_the_size():
    infos = calibration.CameraInfoBuffer()
    for info in (stamped(900, 1.0), stamped(800, 2.0), stamped(1000, 9.0, 480, 640)):
        infos.add(info)
    assert found(infos, 100) == 2.0
    # Of no such size: the one whose fault is told.
    assert infos.find(Time(sec=100), (1, 2)).k[0] == 9.0
    assert calibration.CameraInfoBuffer().find(Time(), SIZE) is None


def test_old_messages_leave_the_buffer():
    infos = calibration.CameraInfoBuffer()
    for stamp in range(1000):
        infos.add(stamped(stamp))
    assert len(infos.recent()) == calibration.KEPT
    assert infos.recent()[0].header.stamp.sec == 999


# On a running node whose network knows the focal length that it was trained with.


@pytest.fixture
def trained(tmp_path):
    """Return a weights file with a card that has a focal length."""
    loaded = weights.load('hydranet', weights='random')
    file = tmp_path / 'mine.safetensors'
    card = replace(loaded.card, input_size=(64, 96), focal_length=(60.0, 60.0),
                   depth_range=(0.001, 1000.0))
    weights.save(loaded.network, card, file)
    return str(file)


@pytest.mark.parametrize('cause', CAUSES)
def test_depth_that_is_not_corrected_is_a_warning(robot, tools, trained, cause):
    info, reason, _ = CAUSES[cause]
    robot.start(weights=trained)
    robot.camera()
    if info is not None:
        robot.calibrate(info.height, info.width, info.k)
    depth = robot.listen('depth')
    for _ in range(3):
        robot.ask(tools.picture(), depth)
    status = robot.status(lambda status: status.level == 1)
    assert reason in status.message
    assert '/image_camera_info: ' in status.message
    assert 'depth is not corrected for the focal length' in status.message
    assert status.message.endswith('or set focal_correction to false')
    assert status.count['frames_rejected'] == 0
    # Logged once, however many frames and statuses follow.
    robot.wait_for(lambda: robot.warnings(reason))
    for _ in range(3):
        robot.ask(tools.picture(), depth)
        robot.status()
    assert robot.warnings('camera_info') == [status.message]
    # Whoever wants it so gets it so.
    assert robot.configure(focal_correction=False).successful
    robot.ask(tools.picture(), depth)
    if cause != 'another size':
        assert robot.status(lambda status: status.level == 0).message == 'frames flow'
    assert robot.configure(focal_correction=True).successful
    robot.calibrate()
    robot.ask(tools.picture(), depth)
    assert robot.status(lambda status: status.level == 0).message == 'frames flow'


def test_camera_info_that_comes_after_the_first_pictures_is_in_time(robot, tools, trained,
                                                                    monkeypatch):
    monkeypatch.setattr(calibration, 'WAIT_S', 1000.0)
    robot.start(weights=trained)
    robot.camera()
    depth = robot.listen('depth')
    first = robot.ask(rgb := tools.picture(), depth)
    assert robot.status(lambda status: status.count['frames_processed']).level == 0
    robot.calibrate()
    monkeypatch.setattr(calibration, 'WAIT_S', 0.0)
    # Without another picture.
    assert [robot.status().level for _ in range(2)] == [0, 0]
    second = robot.ask(rgb, depth)
    assert bytes(second.data) != bytes(first.data)
    assert not robot.warnings('camera_info')


def test_no_fault_of_camera_info_while_no_image_is_read(robot, tools, trained):
    node = robot.start(weights=trained)
    robot.camera()
    depth = robot.listen('depth')
    robot.calibrate()
    robot.ask(tools.picture(), depth)
    assert robot.enable(False).success
    # Meanwhile the camera changes its resolution.
    for _ in range(calibration.KEPT):
        node.cameras[0].infos.add(CameraInfo(height=720, width=1280))
    for _ in range(3):
        robot.status()
    assert not robot.warnings('camera_info')
    assert robot.enable(True).success
    for _ in range(3):
        robot.status()
    assert not robot.warnings('camera_info')


def test_who_wants_no_depth_misses_no_focal_length(robot, tools, trained):
    robot.start(weights=trained)
    robot.camera()
    semantics = robot.listen('semantics')
    robot.ask(tools.picture(), semantics)
    status = robot.status(lambda status: status.count['frames_processed'])
    assert (status.level, status.message) == (0, 'frames flow')
    assert not robot.warnings('camera_info')


def test_limits_that_leave_nothing_at_this_focal_length_are_told(robot, tools, trained):
    robot.start(weights=trained, max_depth=2.0)
    robot.camera()
    depth, semantics = robot.listen('depth'), robot.listen('semantics')
    robot.calibrate(k=[2e5, 0, 32, 0, 2e5, 24, 0, 0, 1])
    robot.ask(tools.picture(), semantics)
    answer = robot.ask(tools.picture(), depth)
    assert np.isnan(tools.array_of(answer)).all()
    status = robot.status(lambda status: status.level == 1)
    # 0.001 m scaled by sqrt(2e5 * 96/64 / 60 * 2e5 * 64/48 / 60).
    assert 'no depth is valid: min_depth is 4.71 m and max_depth 2 m' in status.message
    assert 'scaled by 4.71e+03' in status.message
    warning, = robot.wait_for(lambda: robot.warnings('no depth is valid'))
    assert warning == status.message
    assert robot.configure(max_depth=0.0).successful
    robot.ask(tools.picture(), depth)
    assert robot.status(lambda status: status.level == 0).message == 'frames flow'


def test_each_frame_takes_the_camera_info_with_its_stamp(robot, tools, trained):
    # A camera that zooms: two K at one size, in turns, both published before their images.
    robot.start(weights=trained)
    robot.camera(qos=100)
    depth, clouds, infos = (robot.listen('depth'), robot.listen('points', PointCloud2),
                            robot.listen('camera_info', CameraInfo))
    calibration_ = robot.body.create_publisher(CameraInfo, 'image_camera_info', 100)
    robot.meet(calibration_)
    rgb, plain = tools.picture(seed=3), None
    headers = [robot.header() for _ in range(6)]
    focal_lengths = [(50.0, 200.0)[index % 2] for index in range(6)]
    for header, focal_length in zip(headers, focal_lengths):
        info = CameraInfo(height=48, width=64, k=[focal_length, 0, 32, 0, focal_length, 24, 0, 0,
                                                  1], header=header)
        calibration_.publish(info)
        robot.wait_for(lambda info=info: info in robot.node.cameras[0].infos.recent())
    # All six are there before the first image comes: the latest of the size is always 200.
    for header, focal_length in zip(headers, focal_lengths):
        message = tools.image_message(rgb, 'rgb8')
        message.header = header
        robot._publisher.publish(message)
        metres, cloud, info = robot.answers(header, depth, clouds, infos)
        assert info.k[0] == info.k[4] == focal_length
        metres = tools.array_of(metres)
        # 48x64 pictures, enlarged by 4/3 and 3/2 for the network, that knows 60 pixels.
        unscaled = metres / (focal_length / 60 * np.sqrt(1.5 * 4 / 3))
        plain = unscaled if plain is None else plain
        np.testing.assert_allclose(unscaled, plain, rtol=1e-5)
        points = tools.points_of(cloud)
        np.testing.assert_allclose(points['x'][0, 0], points['z'][0, 0] * (0 - 32) / focal_length,
                                   rtol=1e-5)


@pytest.mark.parametrize('stamps', ['zero', 'once, later than the images'])
def test_camera_info_with_other_stamps_serves_all_frames(robot, tools, trained, stamps):
    robot.start(weights=trained)
    robot.camera()
    infos = robot.listen('camera_info', CameraInfo)
    if stamps == 'zero':
        robot.calibrate()
    else:
        info = robot.calibrate(header=robot.header(stamp_ns=4_000_000_000 * 10 ** 9 // 2))
        assert info.header.stamp.sec == 2_000_000_000
    depth = robot.listen('depth')
    for _ in range(2):
        header = robot.send(tools.picture())
        assert robot.answers(header, depth, infos)[1].k[0] == 50
