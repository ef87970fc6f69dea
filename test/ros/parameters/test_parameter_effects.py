# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Each parameter, set while the node runs, changes what can be seen."""

from dataclasses import replace
from importlib import import_module
import math

import cv2
from jrn_perception import drawing, labels, networks, weights
from jrn_perception.perception import Perception
from jrn_perception.perception.backends.torch import knows_bfloat16
import numpy as np
import pytest
import torch

rclpy = pytest.importorskip('rclpy', reason="needs ROS 2 (pip install '.[ros]')")
parameters = import_module('jrn_perception.ros.parameters.settings')
CameraInfo = import_module('sensor_msgs.msg').CameraInfo
CompressedImage = import_module('sensor_msgs.msg').CompressedImage
PointCloud2 = import_module('sensor_msgs.msg').PointCloud2
BY_NAME, PARAMETERS = parameters.BY_NAME, parameters.PARAMETERS


class Shown:
    """A running node, a camera and the answers to one and the same picture."""

    def __init__(self, robot, tools, output, kind=None, **start):
        self.robot, self.tools, self.output, self.kind = robot, tools, output, kind
        self.rgb = tools.picture(seed=3)
        self.start(**start)

    def start(self, **start):
        self.robot.start(**start)
        self.robot.camera()
        self.inbox = self.robot.listen(self.output, self.kind)

    def array(self):
        return self.tools.array_of(self.robot.ask(self.rgb, self.inbox))

    def configure(self, **values):
        result = self.robot.configure(**values)
        assert result.successful, result.reason

    def library(self, architecture='hydranet', variant='', *mute, **options):
        options = {'weights_file': 'random', 'height': 64, 'width': 96, 'backend': 'torch',
                   **options}
        return Perception.load(architecture, variant, **options)(self.rgb, *mute)


def differ(one, other):
    return not np.array_equal(one, other, equal_nan=one.dtype.kind == 'f')


def architecture(robot, tools):
    shown = Shown(robot, tools, 'semantics')
    assert np.array_equal(shown.array(), shown.library().labels)
    shown.configure(architecture='jrn')
    assert np.array_equal(shown.array(), shown.library('jrn').labels)
    assert robot.status().values['architecture'] == 'jrn'


def variant(robot, tools):
    shown = Shown(robot, tools, 'semantics', variant='kitti6')
    assert np.array_equal(shown.array(), shown.library(variant='kitti6').labels)
    shown.configure(variant='nyu40_kitti6')
    assert np.array_equal(shown.array(), shown.library(variant='nyu40_kitti6').labels)
    assert robot.status().values['variant'] == 'nyu40_kitti6'


def mute(robot, tools):
    shown = Shown(robot, tools, 'confidence', architecture='jrn')
    answers = []
    for modality in ('none', 'depth', 'semantics'):
        shown.configure(mute=modality)
        answers.append(shown.array())
        assert np.array_equal(answers[-1], shown.library('jrn', '', modality).confidence)
    assert all(differ(answers[i], answers[j]) for i, j in ((0, 1), (0, 2), (1, 2)))
    assert robot.status().values['mute'] == 'semantics'


def mute_value(robot, tools):
    shown = Shown(robot, tools, 'confidence', architecture='jrn', mute='depth')
    answers = []
    for value in ('zero', 'mean', 'noise'):
        shown.configure(mute_value=value)
        answers.append(shown.array())
        assert np.array_equal(answers[-1], shown.library('jrn', '', 'depth', value).confidence)
    assert all(differ(answers[i], answers[j]) for i, j in ((0, 1), (0, 2), (1, 2)))


def depth_source(robot, tools):
    # What a depth camera changes: test_node_sources.py.
    robot.start(architecture='jrn', variant='cat1', depth_source='sensor')
    assert robot.status().values['depth_source'] == 'sensor'
    assert robot.node.cameras[0].outputs.listened_to() == []
    robot.camera()
    depth = robot.listen('depth')
    robot.ask(tools.picture(), depth)
    status = robot.status(lambda status: 'no depth image has arrived' in status.message)
    assert status.level == 1


