# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""A robot around the node: camera, listeners and operator, in this process, over real DDS."""

from dataclasses import replace
import gc
from itertools import count
import re
import struct
import threading
import time
from types import SimpleNamespace

import cv2
from jrn_perception.perception import Perception
import numpy as np
import pytest
import torch

try:
    from diagnostic_msgs.msg import DiagnosticArray
    from rcl_interfaces.msg import Log
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.parameter import Parameter
    from rclpy.parameter_client import AsyncParameterClient
    from rclpy.qos import DurabilityPolicy, QoSProfile
    from rclpy.time import Time
    from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2, PointField
    from std_msgs.msg import Header
    from std_srvs.srv import SetBool
except ImportError:  # `ros_domain`, which every robot asks for, skips the test.
    pass

TIMEOUT_S = 30.0
LOAD_S = 20
# Small pictures: what is tested is the node, not the network. And no verdict on a busy machine.
SETUP = {'architecture': 'hydranet', 'weights': 'random', 'backend': 'torch',
         'inference_height': 64, 'inference_width': 96,
         'max_processing_time_ms': 60_000, 'max_silence_s': 3600}
WINDOW_S = 100.0


class Spinner:
    """An executor and its thread; what a callback raises is kept for the end of the test."""

    def __init__(self, node):
        self.error = None
        self._executor = SingleThreadedExecutor(context=node.context)
        self._executor.add_node(node)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f'spin {node.get_name()}')
        self._thread.start()

    def _run(self):
        try:
            while not self._ended.is_set():
                self._executor.spin_once(timeout_sec=0.2)
        except Exception as error:  # noqa: B902, BLE001 raised again by `end`
            self.error = error

    def end(self):
        self._ended.set()
        self._executor.create_task(lambda: None)  # Or it waits until the timeout.
        self._thread.join()
        self._executor.shutdown()
        if self.error is not None:
            raise self.error


