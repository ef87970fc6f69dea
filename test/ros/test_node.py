# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The node over real DDS: pictures in, what comes out, and what bad messages get."""

from importlib import import_module
import importlib.util

import cv2
from jrn_perception import labels
from jrn_perception.perception import Perception
import numpy as np
import pytest

rclpy = pytest.importorskip('rclpy', reason="needs ROS 2 (pip install '.[ros]')")
CameraInfo = import_module('sensor_msgs.msg').CameraInfo
CompressedImage = import_module('sensor_msgs.msg').CompressedImage
Image = import_module('sensor_msgs.msg').Image
RegionOfInterest = import_module('sensor_msgs.msg').RegionOfInterest
Clock = import_module('rosgraph_msgs.msg').Clock
OUTPUTS = import_module('jrn_perception.ros.outputs').OUTPUTS
QoSProfile = rclpy.qos.QoSProfile
RELIABLE = rclpy.qos.ReliabilityPolicy.RELIABLE
BEST_EFFORT = rclpy.qos.ReliabilityPolicy.BEST_EFFORT
TRANSIENT_LOCAL = rclpy.qos.DurabilityPolicy.TRANSIENT_LOCAL


def bytes_of(*messages):
    return [bytes(message.data) for message in messages]


# Pictures.


def test_depth_and_labels_are_those_of_the_library(robot, tools):
    robot.start()
    robot.camera()
    depth, semantics, confidence = map(robot.listen, ('depth', 'semantics', 'confidence'))
    rgb = tools.picture()
    answers = robot.ask(rgb, depth, semantics, confidence)
    assert [answer.encoding for answer in answers] == ['32FC1', 'mono8', '32FC1']
    expected = Perception.load('hydranet', weights_file='random', height=64, width=96)(rgb)
    for answer, array in zip(answers, (expected.depth, expected.labels, expected.confidence)):
        np.testing.assert_array_equal(tools.array_of(answer), array)
    assert len(np.unique(expected.labels)) > 1


@pytest.mark.parametrize('encoding', ['bgr8', 'rgba8', 'bgra8', 'rgb16'])
def test_one_picture_in_another_encoding_gives_the_same_bytes(robot, tools, encoding):
    robot.start()
    robot.camera()
    depth, semantics = robot.listen('depth'), robot.listen('semantics')
    rgb = tools.picture()
    other = {'bgr8': rgb[..., ::-1], 'rgba8': np.dstack([rgb, rgb[..., 0]]),
             'bgra8': np.dstack([rgb[..., ::-1], rgb[..., 0]]),
             'rgb16': rgb.astype(np.uint16) * 257}[encoding]
    first = robot.ask(rgb, depth, semantics)
    assert bytes_of(*robot.ask(other, depth, semantics, encoding=encoding)) == bytes_of(*first)
    # The order of the channels matters, or the comparison says nothing.
    swapped = robot.ask(rgb[..., ::-1], depth, semantics)
    assert bytes_of(*swapped) != bytes_of(*first)


def test_bytes_behind_the_rows_are_not_read(robot, tools):
    robot.start()
    robot.camera()
    depth, semantics = robot.listen('depth'), robot.listen('semantics')
    rgb = tools.picture()
    padded = tools.image_message(rgb, 'rgb8', padding=7)
    assert (bytes_of(*robot.ask(padded, depth, semantics))
            == bytes_of(*robot.ask(rgb, depth, semantics)))


def test_mono8_is_a_grey_picture(robot, tools):
    robot.start()
    robot.camera()
    depth = robot.listen('depth')
    grey = tools.picture()[..., 0]
    in_rgb = np.repeat(grey[..., None], 3, axis=2)
    assert (bytes_of(robot.ask(grey, depth, encoding='mono8'))
            == bytes_of(robot.ask(in_rgb, depth)))


@pytest.mark.parametrize('size', [(479, 641), (33, 130), (2, 3)])
def test_outputs_have_size_stamp_and_frame_of_the_picture(robot, tools, size):
    robot.start(architecture='jrn', variant='cat1')
    robot.fit_deviation()
    # Reliable on both sides: a picture of this size does not fit the default shared memory.
    robot.camera()
    robot.calibrate(*size)
    inboxes = [robot.listen(output.name, output.kind) for output in OUTPUTS]
    header = robot.send(tools.picture(*size), stamp_ns=1_234_567_890_123_456_789,
                        frame_id='left/optical')
    for output, answer in zip(OUTPUTS, robot.answers(header, *inboxes)):
        assert answer.header == header
        if output.kind is CompressedImage:
            assert tools.array_of(answer).shape[:2] == size
            continue
        assert (answer.height, answer.width) == size
        (tools.array_of if output.kind is Image else tools.points_of)(answer)