def semantics_source(robot, tools, folder):
    pytest.importorskip('onnxruntime')
    (folder / 'torn.onnx').write_bytes(b'nothing')
    (folder / 'torn.yaml').write_text('mean: [0, 0, 0]\nstd: [1, 1, 1]\nsize: [48, 64]\n'
                                      'classes: [wall]\n')
    robot.start(architecture='jrn', variant='cat1')
    result = robot.configure(semantics_source=str(folder / 'torn.onnx'))
    assert not result.successful and 'torn.onnx: not a usable ONNX file' in result.reason
    assert robot.get('semantics_source') == 'network'


def weights_(robot, tools, folder):
    loaded = weights.load('hydranet', weights='random', seed=7)
    file = folder / 'mine.safetensors'
    card = weights.save(loaded.network, loaded.card, file)
    shown = Shown(robot, tools, 'confidence')
    first = shown.array()
    shown.configure(weights=str(file))
    second = shown.array()
    assert differ(first, second)
    assert np.array_equal(second, shown.library(weights_file=str(file)).confidence)
    values = robot.status().values
    assert (values['weights'], values['weights_sha256']) == (str(file), card.sha256)
    shown.start(weights=str(file))
    assert np.array_equal(shown.array(), second)


def device(robot, tools):
    Shown(robot, tools, 'depth', device='cpu')
    status = robot.status()
    assert status.hardware_id == status.values['device'] == 'cpu'
    with pytest.raises(ValueError, match="device 'cuda:99' is not there.*auto or cpu"):
        robot.start(device='cuda:99')


def precision(robot, tools):
    shown = Shown(robot, tools, 'confidence', device='cpu', precision='bf16')
    answer = shown.array()
    assert np.array_equal(answer, shown.library(device='cpu', precision='bf16').confidence)
    assert differ(answer, shown.library(device='cpu', precision='fp32').confidence)
    assert robot.status().values['precision'] == 'bf16'
    emulated = not knows_bfloat16(torch.device('cpu'))
    if emulated:
        robot.wait_for(lambda: robot.warnings('this CPU emulates it'))
    assert len(robot.warnings('this CPU emulates it')) == emulated
    with pytest.raises(ValueError, match='fp16'):
        robot.start(device='cpu', precision='fp16')


def backend(robot, tools, cache):
    for package in ('onnx', 'onnxruntime', 'onnxscript'):
        pytest.importorskip(package, reason=f'{package} is not installed')
    shown = Shown(robot, tools, 'confidence', backend='onnxruntime')
    answer = shown.array()
    right = shown.library(backend='torch').confidence
    np.testing.assert_allclose(answer, right, atol=1e-4)
    assert np.array_equal(answer, shown.library(backend='onnxruntime').confidence)
    values = robot.status().values
    assert values['backend'].startswith('onnxruntime ') and values['precision'] == 'fp32'
    # Nothing here is slower than a user expects.
    assert not robot.warnings('running on the CPU')


def threads(robot, tools):
    before = torch.get_num_threads()
    try:
        shown = Shown(robot, tools, 'confidence', threads=1, backend='torch')
        assert torch.get_num_threads() == 1
        np.testing.assert_allclose(shown.array(), shown.library().confidence, atol=1e-5)
    finally:
        torch.set_num_threads(before)


def inference_height(robot, tools):
    shown = Shown(robot, tools, 'confidence', inference_height=32)
    assert np.array_equal(shown.array(), shown.library(height=32).confidence)
    assert differ(shown.array(), shown.library().confidence)


def inference_width(robot, tools):
    shown = Shown(robot, tools, 'confidence', inference_width=64)
    assert np.array_equal(shown.array(), shown.library(width=64).confidence)
    assert differ(shown.array(), shown.library().confidence)


def image_transport(robot, tools):
    robot.start(image_transport='compressed')
    robot.camera('image/compressed', CompressedImage)
    message = CompressedImage(format='png')
    message.data.frombytes(cv2.imencode('.png', tools.picture())[1].tobytes())
    robot.ask(message, robot.listen('depth'))
    assert robot.body.count_subscribers('/image') == 0


def depth_encoding(robot, tools):
    shown = Shown(robot, tools, 'depth', depth_encoding='16UC1')
    answer = shown.array()
    assert answer.dtype == np.uint16
    assert np.array_equal(answer, np.rint(shown.library().depth * np.float32(1000)))


