# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""One camera of the node: its subscriptions, its outputs, and what is known about both."""

from __future__ import annotations

from time import monotonic, perf_counter

from builtin_interfaces.msg import Time as TimeMessage
from diagnostic_msgs.msg import DiagnosticStatus
from jrn_perception.messages.camera_info import Calibration
from jrn_perception.messages.images import BadImage, compressed_to_rgb
from jrn_perception.perception import ArrayMaps, SetUp
from jrn_perception.perception.inputs.interface import SourceError
from jrn_perception.perception.temporal import TemporalFilter
from jrn_perception.ros.camera.diagnostics import (
    Activity,
    explain_silence,
    report,
    Statistics,
    status_name,
    Timing,
)
from jrn_perception.ros.camera.frame_checks import deviation_missing, no_valid_depth, StampCheck
from jrn_perception.ros.camera.log import CameraLog, in_words
from jrn_perception.ros.camera.sensor_depth import SensorDepth
from jrn_perception.ros.camera.worker import RateLimit, Worker
from jrn_perception.ros.camera_info.calibration import ImageNeeds
from jrn_perception.ros.camera_info.topics import CameraInfoTopics
from jrn_perception.ros.conversions.images import to_rgb
from jrn_perception.ros.middleware import qos
from jrn_perception.ros.middleware.camera_topics import topic
from jrn_perception.ros.network.configuration import Configuration
from jrn_perception.ros.network.governing import Governing
from jrn_perception.ros.outputs import (
    Delivery,
    Frame,
    need_metres,
    Output,
    OutputPublishers,
    Result,
)
from jrn_perception.ros.range.correction import DepthCorrection
import numpy as np
from rclpy.node import Node
from rclpy.time import Time
from sensor_msgs.msg import CompressedImage, Image


