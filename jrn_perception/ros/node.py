# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
The node: images in, depth and semantics out.

Two threads. The executor's takes messages, parameters and services and never waits for a network.
The worker's takes the newest image from a slot, runs the network and publishes; what it cannot
keep up with is overwritten in the slot, so that the newest frame wins.
"""

from __future__ import annotations

import threading
from time import monotonic, perf_counter
import traceback

from diagnostic_msgs.msg import DiagnosticArray
from jrn_perception.data.camera_info import Calibration, match
from jrn_perception.perception import Perception
from jrn_perception.ros import parameters, qos
from jrn_perception.ros.diagnostics import explain_silence, report, Statistics, Timing
from jrn_perception.ros.images import BadImage, with_header
from jrn_perception.ros.intake import Intake
from jrn_perception.ros.label_message import label_message, LabelInfo
from jrn_perception.ros.outputs import OUTPUTS, Result
from jrn_perception.ros.worker import RateLimit, Worker
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.time import Time
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_srvs.srv import SetBool

THROTTLE_S = 5.0


class PerceptionNode(Node):
    """
    The node ``jrn_perception``.

    Raises ValueError or RuntimeError with one line that says what to do if a parameter, the
    weights or the device cannot be used.
    """

    # Until the node is complete: rclpy destroys one that was refused half-way, too.
    _worker: Worker | None = None

    def __init__(self, **arguments):
        super().__init__('jrn_perception', automatically_declare_parameters_from_overrides=True,
                         **arguments)
        overrides = qos.overrides(self)
        settings = parameters.declare(self)
        # Settings and network that belong together change as one: one attribute, one assignment.
        given = settings.labels
        self._active = self._load(settings)
        parameters.check_labels(given, settings.labels)
        parameters.check_limits(settings, self._active[1].card.depth_range)
        self._warn_of_slow_device()
        self._statistics = Statistics()
        self._rate_limit = RateLimit()
        self._intake = Intake()
        self._wanted_since: float | None = None
        self._camera_info: CameraInfo | None = None

        self._outputs = {output: qos.publish(self, output.kind, output.name, output.qos)
                         for output in OUTPUTS}
        self._subscription = self._subscribe()
        camera_info = qos.subscribe(self, CameraInfo, 'image_camera_info', self._on_camera_info,
                                    qos.SENSOR_QOS)
        self._camera_info_publisher = None
        # A remapping that makes both the same topic must not make the node listen to itself.
        if self.resolve_topic_name('camera_info') != camera_info.topic_name:
            self._camera_info_publisher = qos.publish(self, CameraInfo, 'camera_info',
                                                      qos.DATA_QOS)
        self._label_publisher = None
        if LabelInfo is not None:
            self._label_publisher = qos.publish(self, LabelInfo, 'label_info', qos.LATCHED_QOS)
        qos.check_overrides(self, overrides)
        self._diagnostics_publisher = self.create_publisher(DiagnosticArray, '/diagnostics', 10)
        self.create_service(SetBool, '~/enable', self._on_enable)
        # Operators want to know as well when the clock of a simulation stands still.
        self.create_timer(1.0, self._diagnose, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._announcement = self.create_guard_condition(self._announce)
        self._announce()
        self.add_on_set_parameters_callback(self._on_parameters)
        self._worker = Worker(self._process, self._on_failure)
        self.get_logger().info(f'{self._describe()}, reading {self._subscription.topic_name}')

    def destroy_node(self) -> None:
        if self._worker is not None:
            self._worker.stop()
        super().destroy_node()

    # Messages in: on the executor's thread.

    def _subscribe(self):
        # image_transport's convention: the transport's name is appended to the resolved base
        # topic, so that one remapping of `image` serves both.
        topic = self.resolve_topic_name('image')
        if self._active[0].image_transport == 'compressed':
            return qos.subscribe(self, CompressedImage, f'{topic}/compressed', self._on_image,
                                 qos.SENSOR_QOS)
        return qos.subscribe(self, Image, topic, self._on_image, qos.SENSOR_QOS)

    def _on_image(self, message: Image | CompressedImage) -> None:
        self._statistics.arrive()
        settings = self._active[0]
        if not settings.enabled or not self._is_wanted():
            return
        if self._rate_limit.is_due(settings.max_rate) and self._worker.offer(message):
            self._statistics.drop()

    def _is_wanted(self) -> bool:
        settings, perception = self._active
        wanted = not settings.lazy or any(
            publisher.get_subscription_count()
            for output, publisher in self._outputs.items()
            if perception.mutable or not output.influence)
        if not wanted:
            self._wanted_since = None
        elif self._wanted_since is None:
            self._wanted_since = monotonic()
        return wanted

    def _on_camera_info(self, message: CameraInfo) -> None:
        self._camera_info = message

    def _on_enable(self, request: SetBool.Request, response: SetBool.Response):
        result = self.set_parameters([Parameter('enabled', value=request.data)])[0]
        response.success, response.message = result.successful, result.reason
        return response

    # Parameters and networks: on the executor's thread.

    def _on_parameters(self, changed: list[Parameter]) -> SetParametersResult:
        settings, perception = self._active
        changes = {parameter.name: parameter.value for parameter in changed
                   if parameter.name in parameters.BY_NAME}
        try:
            # rclpy refuses it itself, but only after this callback has swapped the network.
            if any(parameter.name == 'use_sim_time' and type(parameter.value) is not bool
                   for parameter in changed):
                raise ValueError('use_sim_time: expected true or false')
            new = parameters.merge(settings, changes)
            swaps = any(getattr(new, name) != getattr(settings, name)
                        for name in parameters.NETWORK)
            if swaps:
                new, perception = self._load_beside(new)
            parameters.check_limits(new, perception.card.depth_range)
        except ValueError as error:
            return SetParametersResult(successful=False, reason=str(error))
        self._active = new, perception
        if swaps:
            self.get_logger().info(f'swapped to {self._describe()}')
        if swaps or new.confidence_threshold != settings.confidence_threshold:
            # Parameters cannot be set from within this callback, but right after it.
            self._announcement.trigger()
        return SetParametersResult(successful=True)

    def _load(self, settings: parameters.Settings) -> tuple[parameters.Settings, Perception]:
        perception = Perception.load(
            settings.architecture, settings.variant, weights_file=settings.weights,
            device=settings.device, precision=settings.precision,
            height=settings.inference_height, width=settings.inference_width)
        # The first run allocates, and shows whether the network fits the device at all.
        perception.warm_up()
        settings.labels = list(perception.label_set.names)
        return settings, perception

    def _load_beside(self, settings: parameters.Settings):
        """
        Load another network while images keep coming.

        The executor waits for a parameter callback: images and diagnostics go on from here,
        services and the clock of a simulation wait.
        """
        outcome = []

        def load() -> None:
            try:
                outcome.append(self._load(settings))
            except Exception as error:  # noqa: B902, BLE001 refused, whatever it is
                # Not the error itself: its traceback would keep a half-loaded network alive.
                outcome.append(ValueError(str(error) or type(error).__name__))

        thread = threading.Thread(target=load, name='load')
        thread.start()
        diagnosed = monotonic()
        while thread.is_alive():
            if monotonic() - diagnosed > 1:
                diagnosed = monotonic()
                self._diagnose()
            # What the executor does with a subscription that is ready.
            with self._subscription.handle:
                taken = self._subscription.handle.take_message(
                    self._subscription.msg_type, self._subscription.raw)
            if taken is None:
                thread.join(0.002)
            else:
                self._on_image(taken[0])
        if isinstance(outcome[0], ValueError):
            raise outcome[0]
        return outcome[0]

    def _announce(self) -> None:
        """Tell parameters and late joiners which network runs and what its ids mean."""
        settings, perception = self._active
        self.set_parameters([Parameter('variant', value=settings.variant),
                             Parameter('labels', value=settings.labels)])
        if self._label_publisher is not None:
            self._label_publisher.publish(label_message(
                settings.labels, settings.confidence_threshold,
                self.get_clock().now().to_msg()))

    # One frame: on the worker's thread.

    def _process(self, message: Image | CompressedImage) -> None:
        started = perf_counter()
        settings, perception = self._active
        try:
            rgb = self._intake.picture(message, self.get_clock().now(), settings.max_age)
        except BadImage as error:
            self._reject(self._subscription.topic_name, str(error))
            return
        size = rgb.shape[:2]
        wanted = {output: publisher for output, publisher in self._outputs.items()
                  if publisher.get_subscription_count() or not (settings.lazy or output.optional)}
        influence = perception.mutable and any(output.influence for output in wanted)
        image = perception.preprocess(rgb)
        preprocessed = perf_counter()
        maps = perception.infer(image, settings.mute, settings.mute_value, influence)
        inferred = perf_counter()
        camera = self._calibrate(size, settings, any(output.cloud for output in wanted))
        focal_length = (camera.intrinsics[:2] if camera.intrinsics and settings.focal_correction
                        else None)
        prediction = perception.postprocess(maps, size, focal_length)
        self._statistics.influence = prediction.mean_influence
        result = Result(rgb, prediction, settings, perception.card.depth_range, message.header,
                        camera.intrinsics)
        messages = [(publisher, output.make(result)) for output, publisher in wanted.items()
                    if (influence or not output.influence)
                    and (camera.intrinsics or not output.cloud)]
        if camera.info is not None and self._camera_info_publisher is not None:
            messages.append((self._camera_info_publisher,
                             with_header(camera.info, message.header)))
        made = perf_counter()
        for publisher, answer in messages:
            publisher.publish(answer)
        published = perf_counter()
        latency = self.get_clock().now() - Time.from_msg(message.header.stamp)
        milliseconds = [1e3 * (end - start) for start, end in (
            (started, preprocessed), (preprocessed, inferred), (inferred, made),
            (made, published))]
        self._statistics.finish(Timing(*milliseconds, latency.nanoseconds / 1e6))

    def _calibrate(self, size: tuple[int, int], settings: parameters.Settings,
                   cloud: bool) -> Calibration:
        """Return what is known of the camera, and tell what is missing to whom it matters."""
        info = self._camera_info
        camera = match(info, size)
        misfit = info is not None and camera.info is None
        fault = f'nothing is published on points: {camera.fault}' if cloud else camera.fault
        self._statistics.camera_info_fault = fault if camera.fault and (misfit or cloud) else ''
        if not camera.fault:
            return camera
        topic, points = map(self.resolve_topic_name, ('image_camera_info', 'points'))
        if misfit:
            self._reject(topic, camera.fault)
        elif info is None and cloud:
            self.get_logger().warning(f'{camera.fault} on {topic} yet: nothing is published on '
                                      f'{points} without it', once=True)
        elif info is not None and (cloud or settings.focal_correction):
            self.get_logger().warning(f'{camera.fault}; depth is not corrected for its focal '
                                      f'length, nothing is published on {points}', once=True)
        return camera

    def _reject(self, topic: str, reason: str) -> None:
        self._statistics.reject(f'{topic}: {reason}')
        self.get_logger().warning(f'rejected a message on {topic}: {reason}',
                                  throttle_duration_sec=THROTTLE_S)

    def _on_failure(self, error: Exception) -> None:
        if not self.context.ok():  # Ctrl-C between two of a frame's publications.
            return
        self._statistics.fail(f'{type(error).__name__}: {error}')
        self.get_logger().error(''.join(traceback.format_exception(error)),
                                throttle_duration_sec=THROTTLE_S)

    # What operators see.

    def _diagnose(self) -> None:
        settings, perception = self._active
        wanted_for = monotonic() - self._wanted_since if self._is_wanted() else -1.0
        status = report(
            self.get_fully_qualified_name()[1:], settings, perception, self._statistics,
            wanted_for, lambda: explain_silence(self, self._subscription))
        array = DiagnosticArray(status=[status])
        array.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics_publisher.publish(array)

    def _describe(self) -> str:
        settings, perception = self._active
        return (f'{settings.architecture} {settings.variant} ({perception.source}) on '
                f'{perception.device} in {perception.precision}')

    def _warn_of_slow_device(self) -> None:
        settings, perception = self._active
        if settings.device == 'auto' and perception.device.type == 'cpu':
            self.get_logger().warning('no CUDA device: running on the CPU')
