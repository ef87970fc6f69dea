# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""``jrn_play`` as a process of its own, heard through DDS."""

import sys
import time

import cv2
from jrn_perception.cli.play import main, parser
import numpy as np
import pytest

COUNT = 6
START = 1_700_000_000_000_000_000


@pytest.fixture
def pictures(tmp_path):
    """Return a folder of pictures, and the pictures."""
    folder = tmp_path / 'pictures'
    folder.mkdir()
    rng = np.random.default_rng(0)
    rgbs = [cv2.GaussianBlur(rng.integers(0, 256, (48, 64, 3), np.uint8), (0, 0), 4)
            for _ in range(COUNT)]
    for index, rgb in enumerate(rgbs):
        cv2.imwrite(str(folder / f'{index}.png'), rgb[..., ::-1])
    return folder, rgbs


class Ear:
    """A node that notes what it hears."""

    def __init__(self, rclpy):
        self.rclpy, self.node, self.heard = rclpy, rclpy.create_node('ear'), {}

    def subscribe(self, msg_type, topic, qos=10):
        self.heard[topic] = []
        self.node.create_subscription(msg_type, topic, self.heard[topic].append, qos)

    def listen(self, child, timeout=60.0):
        """Listen until the child has ended; return its exit code."""
        deadline = time.monotonic() + timeout
        while child.process.poll() is None and time.monotonic() < deadline:
            self.rclpy.spin_once(self.node, timeout_sec=0.05)
        for _ in range(5):
            self.rclpy.spin_once(self.node, timeout_sec=0.05)
        return child.wait(timeout=1)

    def wait_for(self, topic, count, timeout=60.0):
        deadline = time.monotonic() + timeout
        while len(self.heard[topic]) < count:
            assert time.monotonic() < deadline, f'{len(self.heard[topic])} on {topic}'
            self.rclpy.spin_once(self.node, timeout_sec=0.05)


@pytest.fixture
def ear(ros_domain):
    """Return a listener in this process."""
    rclpy = pytest.importorskip('rclpy')
    rclpy.init()

    ear = Ear(rclpy)
    yield ear
    ear.node.destroy_node()
    rclpy.try_shutdown()


def stamp_ns(msg):
    return msg.header.stamp.sec * 10**9 + msg.header.stamp.nanosec


@pytest.mark.parametrize('encoding, qos', [
    ('rgb8', 'reliable'), ('bgr8', 'best_effort'), ('mono8', 'reliable'), ('jpeg', 'best_effort'),
    ('png', 'reliable')])
def test_a_folder_is_a_camera(pictures, ear, spawn, encoding, qos):
    from jrn_perception.messages.images import compressed_to_rgb
    from jrn_perception.ros.conversions.images import to_rgb
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import CameraInfo, CompressedImage, Image
    folder, rgbs = pictures
    compressed = encoding in ('jpeg', 'png')
    topic = 'image/compressed' if compressed else 'image'
    profile = 10 if qos == 'reliable' else qos_profile_sensor_data
    ear.subscribe(CompressedImage if compressed else Image, topic, profile)
    ear.subscribe(CameraInfo, 'image_camera_info', profile)
    before = time.time_ns()
    child = spawn('play', folder, '--rate', 20, '--encoding', encoding, '--frame-id', 'eye',
                  '--wait-for-subscribers', 1)
    assert ear.listen(child) == 0
    after = time.time_ns()
    heard, infos = ear.heard[topic], ear.heard['image_camera_info']
    assert len(heard) == COUNT
    stamps = [stamp_ns(msg) for msg in heard]
    assert before < stamps[0] < stamps[-1] < after
    assert stamps == sorted(set(stamps))
    # Each one waits for its time.
    assert stamps[-1] - stamps[0] >= (COUNT - 1) / 20 * 1e9 * 0.9
    assert [stamp_ns(msg) for msg in infos] == stamps
    assert {(msg.header.frame_id, msg.height, msg.width, any(msg.k)) for msg in infos} == {
        ('eye', 48, 64, False)}
    for msg, rgb in zip(heard, rgbs):
        assert msg.header.frame_id == 'eye'
        back = compressed_to_rgb(msg) if compressed else to_rgb(msg)
        if encoding == 'mono8':
            rgb = np.stack([cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)] * 3, -1)
        assert np.abs(back.astype(int) - rgb).max() <= (6 if encoding == 'jpeg' else 0)