def confidence_encoding(robot, tools):
    shown = Shown(robot, tools, 'confidence', confidence_encoding='mono8')
    answer = shown.array()
    assert answer.dtype == np.uint8
    assert np.array_equal(answer, np.rint(255 * shown.library().confidence))


def focal_correction(robot, tools, folder):
    loaded = weights.load('hydranet', weights='random')
    file = folder / 'mine.safetensors'
    card = replace(loaded.card, input_size=(64, 96), focal_length=(60.0, 60.0))
    weights.save(loaded.network, card, file)
    shown = Shown(robot, tools, 'depth', weights=str(file), max_depth=1000.0)
    plain = shown.array()
    # 48x64 pictures, enlarged by 4/3 and 3/2 for the network.
    info = CameraInfo(height=48, width=64, k=[80.0, 0, 32, 0, 90.0, 24, 0, 0, 1])
    calibration = robot.body.create_publisher(CameraInfo, 'image_camera_info', 10)
    robot.meet(calibration)
    calibration.publish(info)
    expected = plain * math.sqrt(80 * 1.5 / 60 * 90 * 4 / 3 / 60)
    robot.wait_for(lambda: np.allclose(shown.array(), expected, rtol=1e-5), 'corrected depth')
    shown.configure(focal_correction=False)
    assert np.array_equal(shown.array(), plain)
    shown.configure(focal_correction=True)
    # An uncalibrated camera: said once, and nothing is corrected.
    calibration.publish(CameraInfo(height=48, width=64))
    robot.wait_for(lambda: np.array_equal(shown.array(), plain), 'plain depth')
    shown.array()
    robot.wait_for(lambda: robot.warnings('K is 0'))
    for _ in range(2):
        robot.status()
    assert len(robot.warnings('K is 0')) == 1


def rectified(robot, tools):
    # `-p rectified:=yes` reaches the node as true.
    for given, focal_length, middle in (('no', 50, 31), ('yes', 40, 30), (True, 40, 30)):
        shown = Shown(robot, tools, 'depth', rectified=given)
        clouds = robot.listen('points', PointCloud2)
        robot.calibrate(p=[40.0, 0, 30, 0, 0, 41.0, 20, 0, 0, 0, 1, 0])
        at = tools.points_of(robot.ask(shown.rgb, clouds))[10, 20]
        assert at['x'] == pytest.approx(at['z'] * (20 - middle) / focal_length)
    assert robot.get('rectified') == 'yes'


def points_stride(robot, tools):
    shown = Shown(robot, tools, 'points/semantics', points_stride=4)
    robot.calibrate()
    labels_ = shown.library().labels
    assert np.array_equal(shown.array(), labels_[::4, ::4])
    shown.configure(points_stride=5)
    assert np.array_equal(shown.array(), labels_[::5, ::5])
    assert shown.array().shape == (10, 13)


def min_depth(robot, tools):
    shown = Shown(robot, tools, 'depth')
    full = shown.array()
    assert not np.isnan(full).any()
    shown.configure(min_depth=float(np.median(full)))
    assert np.array_equal(np.isnan(shown.array()), full < np.median(full))


def max_depth(robot, tools):
    shown = Shown(robot, tools, 'depth')
    full = shown.array()
    shown.configure(max_depth=float(np.median(full)))
    assert np.array_equal(np.isnan(shown.array()), full > np.median(full))


def out_of_range(robot, tools):
    shown = Shown(robot, tools, 'depth')
    full = shown.array()
    low, high = (float(value) for value in np.quantile(full, (0.25, 0.75)))
    shown.configure(min_depth=low, max_depth=high, out_of_range='inf')
    found = shown.array()
    assert np.array_equal(found == -np.inf, full < low)
    assert np.array_equal(found == np.inf, full > high)
    shown.configure(out_of_range='nan')
    assert np.array_equal(np.isnan(shown.array()), (full < low) | (full > high))


def fitted_weights(folder):
    """Return a file of random weights whose deviation of depth is known."""
    loaded = weights.load('hydranet', weights='random')
    file = folder / 'mine.safetensors'
    weights.save(loaded.network, replace(
        loaded.card, depth_deviation=(-2.0, 0.5, 0.1, 1.0, 0.3, 0.0)), file)
    return file


