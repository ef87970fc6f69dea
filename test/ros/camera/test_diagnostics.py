# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""What operators see on /diagnostics, and when it is an error."""

from importlib import import_module

import numpy as np
import pytest
import torch

rclpy = pytest.importorskip('rclpy', reason="needs ROS 2 (pip install '.[ros]')")
diagnostics = import_module('jrn_perception.ros.camera.diagnostics')
parameters = import_module('jrn_perception.ros.parameters.settings')
CompressedImage = import_module('sensor_msgs.msg').CompressedImage
QoSProfile = rclpy.qos.QoSProfile
BEST_EFFORT = rclpy.qos.ReliabilityPolicy.BEST_EFFORT
OK, WARN, ERROR = 0, 1, 2
KEYS = {
    'state', 'architecture', 'variant', 'mute', 'weights', 'weights_sha256', 'device', 'precision',
    'backend', 'backends_refused', 'mute_effect', 'depth_source', 'semantics_source',
    'rate_in_hz', 'rate_out_hz', 'frames_processed', 'frames_dropped', 'frames_rejected',
    'frames_failed', 'outputs_failed', 'preprocess_ms', 'inference_ms', 'postprocess_ms',
    'publish_ms',
    'processing_time_ms_mean', 'processing_time_ms_p95', 'processing_time_ms_max',
    'pipeline_latency_ms', 'gpu_memory_mb', 'influence_depth_m', 'influence_semantics',
    'range_points_used', 'range_points_rejected', 'range_mode', 'range_scale', 'range_age_s',
    'floor_tilt_deg', 'floor_reason', 'latency_rung', 'latency_rung_changes'}


@pytest.fixture
def clock(monkeypatch):
    """Return the list whose one entry is the time of the module under test."""
    now = [5000.0]
    monkeypatch.setattr(diagnostics, 'monotonic', lambda: now[0])
    return now


def timing(milliseconds=10.0, latency=20.0):
    return diagnostics.Timing(*[milliseconds / 4] * 4, latency)


# The verdict alone.


class Case:
    """Statistics to be judged; `judge` returns level, state and message."""

    def __init__(self, clock, **settings):
        self.clock = clock
        self.settings = parameters.Settings(
            **{row.name: row.default for row in parameters.PARAMETERS} | settings)
        self.statistics = diagnostics.Statistics(last_arrival=clock[0])

    def feed(self, frames=1, drops=0, **options):
        for _ in range(frames):
            self.statistics.arrive()
            self.statistics.offer()
            self.statistics.finish(timing(**options))
        for _ in range(drops):
            self.statistics.arrive()
            self.statistics.offer()
            self.statistics.drop()
        return self

    def judge(self, wanted_for=1000.0, explain=lambda: 'the reason', busy_for=0.0,
              idle='nobody listens'):
        level, *words = diagnostics.judge(
            self.settings, self.statistics, self.statistics.recent(),
            diagnostics.Activity(wanted_for, busy_for, idle, explain))
        return (ord(level), *words)


def never():
    raise AssertionError('only silence needs an explanation')


def test_frames_flow(clock):
    assert Case(clock).feed().judge(explain=never) == (OK, 'running', 'frames flow')


def test_before_the_first_frame_it_waits(clock):
    assert Case(clock).judge() == (OK, 'running', 'waiting for the first frame')


def test_between_rare_frames_it_waits_for_the_next(clock):
    case = Case(clock).feed()
    clock[0] += diagnostics.WINDOW_S + 1
    case.statistics.arrive()
    assert case.judge(explain=never) == (OK, 'running', 'waiting for the next frame')


def test_a_frame_that_never_ends_is_an_error(clock):
    # However few of those that arrive are due, and whatever went wrong before.
    case = Case(clock, max_silence_s=3.0, max_rate=0.1).feed()
    case.statistics.fail('boom')
    clock[0] += 100
    case.statistics.arrive()
    assert case.judge(busy_for=3.0)[1] == 'failing'
    level, state, message = case.judge(busy_for=3.5, explain=never)
    assert (level, state) == (ERROR, 'stuck')
    # A network that always takes so long is slow.
    case.feed(milliseconds=2000.0)
    assert case.judge(busy_for=3.5)[1] != 'stuck'
    assert case.judge(busy_for=4.5)[1] == 'stuck'
    assert message.startswith(
        'a frame has been in progress for 3.5 s, longer than max_silence_s (3)')