def test_the_compressed_transport_reads_beside_the_raw_topic(robot, tools):
    robot.start('-r', 'image:=/front/image_raw', image_transport='compressed')
    robot.camera('/front/image_raw/compressed', CompressedImage)
    depth = robot.listen('depth')
    rgb = tools.picture()
    data = cv2.imencode('.png', rgb[..., ::-1])[1]
    message = CompressedImage(format='rgb8; png compressed bgr8')
    message.data.frombytes(data.tobytes())
    compressed = robot.ask(message, depth)
    robot.start()
    robot.camera()
    depth = robot.listen('depth')
    assert bytes_of(robot.ask(rgb, depth)) == bytes_of(compressed)


def test_invalid_depth_is_nan_in_metres_and_zero_in_millimetres(robot, tools):
    rgb, answers = tools.picture(seed=3), []
    full = Perception.load('hydranet', weights_file='random', height=64, width=96)(rgb).depth
    low, high = (float(value) for value in np.quantile(full, (0.25, 0.75)))
    for encoding in ('32FC1', '16UC1'):
        robot.start(depth_encoding=encoding, min_depth=low, max_depth=high)
        robot.camera()
        answers.append(robot.ask(rgb, robot.listen('depth')))
    metres, millimetres = map(tools.array_of, answers)
    assert [answer.encoding for answer in answers] == ['32FC1', '16UC1']
    invalid = (full < low) | (full > high)
    assert 0.2 < invalid.mean() < 0.8
    np.testing.assert_array_equal(np.isnan(metres), invalid)
    np.testing.assert_array_equal(millimetres == 0, invalid)
    np.testing.assert_allclose(millimetres[~invalid] / 1000, metres[~invalid], atol=0.0005001)


# What goes with them.


def info_of(height, width, **fields):
    return CameraInfo(height=height, width=width, distortion_model='plumb_bob',
                      d=[0.1, 0.2, 0.0, 0.0, 0.0], k=[50.0, 0.0, 32.0, 0.0, 51.0, 24.0, 0.0, 0.0,
                                                      1.0], **fields)


@pytest.mark.parametrize('fields', [
    {'height': 48, 'width': 64},
    {'height': 96, 'width': 128, 'binning_x': 2, 'binning_y': 2},
    {'height': 480, 'width': 640, 'roi': RegionOfInterest(height=48, width=64, x_offset=8)}])
def test_camera_info_comes_back_with_the_header_of_depth(robot, tools, fields):
    robot.start()
    robot.camera()
    depth, infos = robot.listen('depth'), robot.listen('camera_info', CameraInfo)
    calibration = robot.body.create_publisher(CameraInfo, 'image_camera_info', 10)
    robot.meet(calibration)
    sent = info_of(**fields)
    sent.header = robot.header(stamp_ns=5, frame_id='another')
    calibration.publish(sent)
    header = None

    def answered():
        nonlocal header
        header = robot.send(tools.picture(48, 64))
        robot.answers(header, depth)
        return infos
    robot.wait_for(answered, 'camera_info')
    answer, = robot.answers(header, infos)
    assert answer.header == header
    sent.header = header
    assert answer == sent


def test_camera_info_of_another_size_is_told_and_no_picture_is_rejected(robot, tools):
    robot.start()
    robot.camera()
    depth, infos = robot.listen('depth'), robot.listen('camera_info', CameraInfo)
    calibration = robot.body.create_publisher(CameraInfo, 'image_camera_info', 10)
    robot.meet(calibration)
    calibration.publish(info_of(480, 640))

    def warned():
        robot.ask(tools.picture(48, 64), depth)
        return robot.warnings('/image_camera_info')
    assert 'camera_info is for 640x480, the image is 64x48' in robot.wait_for(warned)[0]
    status = robot.status(lambda status: status.level == 1)
    assert 'camera_info is for 640x480' in status.message
    assert 'it is not passed on: remap image_camera_info' in status.message
    assert status.count['frames_rejected'] == 0
    assert not infos
    # The right one mends it.
    calibration.publish(info_of(48, 64))

    def mended():
        robot.ask(tools.picture(48, 64), depth)
        return infos
    robot.wait_for(mended)
    assert robot.status(lambda status: status.level == 0).message == 'frames flow'