def depth_confidence_threshold(robot, tools, folder):
    file = fitted_weights(folder)
    shown = Shown(robot, tools, 'depth', weights=str(file))
    expected = shown.library(weights_file=str(file))
    found = tools.array_of(robot.ask(shown.rgb, robot.listen('depth_confidence')))
    assert np.array_equal(found, expected.depth_deviation) and (found > 0).all()
    share = expected.depth_deviation / expected.depth
    threshold = float(np.median(share))
    shown.configure(depth_confidence_threshold=threshold)
    assert np.array_equal(np.isnan(shown.array()),
                          expected.depth_deviation > threshold * expected.depth)
    assert 0.3 < np.isnan(shown.array()).mean() < 0.7
    # Other weights, whose deviation is not known.
    shown.start(depth_confidence_threshold=threshold)
    assert not np.isnan(shown.array()).any()
    assert 'depth_confidence_threshold has no effect' in robot.status(
        lambda status: status.level == 1).message


def points_confidence(robot, tools, folder):
    file = fitted_weights(folder)
    shown = Shown(robot, tools, 'points/confidence', weights=str(file))
    robot.calibrate()
    expected = shown.library(weights_file=str(file))
    np.testing.assert_array_equal(shown.array(), np.rint(255 * expected.confidence))
    shown.configure(points_confidence='depth')
    share = np.maximum(1 - expected.depth_deviation / expected.depth, 0)
    np.testing.assert_allclose(shown.array(), 255 * share, atol=0.51)
    # Other weights, whose deviation is not known.
    shown.start(points_confidence='depth')
    robot.calibrate()
    assert not shown.array().any()
    assert 'points_confidence depth is 0' in robot.status(
        lambda status: status.level == 1).message


def no_depth_classes(robot, tools):
    shown = Shown(robot, tools, 'depth')
    full, mirror = shown.array(), shown.library().labels == labels.NYU40.names.index('mirror')
    assert 0 < mirror.sum() < mirror.size
    for value, expected in (('nan', np.nan), ('inf', np.inf), ('cap', 5.0)):
        shown.configure(no_depth_classes=value, max_depth=5.0)
        assert np.array_equal(shown.array(), np.where(mirror, np.float32(expected), full),
                              equal_nan=True)
    shown.configure(no_depth_classes='predicted')
    assert np.array_equal(shown.array(), full)


def camera_height(robot, tools):
    shown = Shown(robot, tools, 'depth')
    robot.calibrate()
    shown.array()
    assert robot.status(lambda status: status.count['frames_processed'] == 1).values[
        'floor_reason'] == ''
    shown.configure(camera_height=1.2)
    shown.array()
    # In these random pictures.
    assert 'floor' in robot.status(lambda status: status.values['range_mode'] == 'none').values[
        'floor_reason']


class Measured(Shown):
    """What is shown, with points of twice the predicted depth from a sensor in ``frame``."""

    def __init__(self, robot, tools, frame='camera_optical_frame', **start):
        super().__init__(robot, tools, 'depth', max_depth=1000.0,
                         **{'range_inputs': 'points', 'anchoring': 'scale', **start})
        self.frame, self.plain = frame, self.library().depth
        robot.calibrate()

    def array(self, age=0.0):
        header = self.robot.header()
        stamp_ns = header.stamp.sec * 10 ** 9 + header.stamp.nanosec
        row, column = np.mgrid[:48:3, :64:3]
        z = 2 * self.plain[::3, ::3]
        points = np.stack([z * (column - 31) / 50, z * (row - 22) / 55, z], -1).reshape(-1, 3)
        self.robot.sense('points', self.tools.cloud_of(points), self.robot.header(
            stamp_ns - round(age * 1e9), self.frame))
        return self.tools.array_of(self.robot.ask(self.rgb, self.inbox, stamp_ns=stamp_ns))

    def is_corrected(self, **options):
        found = self.array(**options)
        if np.array_equal(found, self.plain):
            return False
        np.testing.assert_allclose(found, 2 * self.plain, rtol=0.03)
        return True


def range_inputs(robot, tools):
    assert Measured(robot, tools).is_corrected()
    with pytest.raises(ValueError, match="range_inputs: 'points, radar' are not some of points, "):
        robot.start(range_inputs='points, radar')


def range_max_age(robot, tools):
    shown = Measured(robot, tools)
    assert not shown.is_corrected(age=0.5)
    shown.configure(range_max_age=1.0)
    assert shown.is_corrected(age=0.5)