def test_disabled_is_on_purpose_whatever_else_is_wrong(clock):
    case = Case(clock, enabled=False)
    case.statistics.fail('boom')
    clock[0] += 100
    assert case.judge(explain=never)[:2] == (OK, 'disabled')


def test_idle_is_on_purpose_however_silent_the_camera(clock):
    case = Case(clock)
    clock[0] += 100
    assert case.judge(wanted_for=-1.0, explain=never) == (OK, 'idle', 'idle: nobody listens')


def test_silence_is_an_error_only_as_long_as_somebody_waits(clock):
    case = Case(clock, max_silence_s=3.0).feed()
    clock[0] += 3.5
    level, state, message = case.judge()
    assert (level, state) == (ERROR, 'silent')
    assert message == 'no frame for 3.5 s: the reason'
    # Somebody has only just subscribed to a camera that was asleep.
    assert case.judge(wanted_for=1.0, explain=never)[0] == OK
    assert case.judge(wanted_for=3.2)[2] == 'no frame for 3.2 s: the reason'
    case.statistics.arrive()
    assert case.judge(explain=never)[0] == OK


def test_a_failure_is_an_error_until_a_frame_gets_through(clock):
    case = Case(clock).feed()
    case.statistics.fail('RuntimeError: CUDA out of memory')
    assert case.judge(explain=never) == (
        ERROR, 'failing', 'processing fails: RuntimeError: CUDA out of memory')
    assert case.feed().judge()[0] == OK


def test_nothing_but_rejections_is_an_error(clock):
    case = Case(clock)
    case.statistics.arrive()
    case.statistics.reject('/image: the size is 0x0')
    assert case.judge() == (ERROR, 'rejecting',
                            'every frame is rejected: /image: the size is 0x0')
    assert case.feed().judge()[0] == OK


def test_more_than_half_of_the_frames_dropped_is_a_warning(clock):
    assert Case(clock).feed(5, drops=5).judge()[0] == OK
    level, state, message = Case(clock).feed(5, drops=6).judge(explain=never)
    assert (level, state) == (WARN, 'running')
    assert message.startswith('6 of 11 frames dropped')
    # Those that a limit holds back take no part in it.
    case = Case(clock).feed(5, drops=6)
    for _ in range(100):
        case.statistics.arrive()
    assert case.judge() == (level, state, message)


def test_too_slow_on_average_is_a_warning(clock):
    assert Case(clock, max_processing_time_ms=10.0).feed(4, milliseconds=10).judge()[0] == OK
    case = Case(clock, max_processing_time_ms=10.0).feed(1, milliseconds=25)
    assert case.feed(2, milliseconds=4).judge()[:2] == (WARN, 'running')
    assert 'takes 11 ms, more than max_processing_time_ms (10)' in case.judge()[2]
    assert case.feed(1, milliseconds=4).judge()[0] == OK


def test_a_camera_info_that_does_not_fit_is_a_warning(clock):
    case = Case(clock).feed()
    case.statistics.camera_info_fault = 'camera_info is for 1x2, the image is 3x4'
    assert case.judge() == (WARN, 'running', 'camera_info is for 1x2, the image is 3x4')


def test_all_warnings_are_told_at_once(clock):
    case = Case(clock, max_processing_time_ms=10.0).feed(milliseconds=25)
    case.statistics.camera_info_fault = 'no camera_info'
    case.statistics.depth_fault = 'no depth is valid'
    case.statistics.miss_outputs({'points': 'ValueError: no', 'overlay': 'KeyError: 1'})
    assert case.judge() == (WARN, 'running', (
        'a frame takes 25 ms, more than max_processing_time_ms (10); no camera_info; '
        'no depth is valid; output points fails: ValueError: no; output overlay fails: '
        'KeyError: 1'))
    # Each of these lasts until a frame shows otherwise; the count stays.
    case.statistics.miss_outputs({})
    assert case.judge()[2].endswith('; no depth is valid')
    assert case.statistics.outputs_failed == 2


