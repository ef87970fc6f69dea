# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""What is said where camera_info does not come, does not fit, or says nothing."""

from dataclasses import replace
from importlib import import_module

from jrn_perception import weights
import numpy as np
import pytest

pytest.importorskip('rclpy', reason="needs ROS 2 (pip install '.[ros]')")
calibration = import_module('jrn_perception.ros.calibration')
CameraInfo = import_module('sensor_msgs.msg').CameraInfo
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


@pytest.fixture
def watch():
    return calibration.CalibrationWatch('/front/info', '/front/points')


def look(watch, info, cloud=False, correction=True):
    """Show it a picture; return what it says of it."""
    watch.match(info, calibration.Need(SIZE, cloud, correction))
    return watch.fault(info)


# The words alone.


@pytest.mark.parametrize('cause', CAUSES)
def test_cause_effect_and_cure_are_told_when_the_fault_has_lasted(clock, watch, cause):
    info, reason, cure = CAUSES[cause]
    assert look(watch, info) == ''
    clock[0] += calibration.WAIT_S - 0.1
    assert look(watch, info) == ''
    clock[0] += 0.2
    text = look(watch, info)
    assert text.startswith('/front/info: ')
    assert reason in text
    assert 'depth is not corrected for the focal length' in text
    assert '/front/points' not in text
    assert text.split(': ')[-1].startswith(cure)
    assert text.endswith(', or set focal_correction to false')
    assert 'nothing is published on /front/points' in look(watch, info, cloud=True)
    assert look(watch, FIT, cloud=True) == ''


def test_a_camera_info_that_comes_late_leaves_no_fault(clock, watch):
    assert look(watch, None) == ''
    # Before the next picture.
    clock[0] += 100
    assert watch.fault(FIT) == ''
    # Another resolution, whose camera_info is not here yet, has its own time.
    watch.match(FIT, calibration.Need((96, 128), False, True))
    assert watch.fault(FIT) == ''
    clock[0] += calibration.WAIT_S
    assert 'camera_info is for 64x48' in watch.fault(FIT)


def test_where_nothing_is_missing_nothing_is_said(clock, watch):
    for info in (None, CAUSES['uncalibrated'][0]):
        look(watch, info, correction=False)
        clock[0] += 100
        assert look(watch, info, correction=False) == ''
    # It comes out again with every picture, so it has to be of its size.
    info = CAUSES['another size'][0]
    look(watch, info, correction=False)
    clock[0] += 100
    text = look(watch, info, correction=False)
    assert text.endswith("it is not passed on: remap image_camera_info to the camera's topic")


def test_before_the_first_picture_nothing_is_missing(clock, watch):
    assert watch.fault(None) == ''
    clock[0] += 100
    assert watch.fault(None) == ''


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