def test_camera_info_is_not_published_onto_the_topic_it_is_read_from(robot, tools):
    robot.start('-r', 'image_camera_info:=/camera/info', '-r', 'camera_info:=/camera/info')
    robot.camera()
    depth = robot.listen('depth')
    infos = robot.listen('/camera/info', CameraInfo, match=False)
    calibration = robot.body.create_publisher(CameraInfo, '/camera/info', 10)
    robot.meet(calibration)
    calibration.publish(info_of(48, 64))
    robot.wait_for(lambda: infos)
    for _ in range(3):
        robot.ask(tools.picture(48, 64), depth)
    assert len(infos) == 1
    assert robot.node.count_publishers('/camera/info') == 1


def test_remaps_and_namespace(robot, tools):
    robot.start('-r', 'image:=camera/rgb', '-r', 'semantics:=/classes', namespace='/robot1')
    robot.camera('/robot1/camera/rgb')
    depth, semantics = robot.listen('/robot1/depth'), robot.listen('/classes')
    robot.ask(tools.picture(), depth, semantics)
    assert robot.status().name == 'robot1/jrn_perception: perception'
    assert robot.enable(False).success
    assert robot.get('enabled') is False


def test_a_late_joiner_gets_the_labels_as_a_parameter(robot, tools):
    robot.start()
    assert robot.get('labels') == list(labels.NYU40.names)
    assert robot.get('variant') == 'nyu40'
    for values, names in (({'architecture': 'jrn'}, labels.NYU5.names),
                          ({'architecture': 'hydranet', 'variant': 'kitti6'},
                           labels.KITTI6.names)):
        assert robot.configure(**values).successful
        robot.wait_for(lambda names=names: robot.get('labels') == list(names), 'the labels')
        assert robot.get('variant') == values.get('variant', 'sum60')


def test_a_late_joiner_gets_label_info(robot):
    if importlib.util.find_spec('vision_msgs') is None:
        pytest.skip('vision_msgs is not installed: the node publishes no label_info without it')
    kind = import_module('vision_msgs.msg').LabelInfo
    robot.start()
    latched = QoSProfile(depth=1, reliability=RELIABLE, durability=TRANSIENT_LOCAL)

    def names():
        inbox = robot.listen('label_info', kind, latched)
        message = robot.wait_for(lambda: inbox)[-1]
        assert [entry.class_id for entry in message.class_map] == list(range(len(
            message.class_map)))
        return tuple(entry.class_name for entry in message.class_map)
    assert names() == labels.NYU40.names
    assert robot.configure(architecture='jrn').successful
    robot.wait_for(lambda: len(robot.get('labels')) == 5)
    assert names() == labels.NYU5.names


# What is not wanted is not computed.


def test_without_a_subscriber_the_network_rests_unless_told_otherwise(robot, tools, monkeypatch):
    sizes = []
    infer = Perception.infer
    robot.start()
    monkeypatch.setattr(Perception, 'infer', lambda self, image, *arguments: (
        sizes.append(image.shape), infer(self, image, *arguments))[1])
    camera = robot.camera()
    robot.wait_for(lambda: robot.node.count_publishers('/image') == 1, 'the camera is known')
    robot.send(tools.picture())
    assert robot.node.count_subscribers('/image') == camera.get_subscription_count() == 0
    status = robot.status()
    assert (status.values['state'], status.count['frames_processed']) == ('idle', 0)
    assert status.values['rate_in_hz'] == 'nan'
    assert not sizes
    assert robot.configure(lazy=False).successful
    robot.send(tools.picture())
    status = robot.status(lambda status: status.count['frames_processed'])
    assert (status.values['state'], status.count['frames_processed']) == ('running', 1)
    assert len(sizes) == 1


@pytest.mark.parametrize('wanted', OUTPUTS, ids=lambda output: output.name)
def test_only_what_somebody_listens_to_is_computed(robot, tools, monkeypatch, wanted):
    made = []
    robot.start(architecture='jrn', variant='cat1')
    robot.fit_deviation()
    for output in OUTPUTS:
        make = output.make
        # Frozen for everybody but a test that wants to know who was asked.
        monkeypatch.setitem(vars(output), 'make', lambda result, name=output.name, make=make: (
            made.append(name), make(result))[1])
    robot.camera()
    robot.calibrate()
    inbox = robot.listen(wanted.name, wanted.kind)
    robot.ask(tools.picture(), inbox)
    robot.ask(tools.picture(), inbox)
    assert made == [wanted.name] * 2


# Bad messages.


# Transport.


@pytest.mark.parametrize('listener', [RELIABLE, BEST_EFFORT])
@pytest.mark.parametrize('camera', [RELIABLE, BEST_EFFORT])
def test_every_camera_and_every_listener_is_served(robot, tools, camera, listener):
    robot.start()
    robot.camera(qos=QoSProfile(depth=5, reliability=camera))
    depth = robot.listen('depth', qos=QoSProfile(depth=5, reliability=listener))
    for _ in range(3):
        robot.ask(tools.picture(), depth)


