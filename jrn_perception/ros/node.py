# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
The node: images in, depth and semantics out.

Two threads. The executor's takes messages, parameters and services and never waits for a network.
The worker's takes the newest image from a slot, runs the network and publishes; what it cannot
keep up with is overwritten in the slot, so that the newest frame wins.
"""

from __future__ import annotations

from collections.abc import Iterable
import threading
from time import monotonic, perf_counter
import traceback

from diagnostic_msgs.msg import DiagnosticArray
from jrn_perception.perception import Perception, SetUp
from jrn_perception.perception.backends.torch import knows_bfloat16
from jrn_perception.ros import parameters, qos
from jrn_perception.ros.calibration import CalibrationWatch, Need
from jrn_perception.ros.conversions.images import BadImage, with_header
from jrn_perception.ros.conversions.label_info import label_message, LabelInfo
from jrn_perception.ros.diagnostics import explain_silence, Moment, report, Statistics, Timing
from jrn_perception.ros.intake import Intake
from jrn_perception.ros.outputs import Output, OUTPUTS, Result
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
        self._calibration = CalibrationWatch(
            *map(self.resolve_topic_name, ('image_camera_info', 'points')))
        self._told: set[str] = set()

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
        self._read_back_soon = self.create_guard_condition(self._read_back)
        self._announced: tuple[Perception, float] | None = None
        self._announce()
        self._read_back()
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
        if not self._rate_limit.is_due(settings.max_rate):
            return
        self._statistics.offer()
        if self._worker.offer(message):
            self._statistics.drop()

    def _is_wanted(self) -> bool:
        settings, perception = self._active
        wanted = not settings.lazy or any(
            publisher.get_subscription_count()
            for output, publisher in self._outputs.items()
            if perception.can_mute or not output.influence)
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
        except (ValueError, OSError) as error:
            return SetParametersResult(successful=False, reason=str(error))
        self._active = new, perception
        if swaps:
            self.get_logger().info(f'swapped to {self._describe()}')
        if swaps or new.confidence_threshold != settings.confidence_threshold:
            # The frame in work is still the old network's.
            self._worker.call(self._announce)
        if swaps or any(changes[name] != getattr(new, name)
                        for name in parameters.NETWORK if name in changes):
            # Parameters cannot be set from within this callback, but right after it.
            self._read_back_soon.trigger()
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

    def _read_back(self) -> None:
        """Have the parameters say which network runs and, once it is announced, its labels."""
        settings, perception = self._active
        names = parameters.NETWORK
        if self._announced[0] is perception:
            names += ('labels',)
        values = {name: getattr(settings, name) for name in names}
        self.set_parameters([Parameter(name, value=value) for name, value in values.items()
                             if self.get_parameter(name).value != value])

    # Frames, and the names of their ids: on the worker's thread.

    def _announce(self) -> tuple[parameters.Settings, Perception]:
        """
        Return settings and network for the next frame, when late joiners have its ids' names.

        No mask of the network before can follow: this thread has published its last.
        """
        settings, perception = self._active
        announced = perception, settings.confidence_threshold
        if announced != self._announced:
            if self._label_publisher is not None:
                self._label_publisher.publish(label_message(
                    settings.labels, settings.confidence_threshold,
                    self.get_clock().now().to_msg()))
            self._announced = announced
            self._read_back_soon.trigger()
        return settings, perception

    def _process(self, message: Image | CompressedImage) -> None:
        started = perf_counter()
        settings, perception = self._announce()
        try:
            rgb = self._intake.picture(message, self.get_clock().now(), settings.max_age)
        except BadImage as error:
            self._reject(str(error))
            return
        size = rgb.shape[:2]
        wanted = {output: publisher for output, publisher in self._outputs.items()
                  if publisher.get_subscription_count() or not (settings.lazy or output.optional)}
        influence = perception.can_mute and any(output.influence for output in wanted)
        picture = perception.preprocess(rgb)
        preprocessed = perf_counter()
        set_up = SetUp(settings.mute, settings.mute_value, influence)
        maps = perception.infer(picture[None], set_up)
        inferred = perf_counter()
        correction = settings.focal_correction and perception.card.focal_length is not None
        camera = self._calibration.match(self._camera_info, Need(
            size, cloud=any(output.cloud for output in wanted),
            correction=correction and any(output.metric for output in wanted)))
        focal_length = (camera.intrinsics[:2] if camera.intrinsics and settings.focal_correction
                        else None)
        prediction = perception.postprocess(maps, size, focal_length)
        self._statistics.influence = prediction.mean_influence
        result = Result(rgb, prediction, settings, message.header, camera.intrinsics)
        self._check_limits(result, wanted)
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

    def _check_limits(self, result: Result, wanted: Iterable[Output]) -> None:
        """Tell when limits that are fine in training's metres leave nothing in this camera's."""
        low, high = result.depth_range
        fault = ''
        if low >= high and any(output.metric for output in wanted):
            fault = (f'no depth is valid: min_depth is {low:.3g} m and max_depth {high:.3g} m, '
                     "where the weights' limits are scaled by "
                     f'{result.prediction.depth_scale:.3g} for the focal length; change one')
            self.get_logger().warning(fault, throttle_duration_sec=THROTTLE_S)
        self._statistics.depth_fault = fault

    def _reject(self, reason: str) -> None:
        topic = self._subscription.topic_name
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
        self._statistics.camera_info_fault = fault = self._calibration.fault(self._camera_info)
        if fault and fault not in self._told:
            self._told.add(fault)
            self.get_logger().warning(fault)
        status = report(
            self.get_fully_qualified_name()[1:], settings, perception, self._statistics,
            Moment(wanted_for, self._worker.busy_for(), self._explain_idleness(),
                   lambda: explain_silence(self, self._subscription)))
        array = DiagnosticArray(status=[status])
        array.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics_publisher.publish(array)

    def _explain_idleness(self) -> str:
        listened = any(publisher.get_subscription_count()
                       for publisher in self._outputs.values())
        return ('influence/* has subscribers, which only the jrn computes' if listened
                else 'nobody subscribes to an output')

    def _describe(self) -> str:
        settings, perception = self._active
        return (f'{settings.architecture} {settings.variant} ({perception.source}) on '
                f'{perception.device} in {perception.precision}')

    def _warn_of_slow_device(self) -> None:
        settings, perception = self._active
        if settings.device == 'auto' and perception.device.type == 'cpu':
            self.get_logger().warning('no CUDA device: running on the CPU')
        if perception.precision == 'bf16' and not knows_bfloat16(perception.device):
            self.get_logger().warning('precision bf16: this CPU emulates it, which is slower than '
                                      'fp32')