# The numbers.


def test_old_frames_leave_the_window_and_stay_in_the_counters(clock):
    case = Case(clock).feed(10, drops=5)
    case.statistics.reject('bad')
    clock[0] += diagnostics.WINDOW_S - 1
    case.feed(5)
    numbers = diagnostics.summarise(case.statistics, case.statistics.recent())
    assert (numbers['rate_in_hz'], numbers['rate_out_hz']) == (4.0, 3.0)
    clock[0] += 1
    numbers = diagnostics.summarise(case.statistics, case.statistics.recent())
    assert (numbers['rate_in_hz'], numbers['rate_out_hz']) == (1.0, 1.0)
    assert (numbers['frames_processed'], numbers['frames_dropped'],
            numbers['frames_rejected']) == (15, 5, 1)


def test_times_are_means_percentile_and_maximum_of_the_window(clock):
    case = Case(clock)
    values = [float(value) for value in np.random.default_rng(0).uniform(1, 50, 100)]
    for value in values:
        case.statistics.finish(diagnostics.Timing(value, 2 * value, 3 * value, 4 * value, value))
    numbers = diagnostics.summarise(case.statistics, case.statistics.recent())
    mean = np.mean(values)
    assert numbers['preprocess_ms'] == pytest.approx(mean)
    assert numbers['inference_ms'] == pytest.approx(2 * mean)
    assert numbers['postprocess_ms'] == pytest.approx(3 * mean)
    assert numbers['publish_ms'] == pytest.approx(4 * mean)
    assert numbers['processing_time_ms_mean'] == pytest.approx(10 * mean)
    assert numbers['processing_time_ms_p95'] == pytest.approx(10 * np.percentile(values, 95))
    assert numbers['processing_time_ms_max'] == pytest.approx(10 * max(values))
    assert numbers['pipeline_latency_ms'] == pytest.approx(mean)


def test_nothing_measured_is_nan(clock):
    case = Case(clock)
    numbers = diagnostics.summarise(case.statistics, case.statistics.recent())
    assert np.isnan([numbers[key] for key in numbers if key.endswith('_ms')]).all()
    assert numbers['frames_processed'] == 0


def test_values_are_strings_with_three_decimals_or_figures():
    pairs = diagnostics.key_values({
        'a': 1 / 3, 'b': 7, 'c': 'x', 'd': float('nan'), 'e': 12.34567, 'f': 0.00123456})
    assert [(pair.key, pair.value) for pair in pairs] == [
        ('a', '0.333'), ('b', '7'), ('c', 'x'), ('d', 'nan'), ('e', '12.346'), ('f', '0.00123')]


# On a running node.


def test_one_status_with_every_documented_key(robot, tools):
    robot.start()
    robot.camera()
    robot.ask(tools.picture(), robot.listen('depth'))
    status = robot.status(lambda status: status.count['frames_processed'])
    assert (status.level, status.message) == (OK, 'frames flow')
    assert set(status.values) == KEYS
    assert (status.name, status.hardware_id) == ('jrn_perception: perception', 'cpu')
    values = status.values
    assert (values['state'], values['architecture'], values['variant'], values['mute']) == (
        'running', 'hydranet', 'nyu40', 'none')
    assert (values['weights'], values['weights_sha256']) == ('random', 'random-0')
    assert (values['backend'], values['backends_refused']) == (f'torch {torch.__version__}', '')
    numbers = {key: float(values[key]) for key in KEYS if key[-3:] == '_ms' or '_ms_' in key}
    assert all(number > 0 for number in numbers.values()), numbers
    stages = sum(numbers[stage] for stage in diagnostics.STAGES)
    assert stages == pytest.approx(numbers['processing_time_ms_mean'], abs=0.003)
    # From the stamp to the publication: all that happened in the node lies within.
    assert numbers['pipeline_latency_ms'] > numbers['processing_time_ms_mean']