class Robot:
    """
    A camera, listeners and an operator, and between them the node under test.

    `start` makes the node and spins it. `camera` and `listen` connect to it and return when both
    sides know each other, and `send` waits for a node that has just subscribed to the images, so
    that no frame is lost to discovery. `logs` and `statuses` collect the messages of /rosout and
    /diagnostics.
    """

    def __init__(self):
        # Two participants of DDS, as two processes would be.
        self._contexts = rclpy.Context(), rclpy.Context()
        for context in self._contexts:
            rclpy.init(context=context)
        self.body = rclpy.create_node('robot', context=self._contexts[0])
        self.node = self._spinner = self._publisher = self._client = None
        self._publisher_matches = False
        self._cameras = 1
        self._calibration = None
        self._sensors = {}
        self.logs, self.statuses = [], []
        self._changed = threading.Condition()
        self._last_stamp = 0
        # What a node logs before it is discovered counts as well.
        self.body.create_subscription(
            Log, '/rosout', self._append_to(self.logs), QoSProfile(
                depth=1000, durability=DurabilityPolicy.TRANSIENT_LOCAL))
        self.body.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics, 10)
        self._body_spinner = Spinner(self.body)

    def start(self, *ros_arguments, namespace=None, setup=SETUP, **parameters):
        """Start the node, in place of the one before; `parameters` over those of the `setup`."""
        from jrn_perception.ros.node import PerceptionNode
        self.stop()
        self._cameras = len(parameters.get('cameras', '').split(','))
        overrides = [Parameter(name, value=value)
                     for name, value in {**setup, **parameters}.items()]
        self.node = PerceptionNode(
            context=self._contexts[1], namespace=namespace, parameter_overrides=overrides,
            use_global_arguments=False, cli_args=['--ros-args', *ros_arguments])
        for timer in self.node.timers:
            timer.timer_period_ns //= 10  # Tests wait for statuses all the time.
            timer.reset()
        self._spinner = Spinner(self.node)
        return self.node

    def fit_deviation(self):
        """Make the running network one whose deviation of depth has been fitted."""
        perception = self.node.cameras[0]._latest.perception
        perception.card = replace(perception.card, depth_deviation=(-2.0, 1.0, 0, 0.5, 0, 0))

    def stop(self):
        node, self.node = self.node, None
        self._client = None
        if node is not None:
            try:
                self._spinner.end()
            finally:
                node.destroy_node()

    def end(self):
        try:
            try:
                self.stop()
            finally:
                self._body_spinner.end()
        finally:
            self.body.destroy_node()
            for context in self._contexts:
                rclpy.try_shutdown(context=context)

    def wait_for(self, condition, what='what the test waits for'):
        """Return `condition()` as soon as it is true; fail if that takes too long."""
        deadline = time.monotonic() + TIMEOUT_S
        with self._changed:
            while not (result := condition()):
                if time.monotonic() > deadline:
                    pytest.fail(f'{what}: never seen. Last words:\n'
                                + '\n'.join(log.msg for log in self.logs[-5:]))
                self._changed.wait(0.01)
        return result

    def _append_to(self, items):
        def append(item):
            with self._changed:
                items.append(item)
                self._changed.notify_all()
        return append

    # Topics.

    def camera(self, topic='image', kind=None, qos=10, match=True):
        """
        Return a publisher of pictures; `send` and `ask` use the last.

        With `match`, `send` waits until publisher and node know each other, if the node listens.
        """
        self._publisher = self.body.create_publisher(kind or Image, topic, qos)
        self._publisher_matches = match
        return self._publisher

    def meet(self, publisher):
        """Return when the node and `publisher` know each other."""
        subscription, = (other for other in self.node.subscriptions
                         if other.topic_name == publisher.topic_name)

        def readers(side):
            return sorted(bytes(info.endpoint_gid) for info in
                          side.get_subscriptions_info_by_topic(publisher.topic_name))
        # The publisher may still count a subscription that the node has just destroyed.
        self.wait_for(lambda: publisher.get_subscription_count()
                      and subscription.get_publisher_count()
                      and readers(self.body) == readers(self.node),
                      f'{publisher.topic_name} matched')

    def meet_camera(self):
        """Return when the camera's publisher and the node know each other, if the node listens."""
        if self.node is None or self._publisher is None or not self._publisher_matches:
            return
        topics = [stream.topic for stream in self.node.cameras]
        stream = self.node.cameras[topics.index(self._publisher.topic_name)
                                   if len(topics) > 1 else 0]
        self.wait_for(lambda: stream.is_wanted() == (stream.subscription is not None),
                      'the node has subscribed to the camera, or unsubscribed')
        if stream.subscription is None:
            self.wait_for(lambda: not self._publisher.get_subscription_count(),
                          'the camera knows that nobody listens')
        else:
            self.meet(self._publisher)

    def calibrate(self, height=48, width=64, k=(50.0, 0, 31.0, 0, 55.0, 22.0, 0, 0, 1), **fields):
        """Return when the node has this camera_info (by default of a small `picture`)."""
        info = CameraInfo(height=height, width=width, k=list(map(float, k)), **fields)
        if self._calibration is None:
            self._calibration = self.body.create_publisher(CameraInfo, 'image_camera_info', 10)
        self.meet(self._calibration)

        def arrived():
            self._calibration.publish(info)
            return info in self.node.cameras[0].infos.recent()
        self.wait_for(arrived, 'camera_info at the node')
        return info

    def sense(self, kind, message, header):
        """Publish a message of a range sensor; return when the node has it."""
        sensor, = (sensor for sensor in self.node.cameras[0].correction.inputs.sensors
                   if sensor.kind == kind)
        if sensor.topic not in self._sensors:
            self._sensors[sensor.topic] = self.body.create_publisher(
                type(message), sensor.topic, 10)
        self.wait_for(lambda: sensor.topic in [other.topic_name for other in
                                               self.node.subscriptions], f'{sensor.topic} read')
        self.meet(self._sensors[sensor.topic])
        message.header = header
        self._sensors[sensor.topic].publish(message)
        self.wait_for(lambda: header in [reading.message.header for reading in sensor.recent()],
                      f'{sensor.topic} at the node')

    def listen(self, topic='depth', kind=None, qos=10, match=True):
        """Return the list that what the node publishes on `topic` is appended to."""
        messages = []
        subscription = self.body.create_subscription(
            kind or Image, topic, self._append_to(messages), qos)
        if match:
            publisher, = (other for other in self.node.publishers
                          if other.topic_name == subscription.topic_name)
            self.wait_for(lambda: subscription.get_publisher_count()
                          and publisher.get_subscription_count(),
                          f'{subscription.topic_name} matched')
            self.meet_camera()
        return messages

    def qos_of(self, topic, end):
        """Return the reliability of the node's PUBLISHER or SUBSCRIPTION of a topic."""
        lookup = getattr(self.body, f'get_{end.lower()}s_info_by_topic')

        def mine():
            # The graph still shows a node that has just been stopped.
            infos = [info for info in lookup(topic) if info.node_name == 'jrn_perception']
            return infos if len(infos) == 1 else None
        return self.wait_for(mine, f'one {end} of {topic}')[0].qos_profile.reliability

    def header(self, stamp_ns=None, frame_id='camera_optical_frame'):
        """Return a header, by default with the time now, later than every header before."""
        if stamp_ns is None:
            now = self.body.get_clock().now().nanoseconds
            stamp_ns = self._last_stamp = max(now, self._last_stamp + 1)
        return Header(stamp=Time(nanoseconds=stamp_ns).to_msg(), frame_id=frame_id)

    def send(self, picture, encoding='rgb8', **header):
        """Publish a picture, or a message as it is; return its header."""
        message = picture
        if isinstance(picture, np.ndarray):
            message = image_message(picture, encoding)
        message.header = self.header(**header)
        self.meet_camera()
        self._publisher.publish(message)
        return message.header

    def ask(self, picture, *inboxes, **options):
        """Send a picture and return the answer to it from each inbox (one: itself)."""
        header = self.send(picture, **options)
        answers = self.answers(header, *inboxes)
        return answers[0] if len(inboxes) == 1 else answers

    def answers(self, header, *inboxes):
        """Return from each inbox the message that has this stamp."""
        def found():
            return [next((message for message in reversed(inbox)
                          if message.header.stamp == header.stamp), None) for inbox in inboxes]
        self.wait_for(lambda: None not in found(), f'an answer to {header.stamp}')
        return found()

    # What an operator does and sees.

    def configure(self, **values):
        """Set parameters as `ros2 param set` does, all at once; return the result."""
        from rcl_interfaces.srv import SetParametersAtomically
        return self.call(SetParametersAtomically, 'set_parameters_atomically',
                         parameters=[Parameter(name, value=value).to_parameter_msg()
                                     for name, value in values.items()]).result

    def get(self, name):
        """Return the value of a parameter, as `ros2 param get` does."""
        if self._client is None:
            self._client = AsyncParameterClient(self.body, self.node.get_fully_qualified_name())
            assert self._client.wait_for_services(TIMEOUT_S)
        future = self._client.get_parameters([name])
        self.wait_for(future.done, f'the value of {name}')
        return rclpy.parameter.parameter_value_to_python(future.result().values[0])

    def enable(self, on):
        return self.call(SetBool, 'enable', data=on)

    def call(self, kind, service, **request):
        client = self.body.create_client(
            kind, f'{self.node.get_fully_qualified_name()}/{service}')
        assert client.wait_for_service(TIMEOUT_S)
        future = client.call_async(kind.Request(**request))
        self.wait_for(future.done, f'an answer from {service}')
        self.body.destroy_client(client)
        return future.result()

    def _on_diagnostics(self, message):
        assert len(message.status) == self._cameras, 'one status for each camera'
        with self._changed:
            self.statuses += [self._read_status(message.header, status)
                              for status in message.status]
            self._changed.notify_all()

    @staticmethod
    def _read_status(header, status):
        values = {pair.key: pair.value for pair in status.values}
        return SimpleNamespace(
            level=ord(status.level), name=status.name, message=status.message,
            hardware_id=status.hardware_id, header=header, values=values,
            # Not a number while the node does not listen.
            arrived=(None if values.get('rate_in_hz', 'nan') == 'nan'
                     else round(float(values['rate_in_hz']) * WINDOW_S)),
            count={key: int(value) for key, value in values.items() if key[:7] == 'frames_'})

    def status(self, condition=lambda status: True, camera=''):
        """Return the first status of a camera from now on that meets the condition."""
        name = f'perception {camera}'.rstrip()
        start = len(self.statuses)
        try:
            return self.wait_for(
                lambda: next((status for status in self.statuses[start:]
                              if status.name.endswith(f': {name}') and condition(status)), None),
                'the status')
        except pytest.fail.Exception as failure:
            pytest.fail(f'{failure}\nlast of {len(self.statuses) - start}: {self.statuses[-1:]}')

    def warnings(self, text=''):
        """Return what the node logged as a warning or worse and holds `text`."""
        return [log.msg for log in self.logs
                if log.name == 'jrn_perception' and log.level >= 30 and text in log.msg]


