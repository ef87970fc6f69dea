# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""One node, one network, several cameras."""

from importlib import import_module
import time

import pytest

pytest.importorskip('rclpy', reason="needs ROS 2 (pip install '.[ros]')")
launching = import_module('jrn_perception.ros.parameters.launching')
camera_topics = import_module('jrn_perception.ros.middleware.camera_topics')
Transition = import_module('lifecycle_msgs.msg').Transition
ChangeState = import_module('lifecycle_msgs.srv').ChangeState
messages = import_module('sensor_msgs.msg')

INFO = {'height': 48, 'width': 64, 'k': [50.0, 0.0, 31.0, 0.0, 55.0, 22.0, 0.0, 0.0, 1.0]}


class Camera:
    """A camera of the robot by name, and the list that its depth is appended to."""

    def __init__(self, robot, name, topic='', listens=True):
        self.robot, self.name = robot, name
        self.topic = topic or f'{name}/image'
        self.publisher = robot.camera(self.topic)
        self.depth = robot.listen(f'{name}/depth') if listens else []

    @property
    def stream(self):
        stream, = (stream for stream in self.robot.node.cameras if stream.name == self.name)
        return stream

    def use(self):
        self.robot._publisher = self.publisher
        return self.robot

    def send(self, picture, **header):
        return self.use().send(picture, frame_id=f'{self.name}_frame', **header)

    def ask(self, picture):
        return self.use().ask(picture, self.depth, frame_id=f'{self.name}_frame')


def start_and_hear(robot, **parameters):
    """Start the node; return when the robot hears its log, so that discovery loses no message."""
    robot.start(**parameters)
    for _ in range(100):
        robot.enable(False)
        robot.enable(True)
        if any('resumed' in log.msg for log in robot.logs):
            return
        time.sleep(0.05)
    pytest.fail('the log is not heard')


def test_the_unnamed_camera_is_the_default(robot):
    robot.start()
    stream, = robot.node.cameras
    assert (stream.name, stream.topic) == ('', '/image')


def test_each_camera_gets_its_own_outputs(robot, tools):
    robot.start(cameras='front, left')
    front, left = Camera(robot, 'front'), Camera(robot, 'left')
    semantics = robot.listen('left/semantics')
    published = {publisher.topic_name for publisher in robot.node.publishers}
    assert {'/front/points', '/left/points', '/front/influence/depth', '/left/camera_info'
            } <= published
    assert not published & {'/depth', '/points', '/camera_info'}
    assert len([name for name in published if name.endswith('label_info')]) <= 1
    first, second = tools.picture(48, 64), tools.picture(30, 90)
    sent = [front.send(first), left.send(second)]
    answers = [front.robot.answers(sent[0], front.depth)[0],
               *robot.answers(sent[1], left.depth, semantics)]
    assert [(answer.height, answer.width, answer.header) for answer in answers] == [
        (48, 64, sent[0]), (30, 90, sent[1]), (30, 90, sent[1])]
    assert (sent[0].frame_id, sent[1].frame_id) == ('front_frame', 'left_frame')
    # What the network sees of one camera does not depend on the other.
    alone = tools.array_of(front.ask(first))
    assert (alone == tools.array_of(answers[0])).all()
    assert [len(front.depth), len(left.depth)] == [2, 1]


def test_each_camera_has_its_own_status(robot, tools):
    start_and_hear(robot, cameras='front,left')
    front, left = Camera(robot, 'front'), Camera(robot, 'left')
    front.ask(tools.picture())
    front.ask(tools.picture())
    # A second camera whose stamps go back in time is not the first one's fault.
    left.ask(tools.picture())
    left.send(tools.picture(), stamp_ns=1_000_000_000)
    status = robot.status(lambda status: status.count['frames_rejected'] == 1, 'left')
    assert (status.name, status.count['frames_processed']) == ('jrn_perception: perception left',
                                                               1)
    robot.wait_for(lambda: robot.warnings('rejected a message on /left/image'))
    status = robot.status(camera='front')
    assert status.name == 'jrn_perception: perception front'
    assert (status.level, status.count['frames_processed'], status.count['frames_rejected']) == (
        0, 2, 0)
    assert status.values['architecture'] == 'hydranet'


def test_a_warning_of_one_camera_does_not_silence_the_other(robot, tools):
    start_and_hear(robot, cameras='front,left')
    for camera in Camera(robot, 'front'), Camera(robot, 'left'):
        camera.ask(tools.picture())
        camera.send(tools.picture(), stamp_ns=1_000_000_000)
        robot.wait_for(lambda name=camera.name: robot.warnings(
            f'{name}: rejected a message on /{name}/image'))