def test_idle_until_somebody_subscribes(robot):
    robot.start(max_silence_s=0.1)
    assert (robot.status().level, robot.status().values['state']) == (OK, 'idle')
    robot.listen('overlay')
    assert robot.status(lambda status: status.level == ERROR).values['state'] == 'silent'


def test_idle_says_so_if_somebody_listens_to_what_the_network_does_not_have(robot, tools):
    robot.start(architecture='hydranet')
    assert 'nobody subscribes to an output' in robot.status().message
    robot.listen('influence/depth')
    status = robot.status(lambda status: 'influence' in status.message)
    assert (status.level, status.values['state']) == (OK, 'idle')
    assert status.message == ('idle: influence/* has subscribers, which only jrn and symbiosis '
                              'compute')
    assert robot.configure(architecture='jrn', variant='cat1').successful
    assert robot.status(lambda status: status.values['state'] == 'running').level == OK


def test_idle_says_so_if_somebody_listens_to_a_deviation_that_was_not_fitted(robot):
    robot.start()
    robot.listen('depth_confidence')
    status = robot.status(lambda status: 'depth_confidence' in status.message)
    assert (status.level, status.values['state']) == (OK, 'idle')
    assert status.message == ('idle: depth_confidence has subscribers, but the deviation of depth '
                              'has not been fitted to these weights (jrn_calibrate --depth)')


@pytest.mark.parametrize('max_rate', [0.0, 0.01])
def test_a_network_that_hangs_is_an_error(robot, tools, infer_gate, max_rate):
    robot.start(max_rate=max_rate)
    robot.camera()
    depth = robot.listen('depth')
    infer_gate.close()
    robot.send(tools.picture())
    status = robot.status(lambda status: status.arrived == 1)
    assert (status.level, status.message) == (OK, 'waiting for the first frame')
    assert robot.configure(max_silence_s=0.1).successful

    def stuck():
        # The camera is not what is silent.
        robot.send(tools.picture())
        return robot.statuses[-1].values['state'] == 'stuck'
    robot.wait_for(stuck, 'stuck')
    assert robot.statuses[-1].level == ERROR
    assert 'a frame has been in progress for ' in robot.statuses[-1].message
    infer_gate.go_on.release(100)
    assert robot.configure(max_silence_s=3600).successful
    robot.wait_for(lambda: depth, 'the frame that was in progress')
    assert robot.status(lambda status: status.values['state'] == 'running').level < ERROR


def silence(robot):
    return robot.status(lambda status: status.values['state'] == 'silent').message


def test_silence_names_the_topic_that_nobody_publishes(robot):
    robot.start('-r', 'image:=/front/image_raw', max_silence_s=0.1, image_transport='compressed')
    robot.listen('depth')
    message = silence(robot)
    assert 'nobody publishes /front/image_raw/compressed' in message
    assert 'remapping' in message


def test_silence_counts_the_publishers(robot):
    robot.start(max_silence_s=0.1)
    robot.listen('depth')
    robot.camera()
    assert '1 publisher on /image but nothing arrives' in silence(robot)
    robot.camera()
    robot.status(lambda status: '2 publishers on /image' in status.message)


def test_a_qos_mismatch_is_named(robot):
    robot.start(max_silence_s=0.1,
                **{'qos_overrides./image.subscription.reliability': 'reliable'})
    robot.listen('depth')
    robot.camera(qos=QoSProfile(depth=1, reliability=BEST_EFFORT), match=False)
    status = robot.status(lambda status: '1 publisher on /image; ' in status.message)
    assert 'QoS of robot does not match: ' in status.message
    assert 'reliable' in status.message.lower()


def test_a_camera_of_another_type_is_named(robot):
    robot.start(max_silence_s=0.1)
    robot.listen('depth')
    robot.camera(kind=CompressedImage, match=False)
    status = robot.status(lambda status: '1 publisher on /image; ' in status.message)
    assert ('robot publishes sensor_msgs/msg/CompressedImage, not sensor_msgs/msg/Image: check '
            'image_transport') in status.message