def test_options_and_remaps(pictures, ear, spawn):
    from sensor_msgs.msg import CameraInfo, Image
    folder, _ = pictures
    ear.subscribe(Image, '/eye/left')
    ear.subscribe(CameraInfo, '/eye/image_camera_info')
    child = spawn('play', folder, '--size', '32x20', '--loop', '--count', COUNT + 2, '--rate', 30,
                  '--wait-for-subscribers', 1,
                  '--ros-args', '-r', '__ns:=/eye', '-r', 'image:=left')
    assert ear.listen(child) == 0
    heard = ear.heard['/eye/left']
    assert [(msg.height, msg.width) for msg in heard] == [(20, 32)] * (COUNT + 2)
    assert heard[0].header.frame_id == 'camera_optical_frame'
    assert heard[0].data == heard[COUNT].data != heard[1].data
    assert len(ear.heard['/eye/image_camera_info']) == COUNT + 2


def test_scenes_with_calibration_until_ctrl_c(ear, spawn):
    from sensor_msgs.msg import CameraInfo, Image
    ear.subscribe(Image, 'image')
    ear.subscribe(CameraInfo, 'image_camera_info')
    child = spawn('play', 'scenes:3', '--size', '64x48')
    ear.wait_for('image', 3)
    assert child.stop() == 0
    assert 'played ' in child.output
    assert 'Traceback' not in child.output
    assert ear.heard['image_camera_info'][0].k[0] == pytest.approx(51.886)