def test_only_the_wanted_camera_is_read(robot, tools):
    robot.start(cameras='front,left')
    front, left = Camera(robot, 'front'), Camera(robot, 'left', listens=False)
    front.ask(tools.picture())
    assert front.stream.subscription is not None
    assert left.stream.subscription is None
    robot.wait_for(lambda: not left.publisher.get_subscription_count())
    assert robot.status(lambda status: status.values['state'] == 'idle', 'left').level == 0
    assert robot.status(camera='front').values['state'] == 'running'
    # Parameters are for all cameras.
    assert robot.configure(lazy=False).successful
    assert left.stream.subscription is not None
    assert robot.configure(lazy=True, enabled=False).successful
    assert front.stream.subscription is None


def test_a_flood_from_one_camera_does_not_starve_the_other(robot, tools, infer_gate):
    robot.start(cameras='front,left')
    front, left = Camera(robot, 'front'), Camera(robot, 'left')
    front.ask(tools.picture())
    infer_gate.close()
    flood = [front.send(tools.picture())]
    assert infer_gate.started.acquire(timeout=20)
    # While the network is busy with the fast camera, that camera sends again, then the slow one.
    flood += [front.send(tools.picture()) for _ in range(5)]
    robot.wait_for(lambda: front.stream.statistics.recent().arrivals >= 3)
    slow = left.send(tools.picture())
    robot.wait_for(lambda: left.stream.statistics.recent().arrivals == 1)
    for _ in range(2):  # The fast camera's next picture, then the slow camera's, not later.
        infer_gate.go_on.release()
        assert infer_gate.started.acquire(timeout=20)
        front.send(tools.picture())
    infer_gate.go_on.release()
    robot.answers(slow, left.depth)
    infer_gate.go_on.release(100)
    status = robot.status(lambda status: status.count['frames_processed'] == 1, 'left')
    assert status.count['frames_dropped'] == 0
    assert robot.status(camera='front').count['frames_dropped'] >= 1


def test_a_slow_camera_is_served_beside_a_real_flood(robot, tools):
    robot.start(cameras='front,left')
    front, left = Camera(robot, 'front'), Camera(robot, 'left')
    left.ask(tools.picture())
    flood = tools.image_message(tools.picture(240, 320), 'rgb8')
    for _ in range(5):
        picture = tools.picture()
        until = time.monotonic() + 0.3
        header = left.send(picture)
        while time.monotonic() < until:
            flood.header = robot.header()
            front.publisher.publish(flood)
            time.sleep(0.002)
        robot.answers(header, left.depth)
    assert robot.status(lambda status: status.count['frames_processed'] == 6, 'left'
                        ).count['frames_dropped'] == 0


def test_a_manager_takes_all_cameras_through_the_states(robot, tools):
    def change(transition):
        return robot.call(ChangeState, 'change_state',
                          transition=Transition(id=transition)).success
    robot.start(cameras='front,left', autostart=False)
    for camera in ('front', 'left'):
        assert robot.status(camera=camera).values == {'state': 'unconfigured'}
    assert change(Transition.TRANSITION_CONFIGURE) and change(Transition.TRANSITION_ACTIVATE)
    cameras = Camera(robot, 'front'), Camera(robot, 'left')
    for camera in cameras:
        camera.ask(tools.picture())
    assert change(Transition.TRANSITION_DEACTIVATE)
    for camera in cameras:
        robot.wait_for(lambda camera=camera: not camera.publisher.get_subscription_count())
        robot.status(lambda status: status.values['state'] == 'inactive', camera.name)
    assert change(Transition.TRANSITION_CLEANUP)
    robot.wait_for(lambda: not robot.body.count_publishers('/left/depth'))
    assert not robot.body.count_publishers('/front/depth')


def test_remaps_lead_each_camera_to_its_driver(robot, tools):
    robot.start('-r', 'front/image:=/front_camera/image_raw', namespace='/robot',
                cameras='front,left')
    front = Camera(robot, 'front', '/front_camera/image_raw', listens=False)
    front.depth = robot.listen('/robot/front/depth')
    infos = robot.listen('/robot/front/camera_info', kind=messages.CameraInfo)
    # camera_info lies beside the image, as it does for one camera.
    publisher = robot.body.create_publisher(messages.CameraInfo, '/front_camera/camera_info', 10)
    robot.meet(publisher)
    info = messages.CameraInfo(**INFO)

    def arrived():
        publisher.publish(info)
        return info in front.stream.infos.recent()
    robot.wait_for(arrived)
    header = front.send(tools.picture())
    robot.answers(header, front.depth, infos)
    assert infos[0].k[4] == 55.0
    left, = (stream for stream in robot.node.cameras if stream.name == 'left')
    assert (left.topic, left.infos.recent()) == ('/robot/left/image', [])
    assert robot.status(lambda status: status.count['frames_processed'] == 1, 'front'
                        ).name == 'robot/jrn_perception: perception front'