def test_qos_overrides_change_their_topic_and_no_other(robot, tools):
    robot.start(**{'qos_overrides./image.subscription.reliability': 'reliable',
                   'qos_overrides./image.subscription.depth': 10,
                   'qos_overrides./depth.publisher.reliability': 'best_effort'})
    robot.camera()
    depth = robot.listen('depth', qos=QoSProfile(depth=5, reliability=BEST_EFFORT))
    robot.ask(tools.picture(), depth)
    for topic, end, expected in (('/image', 'SUBSCRIPTION', RELIABLE),
                                 ('/image_camera_info', 'SUBSCRIPTION', BEST_EFFORT),
                                 ('/depth', 'PUBLISHER', BEST_EFFORT),
                                 ('/semantics', 'PUBLISHER', RELIABLE),
                                 ('/camera_info', 'PUBLISHER', RELIABLE)):
        assert robot.qos_of(topic, end) == expected, topic
    # And not the next node of this process either.
    robot.start()
    assert robot.qos_of('/depth', 'PUBLISHER') == RELIABLE
    assert robot.qos_of('/image', 'SUBSCRIPTION') == BEST_EFFORT


def test_a_qos_override_that_nothing_reads_is_refused(robot):
    with pytest.raises(ValueError, match='qos_overrides./imag.subscription.depth'):
        robot.start(**{'qos_overrides./imag.subscription.depth': 10})


def test_in_a_flood_the_newest_frame_wins(robot, tools, infer_gate):
    robot.start(**{'qos_overrides./image.subscription.reliability': 'reliable',
                   'qos_overrides./image.subscription.depth': 100})
    robot.camera(qos=100)
    depth = robot.listen('depth', qos=100)
    infer_gate.close()
    sent = [robot.send(tools.picture()).stamp]
    assert infer_gate.started.acquire(timeout=20)
    # Whatever came while the network was busy is gone, but for the last.
    for burst in range(3):
        before = len(sent)
        sent += [robot.send(tools.picture()).stamp for _ in range(20)]
        dropped = robot.status(lambda status, count=19 * (burst + 1):
                               status.count['frames_dropped'] == count)
        infer_gate.go_on.release()
        assert infer_gate.started.acquire(timeout=20)
        assert (dropped.level, dropped.count['frames_processed']) == (1, burst)
        assert 'frames dropped: the camera is faster than the network' in dropped.message
        assert len(sent) == before + 20
    infer_gate.go_on.release()
    expected = [sent[0], sent[20], sent[40], sent[60]]
    robot.wait_for(lambda: len(depth) == 4, 'the last frame')
    assert [message.header.stamp for message in depth] == expected


def test_a_network_too_slow_for_the_frames_that_are_due_is_told(robot, tools, infer_gate):
    robot.start(**{'qos_overrides./image.subscription.reliability': 'reliable',
                   'qos_overrides./image.subscription.depth': 100})
    robot.camera(qos=100)
    robot.listen('depth')
    infer_gate.close()
    robot.send(tools.picture())
    assert infer_gate.started.acquire(timeout=20)
    for _ in range(5):
        robot.send(tools.picture())
    robot.status(lambda status: status.arrived == 6)
    assert robot.configure(max_rate=0.001).successful
    for _ in range(20):
        robot.send(tools.picture())
    # One of the 20 is due, at most, and takes the place of another.
    status = robot.status(lambda status: status.arrived == 26)
    assert status.level == 1
    dropped = status.count['frames_dropped']
    assert dropped in (4, 5)
    assert f'{dropped} of {dropped + 2} frames dropped' in status.message


# Time.


def test_latency_is_measured_with_the_clock_of_the_simulation(robot, tools):
    robot.start(use_sim_time=True)
    robot.camera()
    depth = robot.listen('depth')
    clock = robot.body.create_publisher(Clock, '/clock', 1)
    robot.wait_for(clock.get_subscription_count)
    second = 1_000_000_000

    def ticked():
        clock.publish(Clock(clock=robot.header(stamp_ns=100 * second).stamp))
        return robot.node.get_clock().now().nanoseconds == 100 * second
    robot.wait_for(ticked)
    robot.ask(tools.picture(), depth, stamp_ns=97 * second + second // 2)
    status = robot.status(lambda status: status.count['frames_processed'] == 1)
    assert float(status.values['pipeline_latency_ms']) == 2500
    assert status.header.stamp.sec == 100


def test_diagnostics_go_on_while_the_simulation_stands_still(robot):
    robot.start(use_sim_time=True)
    assert robot.status().values['state'] == 'idle'