def image_message(array, encoding, padding=0):
    """Return the message of an array (H, W[, C]), `padding` foreign bytes after each row."""
    rows = np.ascontiguousarray(array).view(np.uint8).reshape(len(array), -1)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=171)
    message = Image(height=array.shape[0], width=array.shape[1], encoding=encoding,
                    step=rows.shape[1])
    message.data.frombytes(rows.tobytes())
    return message


def array_of(message):
    """Return the array of an unpadded message, as a subscriber of the documented type reads it."""
    if isinstance(message, CompressedImage):
        return compressed_array_of(message)
    dtype, channels = {'32FC1': ('<f4', 1), '16UC1': ('<u2', 1), 'mono8': ('u1', 1),
                       'rgb8': ('u1', 3), '32FC3': ('<f4', 3)}[message.encoding]
    assert message.step == message.width * channels * np.dtype(dtype).itemsize
    assert not message.is_bigendian
    shape = (message.height, message.width) + ((channels,) if channels > 1 else ())
    return np.frombuffer(message.data, dtype).reshape(shape)


def compressed_array_of(message):
    """Return the array of a compressed message, decoded as image_transport_plugins does."""
    encoding, _, packing = message.format.partition('; ')
    data = np.frombuffer(message.data, np.uint8)
    if not packing.startswith('compressedDepth'):
        array = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
        if encoding == 'mono8':
            assert packing == 'png compressed ' and array.ndim == 2
            return array
        assert encoding == 'rgb8' and re.fullmatch('(jpeg|png) compressed bgr8', packing)
        return array[..., ::-1]
    assert packing == 'compressedDepth png'
    kind, scale, offset = struct.unpack_from('<i2f', message.data)
    array = cv2.imdecode(data[12:], cv2.IMREAD_UNCHANGED)
    assert kind == 0 and array.dtype == np.uint16
    if encoding == '16UC1':
        return array
    assert encoding == '32FC1'
    with np.errstate(divide='ignore'):
        depth = np.float32(scale) / (array.astype(np.float32) - np.float32(offset))
    return np.where(array > 0, depth, np.float32(np.nan))