def range_extrinsics(robot, tools):
    assert Measured(robot, tools, 'lidar', range_extrinsics='0 0 0 0 0 0 1').is_corrected()
    with pytest.raises(ValueError, match='range_extrinsics: expected seven numbers'):
        robot.start(range_extrinsics='0 0 0')


def anchoring(robot, tools):
    shown = Measured(robot, tools, anchoring='off')
    assert not shown.is_corrected()
    assert robot.status().values['range_mode'] == 'off'
    found = []
    for mode in ('scale', 'scale_shift', 'field'):
        shown.configure(anchoring=mode)
        found.append(shown.array() / shown.plain)
        # Many points are believed, but not without regard to what is usual.
        assert np.median(found[-1]) == pytest.approx(2, rel=0.05)
        robot.status(lambda status, mode=mode: status.values['range_mode'] == mode)
    assert np.ptp(found[0]) < 1e-4 < min(np.ptp(other) for other in found[1:])
    assert differ(found[1], found[2])


def confidence_threshold(robot, tools):
    shown = Shown(robot, tools, 'semantics')
    full, confidence = shown.array(), shown.library().confidence
    assert not (full == labels.UNLABELLED).any()
    threshold = float(np.median(confidence))
    shown.configure(confidence_threshold=threshold)
    assert np.array_equal(shown.array(), np.where(confidence >= threshold, full, 255))


def enabled(robot, tools):
    shown = Shown(robot, tools, 'depth', enabled=False)
    robot.send(shown.rgb)
    # Nothing is read, so nothing arrives.
    assert robot.node.count_subscribers('/image') == 0
    status = robot.status()
    assert (status.level, status.values['state']) == (0, 'disabled')
    assert status.values['rate_in_hz'] == 'nan'
    assert 'enable' in status.message
    shown.configure(enabled=True)
    shown.array()
    assert robot.enable(False).success
    assert robot.get('enabled') is False
    robot.send(shown.rgb)
    robot.status(lambda status: status.values['state'] == 'disabled')
    assert robot.enable(True).success
    shown.array()
    # The two that came in between are gone for good.
    assert len(shown.inbox) == 2
    assert robot.status().count['frames_processed'] == 2


def lazy(robot, tools):
    robot.start(lazy=False)
    robot.camera()
    robot.send(tools.picture())
    robot.status(lambda status: status.count['frames_processed'] == 1)
    assert robot.configure(lazy=True).successful
    robot.send(tools.picture())
    status = robot.status(lambda status: status.values['state'] == 'idle')
    assert robot.node.count_subscribers('/image') == 0
    assert status.count['frames_processed'] == 1
    assert robot.configure(lazy=False).successful
    robot.send(tools.picture())
    # The one in between is gone for good.
    assert robot.status(lambda status: status.count['frames_processed'] > 1).arrived == 2


def max_rate(robot, tools):
    # One frame in a thousand seconds: the first.
    shown = Shown(robot, tools, 'depth', max_rate=0.001, **{
        'qos_overrides./image.subscription.reliability': 'reliable',
        'qos_overrides./image.subscription.depth': 10})
    shown.array()
    for _ in range(3):
        robot.send(shown.rgb)
    robot.status(lambda status: status.arrived == 4)
    # A change holds for the next frame, not only after the old limit's thousand seconds.
    shown.configure(max_rate=1000)
    shown.array()
    shown.configure(max_rate=0.001)
    shown.array()
    robot.send(shown.rgb)
    shown.configure(max_rate=0)
    shown.array()
    assert len(shown.inbox) == 4
    # What the limit holds back is not called dropped: the network is not too slow.
    assert robot.status().count['frames_dropped'] == 0


def max_age(robot, tools):
    shown = Shown(robot, tools, 'depth', max_age=100)
    now, second = robot.body.get_clock().now().nanoseconds, 10 ** 9
    robot.send(shown.rgb, stamp_ns=now - 1000 * second)
    robot.status(lambda status: status.count['frames_rejected'] == 1)
    assert 's old, max_age is 100' in robot.warnings('/image')[0]
    robot.ask(shown.rgb, shown.inbox, stamp_ns=now - 50 * second)
    shown.start(max_age=100)
    shown.configure(max_age=0)
    robot.ask(shown.rgb, shown.inbox, stamp_ns=now - 1000 * second)