def test_each_camera_has_its_own_range_sensors(robot, tools):
    robot.start('-r', 'left/range/range:=/sonar', cameras='front,left', range_inputs='scan,range')
    front, left = Camera(robot, 'front'), Camera(robot, 'left')
    topics = {stream.name: [sensor.topic for sensor in stream.correction.inputs.sensors]
              for stream in robot.node.cameras}
    assert topics == {'front': ['/front/range/scan', '/front/range/range'],
                      'left': ['/left/range/scan', '/sonar']}
    front.ask(tools.picture())
    left.ask(tools.picture())
    status = robot.status(lambda status: status.count['frames_processed'] == 1
                          and '/front/range/scan: nobody' in status.message, 'front')
    assert '/sonar' not in status.message


def test_calibration_that_is_missing_is_named_with_its_camera(robot, tools):
    robot.start(cameras='front,left')
    left = Camera(robot, 'left')
    robot.listen('left/points', kind=messages.PointCloud2)
    left.ask(tools.picture())
    status = robot.status(lambda status: 'camera_info' in status.message, 'left')
    assert status.message.startswith('/left/image_camera_info: ')
    assert 'nothing is published on /left/points' in status.message
    assert "remap left/image_camera_info to the camera's topic" in status.message
    assert 'camera_info' not in robot.status(camera='front').message


def test_qos_of_each_camera_can_be_overridden(robot):
    robot.start(cameras='front,left', lazy=False, **{
        'qos_overrides./front/image.subscription.reliability': 'reliable'})
    reliability = import_module('rclpy.qos').ReliabilityPolicy
    assert robot.qos_of('/front/image', 'SUBSCRIPTION') == reliability.RELIABLE
    assert robot.qos_of('/left/image', 'SUBSCRIPTION') == reliability.BEST_EFFORT


def test_the_sensor_depth_of_each_camera_is_its_own(robot, tools):
    robot.start(cameras='front,left', architecture='jrn', variant='cat1', depth_source='sensor')
    Camera(robot, 'left').ask(tools.picture())
    read = {subscription.topic_name for subscription in robot.node.subscriptions}
    assert '/left/sensor_depth' in read
    assert '/front/sensor_depth' not in read


def test_cameras_are_chosen_at_start(robot):
    robot.start(cameras='front')
    refused = robot.configure(cameras='left')
    assert not refused.successful
    assert 'cannot change while the node runs' in refused.reason


@pytest.mark.parametrize(('text', 'names'), [
    ('', ['']), ('front', ['front']), ('front, left', ['front', 'left']),
    ('arm_1 arm_2', ['arm_1', 'arm_2'])])
def test_names_stand_between_commas(text, names):
    assert camera_topics.parse_cameras(text) == names


@pytest.mark.parametrize(('text', 'reason'), [
    ('front,2nd', "cameras: '2nd' cannot be part of a topic"),
    ('front/up', "cameras: 'front/up' cannot be part of a topic"),
    ('a__b', "cameras: 'a__b' cannot be part of a topic"),
    ('front,left,front', "cameras: 'front,left,front' names a camera twice")])
def test_names_that_cannot_be_topics_are_refused(text, reason):
    with pytest.raises(ValueError, match=reason):
        camera_topics.parse_cameras(text)


def test_a_pose_for_one_camera_is_refused_for_two(robot):
    pose = '0 -0.1 0 0.5 -0.5 0.5 0.5'
    with pytest.raises(ValueError, match='range_extrinsics: is a pose in the frame of one camera, '
                                         'and cameras names 2'):
        robot.start(cameras='front,left', range_inputs='scan', range_extrinsics=pose)
    robot.start(cameras='front', range_inputs='scan', range_extrinsics=pose)


def test_launch_refuses_arguments_of_the_unnamed_camera_beside_cameras():
    launching.check_cameras({'cameras': 'front', 'point_cloud': 'false', 'rviz': 'False',
                             'architecture': 'jrn'})
    launching.check_cameras({'image': '/camera', 'range_scan': '/scan', 'rviz': 'true'})
    with pytest.raises(ValueError, match='cameras: image, range_scan, rviz would be for a single'):
        launching.check_cameras({'cameras': 'front', 'image': '/camera', 'range_scan': '/scan',
                                 'rviz': 'True'})