def points_of(message):
    """Return the points of an organised cloud, read by the message's own description."""
    types = {PointField.FLOAT32: '<f4', PointField.UINT8: 'u1'}
    dtype = np.dtype({
        'names': [field.name for field in message.fields],
        'formats': [types[field.datatype] for field in message.fields],
        'offsets': [field.offset for field in message.fields], 'itemsize': message.point_step})
    assert not message.is_bigendian
    assert message.row_step == message.width * message.point_step
    assert len(message.data) == message.height * message.row_step
    return np.frombuffer(message.data, dtype).reshape(message.height, message.width)


def cloud_of(points, dtype='<f4'):
    """Return a PointCloud2 of points (n, 3)."""
    points = np.asarray(points, dtype)
    size = points.dtype.itemsize
    kind = {4: PointField.FLOAT32, 8: PointField.FLOAT64}[size]
    message = PointCloud2(
        height=1, width=len(points), point_step=3 * size, row_step=3 * size * len(points),
        fields=[PointField(name=axis, offset=index * size, datatype=kind, count=1)
                for index, axis in enumerate('xyz')])
    message.data.frombytes(points.tobytes())
    return message


_SEEDS = count()


def picture(height=48, width=64, seed=None):
    """Return RGB of coarse random patches, uint8 (height, width, 3); another one each time."""
    random = np.random.default_rng(next(_SEEDS) if seed is None else seed)
    patches = random.integers(0, 256, (6, 8, 3), np.uint8)
    return patches[np.arange(height)[:, None] * 6 // height, np.arange(width) * 8 // width]


@pytest.fixture(scope='session', autouse=True)
def _one_thread():
    # Threads of torch that wait for each other on a busy machine take ten times as long, and the
    # order of their sums would show in the last bit.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def robot(ros_domain, monkeypatch):
    """Return a `Robot`; the node is not started yet."""
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    # Longer than a test, so that nothing it counts is forgotten.
    monkeypatch.setattr('jrn_perception.ros.camera.diagnostics.WINDOW_S', WINDOW_S)
    # And what is wrong with camera_info is told with the next status.
    monkeypatch.setattr('jrn_perception.ros.camera_info.calibration.WAIT_S', 0.0)
    # rclpy frees the node of the previous test late, and with it ends the log of its name.
    gc.collect()
    robot = Robot()
    yield robot
    robot.end()


class Gate:
    """
    Holds pictures in the network: `started` counts those that came, `go_on` lets as many go on.

    From `close` to `remove`; a network that is loaded in between would wait as well.
    """

    def __init__(self, monkeypatch):
        self._monkeypatch, self._infer = monkeypatch, Perception.infer
        self.started, self.go_on = threading.Semaphore(0), threading.Semaphore(0)

    def close(self):
        def held(perception, *arguments):
            self.started.release()
            assert self.go_on.acquire(timeout=60)
            return self._infer(perception, *arguments)
        self._monkeypatch.setattr(Perception, 'infer', held)

    def remove(self):
        self._monkeypatch.setattr(Perception, 'infer', self._infer)


@pytest.fixture
def infer_gate(robot, monkeypatch):
    """Return a `Gate`; at the end all go on, before the robot's node is stopped."""
    gate = Gate(monkeypatch)
    yield gate
    gate.go_on.release(100)


@pytest.fixture
def tools():
    """Return what tests make messages from and read them with."""
    return SimpleNamespace(
        picture=picture, image_message=image_message, array_of=array_of, points_of=points_of,
        cloud_of=cloud_of, setup=SETUP)


@pytest.fixture
def slow_load(monkeypatch):
    """Return semaphores (loading, go on) of networks that load for as long as the test likes."""
    loading, go_on, load = threading.Semaphore(0), threading.Semaphore(0), Perception.load

    def slow(*arguments, **options):
        loading.release()
        assert go_on.acquire(timeout=LOAD_S)
        return load(*arguments, **options)

    def install():
        monkeypatch.setattr(Perception, 'load', slow)
        return loading, go_on
    yield install
    go_on.release(10)