def recording(path, count=COUNT):
    """Write a camera, its calibration, chatter, a latched text and a type nobody has."""
    rosbag2 = pytest.importorskip('rosbags.rosbag2')
    typesys = pytest.importorskip('rosbags.typesys')
    interfaces = pytest.importorskip('rosbags.interfaces')
    store = typesys.get_typestore(typesys.Stores.ROS2_HUMBLE)
    store.register(typesys.get_types_from_msg('int32 data', 'nobody_msgs/msg/Number'))
    types = store.types
    zero = interfaces.QosTime(0, 0)
    latched = interfaces.Qos(
        interfaces.QosHistory.KEEP_LAST, 1, interfaces.QosReliability.RELIABLE,
        interfaces.QosDurability.TRANSIENT_LOCAL, zero, zero, interfaces.QosLiveliness.AUTOMATIC,
        zero, False)
    text, number = types['std_msgs/msg/String'], types['nobody_msgs/msg/Number']
    with rosbag2.Writer(path, version=9, storage_plugin=rosbag2.StoragePlugin.MCAP) as writer:
        def topic(name, kind, **options):
            connection = writer.add_connection(name, kind, typestore=store, **options)
            return lambda stamp, msg: writer.write(connection, stamp,
                                                   store.serialize_cdr(msg, kind))
        image = topic('/robot/eye/image_raw', 'sensor_msgs/msg/Image')
        info = topic('/robot/eye/camera_info', 'sensor_msgs/msg/CameraInfo')
        chatter = topic('/chatter', 'std_msgs/msg/String')
        unknown = topic('/number', 'nobody_msgs/msg/Number')
        topic('/map_name', 'std_msgs/msg/String', offered_qos_profiles=[latched])(
            START, text('kitchen'))
        for index in range(count):
            stamp = START + index * 50_000_000
            header = types['std_msgs/msg/Header'](types['builtin_interfaces/msg/Time'](
                stamp // 10**9, stamp % 10**9), 'optical')
            pixels = np.full(24 * 32 * 3, index, np.uint8)
            info(stamp, types['sensor_msgs/msg/CameraInfo'](
                header, 24, 32, 'plumb_bob', np.zeros(5),
                np.array((30, 0, 16, 0, 30, 12, 0, 0, 1.0)), np.zeros(9), np.zeros(12), 0, 0,
                types['sensor_msgs/msg/RegionOfInterest'](0, 0, 0, 0, False)))
            image(stamp + 1_000_000, types['sensor_msgs/msg/Image'](
                header, 24, 32, 'rgb8', 0, 96, pixels))
            chatter(stamp + 2_000_000, text(f'{index}'))
            unknown(stamp + 2_000_000, number(index))
    return path


def test_a_recording_as_a_camera_in_its_own_time(tmp_path, ear, spawn):
    from rosgraph_msgs.msg import Clock
    from sensor_msgs.msg import CameraInfo, Image
    for msg_type, topic in ((Image, 'image'), (CameraInfo, 'image_camera_info'),
                            (Clock, '/clock')):
        ear.subscribe(msg_type, topic, 1000)
    child = spawn('play', recording(tmp_path / 'bag'), '--clock', '--wait-for-subscribers', 1)
    assert ear.listen(child) == 0
    heard = ear.heard['image']
    assert [stamp_ns(msg) - START for msg in heard] == [i * 50_000_000 for i in range(COUNT)]
    assert [msg.data[0] for msg in heard] == list(range(COUNT))
    assert heard[0].header.frame_id == 'optical'
    assert {(msg.k[0], msg.header.frame_id) for msg in ear.heard['image_camera_info']} == {
        (30.0, 'optical')}
    clock = [msg.clock.sec * 10**9 + msg.clock.nanosec for msg in ear.heard['/clock']]
    assert clock == sorted(clock)
    assert clock[0] == START
    assert clock[-1] == START + (COUNT - 1) * 50_000_000
    assert len(clock) > COUNT


def test_a_recording_as_recorded(tmp_path, ear, spawn):
    from rclpy.qos import DurabilityPolicy, QoSProfile
    from rosgraph_msgs.msg import Clock
    from sensor_msgs.msg import CameraInfo, Image
    from std_msgs.msg import String
    ear.subscribe(Image, '/robot/eye/image_raw')
    ear.subscribe(CameraInfo, '/robot/eye/camera_info')
    ear.subscribe(String, '/chatter')
    ear.subscribe(Clock, '/clock', 1000)
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    ear.subscribe(String, '/map_name', latched)
    child = spawn('play', recording(tmp_path / 'bag'), '--as-recorded', '--clock', '--speed', 0.5,
                  '--wait-for-subscribers', 4)
    assert ear.listen(child) == 0
    assert '/number is left out: its type nobody_msgs/msg/Number is not installed' in child.output
    heard = ear.heard['/robot/eye/image_raw']
    assert [stamp_ns(msg) - START for msg in heard] == [i * 50_000_000 for i in range(COUNT)]
    assert [bytes(msg.data) for msg in heard] == [bytes([i]) * 2304 for i in range(COUNT)]
    assert [msg.k[4] for msg in ear.heard['/robot/eye/camera_info']] == [30.0] * COUNT
    assert [msg.data for msg in ear.heard['/chatter']] == [str(i) for i in range(COUNT)]
    assert [msg.data for msg in ear.heard['/map_name']] == ['kitchen']
    clock = [msg.clock.sec * 10**9 + msg.clock.nanosec for msg in ear.heard['/clock']]
    assert clock == sorted(clock)
    # The reception of the last message, not its stamp.
    assert (clock[0], clock[-1]) == (START, START + (COUNT - 1) * 50_000_000 + 2_000_000)


def test_chosen_topics_of_a_recording(tmp_path, ear, spawn):
    from std_msgs.msg import String
    ear.subscribe(String, '/chatter')
    ear.subscribe(String, '/map_name')
    child = spawn('play', recording(tmp_path / 'bag'), '--as-recorded', '--topic', '/chatter',
                  '--wait-for-subscribers', 1)
    assert ear.listen(child) == 0
    assert len(ear.heard['/chatter']) == COUNT
    assert not ear.heard['/map_name']


def test_damaged_pictures_are_named_and_counted(pictures, ros_domain, spawn):
    folder, _ = pictures
    (folder / '1.png').write_bytes(b'damaged')
    child = spawn('play', folder, '--rate', 100)
    assert child.wait() == 0
    assert f'left out: {folder}/1.png: no picture that OpenCV can decode' in child.output
    assert f'played {COUNT - 1} messages' in child.output
    assert '1 damaged pictures were left out' in child.output
    strict = spawn('play', folder, '--rate', 100, '--strict')
    assert strict.wait() == 1
    assert strict.output.splitlines()[-1].startswith(f'jrn_play: {folder}/1.png: no picture')
    for file in folder.iterdir():
        file.write_bytes(b'damaged')
    nothing = spawn('play', folder)
    assert nothing.wait() == 1
    assert f'jrn_play: {folder}: nothing in it could be played' in nothing.output


@pytest.mark.parametrize('arguments, reason', [
    (['nothing'], 'nothing: no such file or folder; expected'),
    (['nothing', '--as-recorded'], 'nothing: no such recording'),
    (['pictures', '--as-recorded'], 'pictures is no rosbag2 recording'),
    (['bag', '--as-recorded', '--encoding', 'rgb8'], '--encoding cannot go with --as-recorded'),
    (['bag', '--as-recorded', '--size', '2x2'], '--size cannot go with --as-recorded'),
    (['bag', '--as-recorded', '--topic', '/up'], "no messages of '/up'; there are: "),
    (['bag', '--as-recorded', '--topic', '/number'], 'no messages of a type that is installed'),
    (['bag', '--topic', '/a', '--topic', '/b'], '--topic: a camera has one topic'),
    (['bag', '--topic', '/up'], "no image topic '/up'; there are: /robot/eye/image_raw"),
    (['pictures', '--topic', '/up'], 'only a recording has topics'),
    (['pictures', '--ros-args', '-p', 'bogus'], 'ROS arguments -p bogus: '),
])
def test_refusals(pictures, tmp_path, ros_domain, monkeypatch, capfd, arguments, reason):
    recording(tmp_path / 'bag')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr('signal.signal', lambda *_: None)
    assert main(arguments) == 1
    lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith('jrn_play: ')]
    assert len(lines) == 1
    assert reason in lines[0]


def test_without_ros_one_line_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setattr('signal.signal', lambda *_: None)
    monkeypatch.setitem(sys.modules, 'rclpy', None)
    assert main(['scenes']) == 1
    assert capsys.readouterr().err == ('jrn_play: rclpy is missing: source a ROS 2 installation, '
                                       "or in a checkout pip install '.[ros]'\n")


@pytest.mark.parametrize('arguments', [
    ['--rate', '0'], ['--rate', 'nan'], ['--speed', '-1'], ['--count', '0'], ['--size', '640'],
    ['--size', '0x2'], ['--encoding', 'rgb16'], ['--rate', '1', '--speed', '2'],
    ['--reliable', '--best-effort'], ['--wait-for-subscribers', '0']])
def test_arguments_that_make_no_sense(arguments, capsys):
    with pytest.raises(SystemExit):
        parser().parse_args(['scenes', *arguments])
    assert 'jrn_play: error: ' in capsys.readouterr().err


def test_best_effort_is_offered(pictures, ear, spawn):
    from rclpy.qos import ReliabilityPolicy
    folder, _ = pictures
    for option, expected in ((['--best-effort'], ReliabilityPolicy.BEST_EFFORT),
                             ([], ReliabilityPolicy.RELIABLE)):
        child = spawn('play', folder, '--loop', *option)
        deadline = time.monotonic() + 30
        offered = []
        while not offered:
            assert time.monotonic() < deadline, child.output
            time.sleep(0.05)
            offered = ear.node.get_publishers_info_by_topic('/image')
        assert [info.qos_profile.reliability for info in offered] == [expected]
        assert child.stop() == 0
        while ear.node.get_publishers_info_by_topic('/image'):
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.mark.parametrize('kind', ['binned', 'nan'])
def test_the_camera_of_a_recording(tmp_path, ear, spawn, kind):
    pytest.importorskip('rosbags')
    from jrn_perception.recordings.reader import CAMERA_INFO, IMAGE
    from jrn_perception.recordings.writer import Writer
    from sensor_msgs.msg import CameraInfo, Image
    matrix = np.array(((120., 0, 64), (0, 124, 48), (0, 0, 1)))
    with Writer(tmp_path / 'bag') as writer:
        writer.add('/image', IMAGE)
        writer.add('/camera_info', CAMERA_INFO)
        for index in range(3):
            stamp = START + index * 10**8
            header = writer.header(stamp, 'eye')
            info = writer.camera_info(header, (96, 128), matrix)
            info.binning_x = info.binning_y = 2
            info.k = info.k * (np.nan if kind == 'nan' else 1)
            writer.write('/camera_info', stamp, info)
            writer.write('/image', stamp, writer.image(
                header, np.zeros((48, 64, 3), np.uint8), 'rgb8'))
    ear.subscribe(Image, 'image')
    ear.subscribe(CameraInfo, 'image_camera_info')
    child = spawn('play', tmp_path / 'bag', '--start', '0.1', '--wait-for-subscribers', 1)
    assert ear.listen(child) == 0
    assert len(ear.heard['image']) == 2
    expected = [60, 0, 32, 0, 62, 24, 0, 0, 1] if kind == 'binned' else [0] * 9
    assert [list(info.k) for info in ear.heard['image_camera_info']] == [expected] * 2
    said = 'no focal length: /camera_info: camera_info has no focal length (K is 0)'
    assert (said in child.output) is (kind == 'nan')


def test_a_recording_of_ros_1_as_recorded(tmp_path, ear, spawn):
    rosbag1 = pytest.importorskip('rosbags.rosbag1')
    from rosbags.typesys import get_typestore, Stores
    from std_msgs.msg import Header
    store = get_typestore(Stores.ROS1_NOETIC)
    types = store.types
    path = tmp_path / 'run.bag'
    with rosbag1.Writer(path) as writer:
        topic = writer.add_connection('/chatter', 'std_msgs/msg/Header', typestore=store)
        # ROS 2 lays this type out otherwise.
        other = writer.add_connection('/other', 'std_msgs/msg/String',
                                      msgdef='int32 a\nstring data\n', md5sum='1' * 32)
        for index in range(3):
            time_ = types['builtin_interfaces/msg/Time'](1_700_000_000 + index, 5)
            writer.write(topic, START + index * 10**8, store.serialize_ros1(
                types['std_msgs/msg/Header'](7, time_, 'eye'), 'std_msgs/msg/Header'))
            writer.write(other, START + index * 10**8, bytes(8))
    ear.subscribe(Header, '/chatter')
    child = spawn('play', path, '--as-recorded', '--wait-for-subscribers', 1)
    assert ear.listen(child) == 0
    assert [(msg.stamp.sec, msg.stamp.nanosec, msg.frame_id) for msg in ear.heard['/chatter']] == [
        (1_700_000_000 + index, 5, 'eye') for index in range(3)]
    assert '/other is left out: its type std_msgs/msg/String has another layout' in child.output