def overlay_alpha(robot, tools):
    shown = Shown(robot, tools, 'overlay')
    for alpha in (0.5, 0.0, 1.0):
        shown.configure(overlay_alpha=alpha)
        expected = drawing.overlay(shown.rgb, shown.library().labels, labels.NYU40, alpha)
        assert np.array_equal(shown.array(), expected)
        assert np.array_equal(expected, shown.rgb) == (alpha == 0)


def depth_colormap(robot, tools):
    shown = Shown(robot, tools, 'depth_color')
    answers = []
    for name in drawing.COLORMAPS:
        shown.configure(depth_colormap=name)
        answers.append(shown.array())
        expected = shown.library()
        assert np.array_equal(answers[-1], drawing.colourise_depth(
            expected.depth, *expected.depth_limits(), name))
    assert len(answers) > 1
    assert len({answer.tobytes() for answer in answers}) == len(answers)


def compressed(shown, parameter, *values):
    """Return the messages of a compressed topic for values of a parameter."""
    answers = []
    for value in values:
        shown.configure(**{parameter: value})
        answers.append(shown.robot.ask(shown.rgb, shown.inbox))
    return answers


def compressed_format(robot, tools):
    shown = Shown(robot, tools, 'overlay/compressed', kind=CompressedImage)
    jpeg, png = compressed(shown, 'compressed_format', 'jpeg', 'png')
    assert (jpeg.format, png.format) == ('rgb8; jpeg compressed bgr8', 'rgb8; png compressed bgr8')
    expected = drawing.overlay(shown.rgb, shown.library().labels, labels.NYU40, 0.5)
    assert np.array_equal(tools.array_of(png), expected)
    assert differ(tools.array_of(jpeg), expected)


def jpeg_quality(robot, tools):
    shown = Shown(robot, tools, 'overlay/compressed', kind=CompressedImage)
    low, default, high = compressed(shown, 'jpeg_quality', 10, 95, 100)
    assert len(low.data) < len(default.data) < len(high.data)


def png_level(robot, tools):
    shown = Shown(robot, tools, 'semantics/compressed', kind=CompressedImage)
    none, most = compressed(shown, 'png_level', 0, 9)
    assert len(most.data) < 48 * 64 < len(none.data)
    assert np.array_equal(tools.array_of(none), shown.library().labels)
    assert np.array_equal(tools.array_of(none), tools.array_of(most))


def compressed_depth_max(robot, tools):
    shown = Shown(robot, tools, 'depth/compressedDepth', kind=CompressedImage)
    depth = shown.library().depth
    limit = float(np.clip(np.median(depth), 1.0, 100.0))
    for reach in (100.0, limit):
        answer, = compressed(shown, 'compressed_depth_max', reach)
        valid = np.isfinite(tools.array_of(answer))
        nearest = 10100 / (65535 + 10100 / reach)
        assert np.array_equal(valid, (depth < np.float32(reach)) & (depth <= 10)
                              & (depth > nearest))
    assert 0 < valid.sum() < valid.size


def compressed_depth_quantization(robot, tools):
    shown = Shown(robot, tools, 'depth/compressedDepth', kind=CompressedImage)
    depth = shown.library().depth
    for metres, answer in zip((20.0, 150.0), compressed(
            shown, 'compressed_depth_quantization', 20.0, 150.0)):
        found, scale = tools.array_of(answer), metres * (metres + 1)
        valid = np.isfinite(found)
        assert np.array_equal(valid, (depth < 10) & (depth > scale / (65535 + scale / 10)))
        # The value is cut to an integer, which moves depth away by less than a step.
        error = (found - depth)[valid]
        assert error.min() >= -1e-5
        assert (error <= 1e-5 + (depth ** 2 / (scale - depth))[valid]).all()
        largest = error.max()
    assert largest < 0.01


def max_processing_time_ms(robot, tools):
    shown = Shown(robot, tools, 'depth', max_processing_time_ms=0)
    shown.array()
    status = robot.status(lambda status: status.count['frames_processed'])
    assert status.level == 1
    assert 'max_processing_time_ms (0)' in status.message
    shown.configure(max_processing_time_ms=60_000)
    assert robot.status(lambda status: status.level == 0).message == 'frames flow'