class CameraStream:
    """
    One camera: subscriptions, outputs, statistics, and the way of a frame from one to the other.

    It subscribes to the images only while somebody wants an output. The executor's thread calls
    everything but ``adopt`` and the processing of frames, which the worker's thread does. So there
    are two configurations: the latest, and the one that frames are processed with.
    """

    def __init__(self, node: Node, worker: Worker, configuration: Configuration,
                 governing: Governing, name: str = ''):
        self._node, self._latest, self._running = node, configuration, configuration
        self._governing, self.name = governing, name
        self._log = CameraLog(node, name)
        self._active = False
        self.statistics = Statistics()
        self._slot = worker.open_slot(self._process, self._on_failure)
        self._rate_limit, self._stamps, self._filter = RateLimit(), StampCheck(), TemporalFilter()
        self._wanted_since: float | None = None
        self.correction = DepthCorrection(node, configuration.settings, name)
        self._sensor = SensorDepth(node, name)

        self.outputs = OutputPublishers(node, self.update_demand, name)
        self._info_topics = CameraInfoTopics(node, name, self.update_demand)
        self.infos = self._info_topics.infos
        # Made once before anybody listens, because that declares the QoS parameters of the topic.
        self.subscription = self._subscribe()
        self.topic = self.subscription.topic_name
        self._calibration = self._info_topics.watch(configuration.settings.rectified, self.topic)
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
        self._sensor.listen(False)
        self._info_topics.close()
        if self.subscription is not None:
            self._node.destroy_subscription(self.subscription)

    def is_wanted(self) -> bool:
        """Return whether frames should be processed now."""
        settings, perception, _ = self._latest
        return self._active and settings.enabled and (
            not settings.lazy or bool(self.outputs.listened_to(perception))
            or self._info_topics.has_listener())

    def update_demand(self) -> None:
        """Subscribe to the images if they are wanted now, unsubscribe if they are not."""
        wanted = self.is_wanted()
        self._sensor.listen(wanted and self._latest.perception.reads_measured)
        if not wanted:
            self._wanted_since = None
        elif self._wanted_since is None:
            self._wanted_since = monotonic()
        if wanted and self.subscription is None:
            self.subscription = self._subscribe()
            self._log.debug(f'subscribed to {self.topic}: an output is wanted')
        elif not wanted and self.subscription is not None:
            self._log.debug(f'unsubscribed from {self.topic}: no output is wanted')
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
        self.statistics.rung = self._governing.report
        self._log.tell_once(self.statistics.camera_info_fault, correction.fault)
        self.statistics.clock_fault = '' if self._node.get_clock().now().nanoseconds else (
            'use_sim_time is true, but no time has come on /clock: play the recording with '
            '--clock, or set use_sim_time to false')
        wanted_for = -1.0 if self._wanted_since is None else monotonic() - self._wanted_since
        status = report(
            status_name(self._node.get_fully_qualified_name(), self.name),
            self._latest.settings, self._running, self.statistics,
            Activity(wanted_for, self._slot.busy_for(), self._explain_idleness(),
                     lambda: explain_silence(self._node, self.subscription), self._active))
        self._log.follow(status)
        return status

    def _explain_idleness(self) -> str:
        listened = self.outputs.listened_to()
        if any(output.influence for output in listened):
            return 'influence/* has subscribers, which only jrn and symbiosis compute'
        if listened:
            return ('depth_confidence has subscribers, but the deviation of depth has not been '
                    'fitted to these weights (jrn_calibrate --depth)')
        return 'nobody subscribes to an output'

    def _subscribe(self):
        # image_transport's convention: the name of the transport follows the resolved base topic,
        # so that one remapping of `image` serves both.
        kind, name = Image, self._node.resolve_topic_name(topic(self.name, 'image'))
        if self._latest.settings.image_transport == 'compressed':
            kind, name = CompressedImage, f'{name}/compressed'
        return qos.subscribe(self._node, kind, name, self._on_image, qos.SENSOR_QOS)

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
        if not configuration.predicts_as(self._running):
            self._filter.forget()
        self._running = configuration

    def _process(self, message: Image | CompressedImage) -> None:
        started = perf_counter()
        if not self._active:
            return
        self._governing.check()
        settings, perception, _ = self._running
        try:
            self._stamps.check(message.header.stamp, self._node.get_clock().now(),
                               settings.max_age)
            rgb = (to_rgb if isinstance(message, Image) else compressed_to_rgb)(message)
        except BadImage as error:
            self._reject(str(error))
            return
        size = rgb.shape[:2]
        wanted = self.outputs.wanted(settings, perception)
        if not wanted:
            self._pass_on_camera_info(message, size, started)
            return
        picture = perception.preprocess(rgb)
        preprocessed = perf_counter()
        try:
            inputs = self._source(message, rgb, picture, wanted)
        except (BadImage, SourceError) as error:
            self._reject(str(error))
            return
        maps = perception.infer(picture[None], SetUp(
            settings.mute, settings.mute_value, any(output.influence for output in wanted)),
            inputs)
        inferred = perf_counter()
        # Not earlier: a camera_info that is published right after its image has arrived by now.
        camera = self._match_camera_info(message.header.stamp, size, wanted)
        focal_length = self._focal_length(camera)
        if settings.temporal_filter:
            seconds = Time.from_msg(message.header.stamp).nanoseconds / 1e9
            maps = self._filter(maps, picture, seconds, settings.temporal_filter,
                                (size, focal_length))
        prediction = perception.postprocess(maps, size, focal_length)
        if need_metres(wanted, settings):
            prediction = self.correction.apply(prediction, message.header, camera.intrinsics,
                                               settings)
        self.statistics.influence = prediction.mean_influence
        result = Result(Frame(rgb, prediction, message.header, camera.intrinsics), settings)
        self._check_limits(result, wanted)
        delivery = self.outputs.make(result, wanted)
        self._info_topics.add_to(delivery, camera, message.header)
        made = perf_counter()
        delivery.publish()
        published = perf_counter()
        self._report_failures(delivery)
        milliseconds = [1e3 * (end - start) for start, end in (
            (started, preprocessed), (preprocessed, inferred), (inferred, made),
            (made, published))]
        timing = Timing(*milliseconds, self._latency_ms(message.header.stamp))
        self.statistics.finish(timing)
        self._governing.finish(timing.latency_ms, timing.processing_ms)
        self._log.debug(
            'frame {}.{:09d}: preprocess {:.1f}, inference {:.1f}, postprocess {:.1f}, '
            'publish {:.1f} ms; {}'.format(
                message.header.stamp.sec, message.header.stamp.nanosec, *milliseconds,
                ', '.join(delivery.delivered)))

    def _latency_ms(self, stamp: TimeMessage) -> float:
        """Return the time since ``stamp``, NaN before a simulation has told the time."""
        now = self._node.get_clock().now()
        return (now - Time.from_msg(stamp)).nanoseconds / 1e6 if now.nanoseconds else float('nan')

    def _pass_on_camera_info(self, message: Image | CompressedImage, size: tuple[int, int],
                             started: float) -> None:
        """Serve a frame of which camera_info alone is wanted: the network does not run."""
        preprocessed = perf_counter()
        delivery = Delivery()
        self._info_topics.add_to(
            delivery, self._match_camera_info(message.header.stamp, size, []), message.header)
        delivery.publish()
        self._report_failures(delivery)
        self.statistics.finish(Timing(
            1e3 * (preprocessed - started), 0.0, 0.0, 1e3 * (perf_counter() - preprocessed),
            self._latency_ms(message.header.stamp)))

    def _source(self, message: Image | CompressedImage, rgb: np.ndarray, picture: np.ndarray,
                wanted: list[Output]) -> ArrayMaps | None:
        """Return what the JRN gets from sources other than its networks; BadImage, SourceError."""
        perception = self._running.perception
        if not perception.reads_measured:
            self.statistics.sensor_fault = ''
            return perception.sourced(rgb, picture)
        stamp = message.header.stamp
        measured = self._sensor.find(stamp)
        self.statistics.sensor_fault = self._sensor.fault
        camera = self._match_camera_info(stamp, rgb.shape[:2], wanted)
        return perception.sourced(rgb, picture, measured, self._focal_length(camera))

    def _focal_length(self, camera: Calibration) -> tuple[float, float] | None:
        if camera.intrinsics and self._running.settings.focal_correction:
            return camera.intrinsics[:2]
        return None

    def _match_camera_info(self, stamp: TimeMessage, size: tuple[int, int],
                           wanted: list[Output]) -> Calibration:
        settings, perception, _ = self._running
        corrects = settings.focal_correction and perception.corrects_focal_length
        return self._calibration.match(ImageNeeds(
            stamp, size, cloud=any(output.cloud for output in wanted),
            correction=corrects and need_metres(wanted, settings)))

    def _check_limits(self, result: Result, wanted: list[Output]) -> None:
        """Report limits that leave no valid depth for this camera, and muting that does."""
        fault = ''
        if any(output.metric for output in wanted):
            fault = no_valid_depth(result, self._running)
        if fault:
            self._log.depth_fails(fault)
        else:
            fault = deviation_missing(self._running)
        self.statistics.depth_fault = fault

    def _report_failures(self, delivery: Delivery) -> None:
        """Count and log the outputs that failed; raise if none was published."""
        failures = delivery.failures
        if failures and not self._node.context.ok():  # Ctrl-C between two publications.
            return
        if failures and set(delivery.delivered) <= {'camera_info'}:
            raise next(iter(failures.values()))
        self.statistics.miss_outputs({name: in_words(error) for name, error in failures.items()})
        if failures:
            self._log.outputs_fail(failures)

    def _reject(self, reason: str) -> None:
        self.statistics.reject(f'{self.topic}: {reason}')
        self._log.rejects(self.topic, reason)

    def _on_failure(self, error: Exception) -> None:
        if not self._node.context.ok():  # Ctrl-C while a frame was processed.
            return
        self.statistics.fail(in_words(error))
        self._log.frame_fails(error)
