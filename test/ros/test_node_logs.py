# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""What the node writes into the log, where operators look first."""
# flake8: noqa (the skip comes before the imports that it spares)

import pytest

pytest.importorskip('rclpy', reason='a node needs rclpy')

from jrn_perception.ros.middleware.camera_topics import camera_info_topics
from rclpy.logging import LoggingSeverity
from sensor_msgs.msg import CameraInfo


def said(robot, text):
    return [log for log in robot.logs if text in log.msg]


def test_silence_is_told_once_and_so_is_its_end(robot, tools):
    robot.start(max_silence_s=0.3)
    depth = robot.listen('depth')
    robot.wait_for(lambda: said(robot, 'nobody publishes /image; check the remapping'))
    seen = len(robot.statuses)
    robot.wait_for(lambda: len(robot.statuses) > seen + 5)
    assert len(said(robot, 'nobody publishes /image')) == 1
    robot.configure(max_silence_s=100.0)
    robot.camera()
    robot.ask(tools.picture(), depth)
    robot.wait_for(lambda: said(robot, 'no longer silent'))


def test_pause_and_resume_are_told_to_the_caller_and_in_the_log(robot):
    robot.start()
    assert robot.enable(False).message == 'paused: the weights stay loaded'
    robot.wait_for(lambda: said(robot, 'paused: enabled is false'))
    assert robot.enable(True).message == 'frames are processed'
    robot.wait_for(lambda: said(robot, 'resumed'))


def test_debug_lines_follow_each_frame(robot, tools, request):
    robot.start()
    logger = robot.node.get_logger()
    logger.set_level(LoggingSeverity.DEBUG)
    request.addfinalizer(lambda: logger.set_level(LoggingSeverity.INFO))
    robot.camera()
    depth = robot.listen('depth')
    robot.ask(tools.picture(), depth)
    robot.wait_for(lambda: said(robot, 'subscribed to /image: an output is wanted'))
    [line] = robot.wait_for(lambda: said(robot, 'ms; depth'))
    assert line.msg.startswith(f'frame {depth[0].header.stamp.sec}.')
    robot.configure(max_rate=7.0)
    robot.wait_for(lambda: said(robot, 'max_rate is 7.0'))


def test_a_simulation_without_a_clock_is_named_and_no_latency_is_invented(robot, tools):
    robot.start(use_sim_time=True)
    robot.camera()
    depth = robot.listen('depth')
    robot.ask(tools.picture(), depth)
    status = robot.status(lambda status: status.count['frames_processed'] == 1)
    assert 'use_sim_time is true, but no time has come on /clock' in status.message
    assert status.level == 1
    assert status.values['pipeline_latency_ms'] == 'nan'


def test_camera_info_alone_is_served_without_the_network(robot, tools, monkeypatch):
    robot.start()
    robot.calibrate()
    robot.camera()
    from jrn_perception.perception import Perception
    ran = []
    monkeypatch.setattr(Perception, 'infer', lambda *_: ran.append(1))
    infos = robot.listen('camera_info', kind=CameraInfo)
    header = robot.send(tools.picture())
    assert robot.answers(header, infos)[0].header == header
    assert infos[0].k[0] == 50.0
    assert not ran
    assert robot.status().values['state'] == 'running'


def test_camera_info_is_found_beside_the_image(robot, tools):
    robot.start('-r', 'image:=/front/camera/image_raw')
    publisher = robot.body.create_publisher(CameraInfo, '/front/camera/camera_info', 10)
    robot.meet(publisher)
    robot.camera('/front/camera/image_raw')
    infos = robot.listen('camera_info', kind=CameraInfo)
    info = CameraInfo(height=48, width=64, k=[50.0, 0.0, 31.0, 0.0, 55.0, 22.0, 0.0, 0.0, 1.0])

    def arrived():
        publisher.publish(info)
        return info in robot.node.cameras[0].infos.recent()
    robot.wait_for(arrived)
    robot.ask(tools.picture(), infos)
    assert infos[0].k[4] == 55.0


@pytest.mark.parametrize(('image', 'info', 'topics'), [
    ('/image', '/image_camera_info', ['/image_camera_info', '/camera_info']),
    ('/front/image_raw', '/robot/image_camera_info',
     ['/robot/image_camera_info', '/front/camera_info']),
    ('/front/image_raw', '/front/info', ['/front/info'])])
def test_the_sibling_is_read_unless_the_user_names_a_topic(image, info, topics):
    assert camera_info_topics(image, info) == topics