def max_silence_s(robot, tools):
    shown = Shown(robot, tools, 'depth', max_silence_s=3600)
    assert robot.status(lambda status: status.values['state'] == 'running').level == 0
    shown.configure(max_silence_s=0.1)
    assert robot.status(lambda status: status.values['state'] == 'silent').level == 2
    shown.configure(max_silence_s=3600)
    assert robot.status(lambda status: status.values['state'] == 'running').level == 0


def temporal_filter(robot, tools):
    # What is averaged, and when it is not: test_steady_output.py.
    shown = Shown(robot, tools, 'confidence')
    first = shown.array()
    shown.rgb = np.clip(shown.rgb, 0, 252) + np.uint8(3)
    alone = shown.array()
    shown.rgb = shown.rgb - np.uint8(3)
    shown.configure(temporal_filter=10.0)
    assert differ(first, alone)
    shown.array()
    shown.rgb = shown.rgb + np.uint8(3)
    assert differ(shown.array(), alone)
    shown.configure(temporal_filter=0.0)
    assert np.array_equal(shown.array(), alone)


def max_latency_ms(robot, tools):
    # How rungs are chosen: test_latency.py.
    shown = Shown(robot, tools, 'depth', inference_height=96, inference_width=128,
                  max_latency_ms=0.001)
    full = shown.array()
    for _ in range(4):
        shown.array()
    assert np.array_equal(shown.array(), shown.library().depth)
    assert differ(full, shown.array())
    assert robot.status().values['latency_rung'].startswith('2 of 3: hydranet nyu40 at 64x96')


def cameras(robot, tools):
    robot.start(cameras='front, left')
    names = {publisher.topic_name for publisher in robot.node.publishers}
    assert {'/front/depth', '/left/depth'} <= names
    assert '/depth' not in names
    robot.start(cameras='')
    assert '/depth' in {publisher.topic_name for publisher in robot.node.publishers}
    with pytest.raises(ValueError, match='cameras: '):
        robot.start(cameras='front,front')


def autostart(robot, tools):
    robot.start(autostart=False)
    assert robot.status().values['state'] == 'unconfigured'
    robot.start(autostart=True)
    assert robot.status().values['state'] == 'idle'


def labels_(robot, tools):
    robot.start()
    names = robot.get('labels')
    result = robot.configure(labels=['wall'])
    assert not result.successful
    assert 'set by the node' in result.reason
    assert robot.get('labels') == names
    with pytest.raises(ValueError, match='labels: is set by the node'):
        robot.start(labels=['wall'])
    # What `ros2 param dump` wrote can be read back.
    robot.start(labels=names, variant='nyu40')


EFFECTS = {check.__name__.rstrip('_'): check for check in (
    architecture, variant, mute, mute_value, depth_source, semantics_source, weights_, device,
    precision, backend, threads, inference_height, inference_width, image_transport,
    depth_encoding, confidence_encoding, points_stride, points_confidence, focal_correction,
    rectified, min_depth, max_depth, out_of_range, depth_confidence_threshold, no_depth_classes,
    camera_height, range_inputs, range_max_age, range_extrinsics, anchoring, confidence_threshold,
    cameras,
    autostart, enabled, lazy, max_rate, max_age, overlay_alpha, depth_colormap,
    compressed_format, jpeg_quality, png_level, compressed_depth_max,
    compressed_depth_quantization,
    max_processing_time_ms, max_silence_s, max_latency_ms, temporal_filter, labels_)}


@pytest.mark.parametrize('name', BY_NAME)
def test_every_parameter_changes_what_can_be_seen(robot, tools, tmp_path, name, request):
    with_folder = ('weights', 'focal_correction', 'semantics_source',
                   'depth_confidence_threshold', 'points_confidence')
    arguments = (robot, tools, tmp_path) if name in with_folder else (robot, tools)
    if name == 'backend':
        arguments += request.getfixturevalue('cache'),
    EFFECTS[name](*arguments)


def test_the_documented_names_are_those_of_the_table():
    assert set(EFFECTS) == set(BY_NAME)
    assert len(BY_NAME) == len(PARAMETERS)
    assert set(parameters.IDENTITY) <= set(BY_NAME)
    assert set(BY_NAME['architecture'].choices) <= {*networks.ARCHITECTURES, networks.EXTERNAL}
