# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""One camera of the node: its subscriptions, its outputs, and what is known about both."""

from __future__ import annotations

from time import monotonic, perf_counter
import traceback

from builtin_interfaces.msg import Time as TimeMessage
from diagnostic_msgs.msg import DiagnosticStatus
from jrn_perception.messages.camera_info import Calibration, is_rectified
from jrn_perception.messages.images import BadImage, compressed_to_rgb
from jrn_perception.perception import SetUp
from jrn_perception.ros import qos
from jrn_perception.ros.calibration import CalibrationWatch, CameraInfoBuffer, ImageNeeds
from jrn_perception.ros.configuration import Configuration
from jrn_perception.ros.conversions.images import to_rgb, with_header
from jrn_perception.ros.diagnostics import Activity, explain_silence, report, Statistics, Timing
from jrn_perception.ros.outputs import Delivery, Frame, Output, OutputPublishers, Result
from jrn_perception.ros.range.correction import DepthCorrection
from jrn_perception.ros.worker import RateLimit, Worker
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.time import Time
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

THROTTLE_S = 5.0


def camera_info_topics(image: str, camera_info: str) -> list[str]:
    """
    Return the topics to read camera_info from, the resolved one first.

    If nobody has remapped it, the second is the one beside the topic ``image``, where
    image_transport's convention puts it.
    """
    if camera_info.rpartition('/')[2] != 'image_camera_info':
        return [camera_info]
    return [camera_info, f'{image.rpartition("/")[0]}/camera_info']


class StampCheck:
    """Refuses images of one camera whose stamps go back in time or are too old."""

    def __init__(self):
        self._last_ns = 0

    def check(self, stamp: TimeMessage, now: Time, max_age: float) -> None:
        """
        Raise ``BadImage`` with the reason if an image with this stamp cannot be used.

        The stamp may not lie before 1970, before the stamp of the previous image, or more than
        ``max_age`` seconds before ``now`` (0: any age). Time goes on from a refused image.
        """
        if stamp.sec < 0:
            raise BadImage(f'its stamp is before 1970 ({stamp.sec} s)')
        stamp_ns = Time.from_msg(stamp).nanoseconds
        previous_ns, self._last_ns = self._last_ns, stamp_ns
        if stamp_ns < previous_ns:
            raise BadImage(f'its stamp is {(previous_ns - stamp_ns) / 1e9:.3f} s before the one '
                           'of the previous frame: a looping recording, or two publishers')
        age = (now.nanoseconds - stamp_ns) / 1e9
        if max_age and age > max_age:
            raise BadImage(f'it is {age:.3f} s old, max_age is {max_age:g}')


class CameraStream:
    """
    One camera: subscriptions, outputs, statistics, and the way of a frame from one to the other.

    It subscribes to the images only while somebody wants an output. The executor's thread calls
    everything but ``adopt`` and the processing of frames, which the worker's thread does. So there
    are two configurations: the latest, and the one that frames are processed with.
    """

    def __init__(self, node: Node, worker: Worker, configuration: Configuration):
        self._node, self._latest, self._running = node, configuration, configuration
        self._active = False
        self.statistics = Statistics()
        self._slot = worker.open_slot(self._process, self._on_failure)
        self._rate_limit, self._stamps = RateLimit(), StampCheck()
        self._wanted_since: float | None = None
        self.infos = CameraInfoBuffer()
        self.correction = DepthCorrection(node, configuration.settings)
        self._reported_faults: set[str] = set()
        self._told_silence = False

        self.outputs = OutputPublishers(node, self.update_demand)
        own = node.resolve_topic_name('camera_info')
        sources = camera_info_topics(*map(
            node.resolve_topic_name, ('image', 'image_camera_info')))
        # If a remapping makes both the same topic, the node must not read its own messages.
        self._info_publisher: Publisher | None = None
        if own != sources[0]:
            self._info_publisher, _ = qos.publish_on_demand(
                node, CameraInfo, 'camera_info', qos.DATA_QOS, self.update_demand)
            sources = [topic for topic in sources if topic != own]
        self._info_subscriptions = [
            qos.subscribe(node, CameraInfo, topic, self.infos.add, qos.SENSOR_QOS)
            for topic in sources]
        # Made once before anybody listens, because that declares the QoS parameters of the topic.
        self.subscription = self._subscribe()
        self.topic = self.subscription.topic_name
        rectified = configuration.settings.rectified
        self._calibration = CalibrationWatch(
            self.infos, *map(node.resolve_topic_name, ('image_camera_info', 'points')),
            rectified == 'yes' or (rectified == 'auto' and is_rectified(self.topic)))
        self.update_demand()

    # On the executor's thread: demand, messages, diagnostics.

    def configure(self, configuration: Configuration) -> None:
        """Take the latest configuration for what happens before a frame is processed."""
        self._latest = configuration
        self.update_demand()

    def set_active(self, active: bool) -> None:
        """Begin to process frames, or end it: an image that waits is not processed."""
        self._active = active
        self.update_demand()

    def close(self) -> None:
        """Destroy all publishers and subscriptions."""
        self.outputs.close()
        self.correction.close()
        if self._info_publisher is not None:
            self._node.destroy_publisher(self._info_publisher)
        for subscription in (*self._info_subscriptions, self.subscription):
            if subscription is not None:
                self._node.destroy_subscription(subscription)

    def is_wanted(self) -> bool:
        """Return whether frames should be processed now."""
        settings, perception = self._latest
        return self._active and settings.enabled and (
            not settings.lazy or bool(self.outputs.listened_to(perception))
            or self._has_info_listener())

    def _has_info_listener(self) -> bool:
        return (self._info_publisher is not None
                and self._info_publisher.get_subscription_count() > 0)

    def update_demand(self) -> None:
        """Subscribe to the images if they are wanted now, unsubscribe if they are not."""
        wanted = self.is_wanted()
        if not wanted:
            self._wanted_since = None
        elif self._wanted_since is None:
            self._wanted_since = monotonic()
        if wanted and self.subscription is None:
            self.subscription = self._subscribe()
            self._debug(f'subscribed to {self.topic}: an output is wanted')
        elif not wanted and self.subscription is not None:
            self._debug(f'unsubscribed from {self.topic}: no output is wanted')
            # A subscription costs, even if its messages are dropped: each one is deserialised.
            self._node.destroy_subscription(self.subscription)
            self.subscription = None
        self.correction.subscribe(wanted)

    def status(self) -> DiagnosticStatus:
        """Return what diagnostics show of this camera; log a new fault of camera_info."""
        if self._wanted_since is None:
            self._calibration.forget()
        self.statistics.camera_info_fault = self._calibration.fault()
        self.statistics.correction = correction = self.correction.report()
        for fault in (self.statistics.camera_info_fault, correction.fault):
            if fault and fault not in self._reported_faults:
                self._reported_faults.add(fault)
                self._node.get_logger().warning(fault)
        self.statistics.clock_fault = '' if self._node.get_clock().now().nanoseconds else (
            'use_sim_time is true, but no time has come on /clock: play the recording with '
            '--clock, or set use_sim_time to false')
        wanted_for = -1.0 if self._wanted_since is None else monotonic() - self._wanted_since
        status = report(
            self._node.get_fully_qualified_name()[1:], self._latest.settings, self._running,
            self.statistics, Activity(wanted_for, self._slot.busy_for(), self._explain_idleness(),
                                      lambda: explain_silence(self._node, self.subscription),
                                      self._active))
        self._log_silence(status)
        return status

    def _log_silence(self, status: DiagnosticStatus) -> None:
        """Log once that no frame arrives, with the reason, and once that they arrive again."""
        silent = status.level == DiagnosticStatus.ERROR and status.values[0].value == 'silent'
        if silent and not self._told_silence:
            self._node.get_logger().warning(status.message)
        elif self._told_silence and not silent:
            self._node.get_logger().info(f'no longer silent: {status.message}')
        self._told_silence = silent

    def _explain_idleness(self) -> str:
        listened = self.outputs.listened_to()
        if any(output.influence for output in listened):
            return 'influence/* has subscribers, which only the jrn computes'
        if listened:
            return ('depth_confidence has subscribers, but the deviation of depth has not been '
                    'fitted to these weights (jrn_calibrate --depth)')
        return 'nobody subscribes to an output'

    def _subscribe(self):
        # image_transport's convention: the name of the transport follows the resolved base topic,
        # so that one remapping of `image` serves both.
        kind, topic = Image, self._node.resolve_topic_name('image')
        if self._latest.settings.image_transport == 'compressed':
            kind, topic = CompressedImage, f'{topic}/compressed'
        return qos.subscribe(self._node, kind, topic, self._on_image, qos.SENSOR_QOS)

    def _on_image(self, message: Image | CompressedImage) -> None:
        self.statistics.arrive()
        if not self._rate_limit.is_due(self._latest.settings.max_rate):
            return
        self.statistics.offer()
        if self._slot.offer(message):
            self.statistics.drop()

    # On the worker's thread: frames.

    def adopt(self, configuration: Configuration) -> None:
        """Process the next frames with this configuration."""
        self._running = configuration

    def _process(self, message: Image | CompressedImage) -> None:
        started = perf_counter()
        if not self._active:
            return
        settings, perception = self._running
        try:
            self._stamps.check(message.header.stamp, self._node.get_clock().now(),
                               settings.max_age)
            rgb = (to_rgb if isinstance(message, Image) else compressed_to_rgb)(message)
        except BadImage as error:
            self._reject(str(error))
            return
        size = rgb.shape[:2]
        wanted = self.outputs.wanted(self._running)
        if not wanted:
            self._pass_on_camera_info(message, size, started)
            return
        picture = perception.preprocess(rgb)
        preprocessed = perf_counter()
        maps = perception.infer(picture[None], SetUp(
            settings.mute, settings.mute_value, any(output.influence for output in wanted)))
        inferred = perf_counter()
        # Not earlier: a camera_info that is published right after its image has arrived by now.
        camera = self._match_camera_info(message.header.stamp, size, wanted)
        focal_length = (camera.intrinsics[:2] if camera.intrinsics and settings.focal_correction
                        else None)
        prediction = perception.postprocess(maps, size, focal_length)
        if any(output.metric for output in wanted):
            prediction = self.correction.apply(prediction, message.header, camera.intrinsics,
                                               settings)
        self.statistics.influence = prediction.mean_influence
        result = Result(Frame(rgb, prediction, message.header, camera.intrinsics), settings)
        self._check_limits(result, wanted)
        delivery = self.outputs.make(result, wanted)
        if camera.info is not None and self._info_publisher is not None:
            delivery.add('camera_info', self._info_publisher,
                         with_header(camera.info, message.header))
        made = perf_counter()
        delivery.publish()
        published = perf_counter()
        self._report_failures(delivery)
        milliseconds = [1e3 * (end - start) for start, end in (
            (started, preprocessed), (preprocessed, inferred), (inferred, made),
            (made, published))]
        self.statistics.finish(Timing(*milliseconds, self._latency_ms(message.header.stamp)))
        self._debug('frame {}.{:09d}: preprocess {:.1f}, inference {:.1f}, postprocess {:.1f}, '
                    'publish {:.1f} ms; {}'.format(
                        message.header.stamp.sec, message.header.stamp.nanosec, *milliseconds,
                        ', '.join(delivery.delivered)))

    def _latency_ms(self, stamp: TimeMessage) -> float:
        """Return the time since ``stamp``, NaN before a simulation has told the time."""
        now = self._node.get_clock().now()
        return (now - Time.from_msg(stamp)).nanoseconds / 1e6 if now.nanoseconds else float('nan')

    def _debug(self, text: str) -> None:
        self._node.get_logger().debug(text)

    def _pass_on_camera_info(self, message: Image | CompressedImage, size: tuple[int, int],
                             started: float) -> None:
        """Serve a frame of which camera_info alone is wanted: the network does not run."""
        preprocessed = perf_counter()
        info = self._match_camera_info(message.header.stamp, size, []).info
        if info is not None and self._has_info_listener():
            self._info_publisher.publish(with_header(info, message.header))
        self.statistics.finish(Timing(
            1e3 * (preprocessed - started), 0.0, 0.0, 1e3 * (perf_counter() - preprocessed),
            self._latency_ms(message.header.stamp)))

    def _match_camera_info(self, stamp: TimeMessage, size: tuple[int, int],
                           wanted: list[Output]) -> Calibration:
        settings, perception = self._running
        corrects = settings.focal_correction and perception.card.focal_length is not None
        return self._calibration.match(ImageNeeds(
            stamp, size, cloud=any(output.cloud for output in wanted),
            correction=corrects and any(output.metric for output in wanted)))

    def _check_limits(self, result: Result, wanted: list[Output]) -> None:
        """Report limits that leave no valid depth once they are scaled for this camera."""
        low, high = result.depth_range
        fault = ''
        if low >= high and any(output.metric for output in wanted):
            fault = (f'no depth is valid: min_depth is {low:.3g} m and max_depth {high:.3g} m, '
                     "where the weights' limits are scaled by "
                     f'{result.prediction.depth_scale:.3g} for the focal length; change one')
            self._node.get_logger().warning(fault, throttle_duration_sec=THROTTLE_S)
        elif (result.settings.depth_confidence_threshold
              and self._running.perception.card.depth_deviation is None):
            fault = ('depth_confidence_threshold has no effect: the deviation of depth has not '
                     'been fitted to these weights (jrn_calibrate --depth)')
        self.statistics.depth_fault = fault

    def _report_failures(self, delivery: Delivery) -> None:
        """Count and log the outputs that failed; raise if none was published."""
        failures = delivery.failures
        if failures and not self._node.context.ok():  # Ctrl-C between two publications.
            return
        if failures and set(delivery.delivered) <= {'camera_info'}:
            raise next(iter(failures.values()))
        self.statistics.miss_outputs({name: _in_words(error) for name, error in failures.items()})
        if failures:
            self._node.get_logger().error(
                '\n'.join(f'output {name} fails: {_traceback(error)}'
                          for name, error in failures.items()),
                throttle_duration_sec=THROTTLE_S)

    def _reject(self, reason: str) -> None:
        self.statistics.reject(f'{self.topic}: {reason}')
        self._node.get_logger().warning(f'rejected a message on {self.topic}: {reason}',
                                        throttle_duration_sec=THROTTLE_S)

    def _on_failure(self, error: Exception) -> None:
        if not self._node.context.ok():  # Ctrl-C while a frame was processed.
            return
        self.statistics.fail(_in_words(error))
        self._node.get_logger().error(_traceback(error), throttle_duration_sec=THROTTLE_S)


def _in_words(error: Exception) -> str:
    return f'{type(error).__name__}: {error}'


def _traceback(error: Exception) -> str:
    return ''.join(traceback.format_exception(error))
