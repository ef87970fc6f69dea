# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
The node: images in, depth and semantics out.

Two threads share the work. The executor's thread handles messages, parameters and services, and
never waits for a network. The worker's thread takes the newest image of each camera from its slot,
runs the network and publishes. An image that the worker has no time for is replaced in the slot by
the next one, so that the newest frame wins.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
import sys
import threading
import traceback

from diagnostic_msgs.msg import DiagnosticArray
from jrn_perception.ros.camera.camera_stream import CameraStream
from jrn_perception.ros.camera.diagnostics import status_name, without_network
from jrn_perception.ros.camera.log import THROTTLE_S
from jrn_perception.ros.camera.worker import Worker
from jrn_perception.ros.conversions.label_info import label_message, LabelInfo
from jrn_perception.ros.lifecycle import ManagedNode, return_memory
from jrn_perception.ros.middleware import qos
from jrn_perception.ros.middleware.camera_topics import parse_cameras
from jrn_perception.ros.network.configuration import Configuration, load
from jrn_perception.ros.network.governing import Governing
from jrn_perception.ros.network.swap import NetworkSwap
from jrn_perception.ros.outputs import Output
from jrn_perception.ros.parameters import settings as parameters
from jrn_perception.ros.parameters.files import Origins, origins
from jrn_perception.ros.parameters.services import SetParameterServices
from jrn_perception.ros.parameters.table import BY_NAME, IDENTITY
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.parameter import Parameter
from rclpy.publisher import Publisher
from std_srvs.srv import SetBool


class PerceptionNode(ManagedNode):
    """
    The node ``jrn_perception``.

    With the parameter ``autostart`` it configures and activates itself. Otherwise a lifecycle
    manager does: configure loads the network, activate subscribes, deactivate ends the work and
    keeps the network, cleanup frees it.

    Raises ValueError or RuntimeError with one line that says what to do if a parameter, or with
    ``autostart`` the weights or the device, cannot be used.
    """

    # Set here as well, because rclpy also destroys a node whose constructor has failed.
    _worker: Worker | None = None
    _swap: NetworkSwap | None = None
    _started = False

    def __init__(self, **arguments):
        super().__init__('jrn_perception', automatically_declare_parameters_from_overrides=True,
                         **arguments)
        # Before the network loads: a request that reached rclpy's own services meanwhile would
        # never be answered.
        SetParameterServices(self, self._prepare)
        self._overrides = qos.overrides(self)
        self._given = self._origins(**arguments)
        self._settings = parameters.declare(self, self._given)
        # The labels that a user gave are checked once the weights are known.
        self._given_labels = self._settings.labels
        # Accepted by the on-set callback, applied when rclpy has set all parameters.
        self._accepted: tuple[parameters.Settings, Configuration | None] = self._settings, None
        self.cameras: tuple[CameraStream, ...] = ()
        self._label_publisher: Publisher | None = None
        self._read_back_soon = self.create_guard_condition(self._read_back)
        self._swap = NetworkSwap(self, self._announce, self._read_back_soon.trigger)
        self._return_memory_soon = self.create_guard_condition(return_memory)
        if self._settings.autostart:
            self.start()
        self._diagnostics_publisher = self.create_publisher(DiagnosticArray, '/diagnostics', 10)
        # On the steady clock: operators also want to know that a simulated clock stands still.
        self.create_timer(1.0, self._diagnose, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self.create_service(SetBool, '~/enable', self._on_enable)
        self._read_back()
        self.add_on_set_parameters_callback(self._on_set_parameters)
        self._applies_after_setting = hasattr(self, 'add_post_set_parameters_callback')
        if self._applies_after_setting:  # Since Jazzy.
            self.add_post_set_parameters_callback(self._apply)
        if self._swap.latest is not None:
            self._introduce()
        else:
            self.get_logger().info('unconfigured: waits for a lifecycle manager')
        self._started = True

    # The lifecycle: on the executor's thread.

    def set_up(self) -> None:
        """Load the network, and make all publishers and subscriptions."""
        settings = self._settings
        configuration = load(settings)
        parameters.check_labels(self._given_labels, settings.labels)
        parameters.check_limits(settings, configuration.perception.card.depth_range)
        for warning in (*configuration.warnings(), *configuration.slow_device_warnings(),
                        *filter(None, [configuration.mute_effect()])):
            self.get_logger().warning(warning)
        self._worker = worker = Worker()
        worker.start()
        # Before the topics, whose QoS parameters come by the callbacks below when declared.
        governing = Governing(self.get_logger(), self._run_on, self._wanted)
        self._swap.start(configuration, governing)
        for name in parse_cameras(settings.cameras):
            self.cameras += CameraStream(self, worker, configuration, governing, name),
        if LabelInfo is not None:
            self._label_publisher = qos.publish(self, LabelInfo, 'label_info', qos.LATCHED_QOS)
        if ignored := qos.check_overrides(self, self._overrides, self._given.foreign):
            self.get_logger().warning(ignored)
        self._announce(settings)
        self._read_back_soon.trigger()

    def set_active(self, active: bool) -> None:
        """Subscribe to the images, or finish the frame in progress and unsubscribe."""
        for camera in self.cameras:
            camera.set_active(active)
        if active and self._started:
            self._introduce()
        if not active and self._worker is not None:
            finished = threading.Event()
            self._worker.call(finished.set, self._on_failure)
            finished.wait()

    def tear_down(self) -> None:
        """Free the network, and destroy all publishers and subscriptions of its outputs."""
        self._swap.wait_for_loading()
        if self._worker is not None:
            self._worker.stop()
        for camera in self.cameras:
            camera.close()
        if self._label_publisher is not None:
            self.destroy_publisher(self._label_publisher)
        self.cameras, self._label_publisher, self._worker = (), None, None
        self._swap.stop()
        self._accepted = self._settings, None
        # Not at once: the executor still holds the subscriptions that it has waited for.
        self._return_memory_soon.trigger()

    def destroy_node(self) -> None:
        if self._swap is not None:
            self._swap.wait_for_loading()
        if self._worker is not None:
            self._worker.stop()
        super().destroy_node()

    def _introduce(self) -> None:
        topics = ', '.join(camera.topic for camera in self.cameras)
        self.get_logger().info(f'{self._swap.latest.describe()}, reading {topics}')

    def _origins(self, *, cli_args: Sequence[str] | None = None,
                 use_global_arguments: bool = True,
                 parameter_overrides: Sequence[Parameter] | None = None, **_) -> Origins:
        """Return which parameters are meant for this node: the arguments are rclpy's."""
        result = origins([*(sys.argv if use_global_arguments else ()), *(cli_args or ())],
                         self.get_fully_qualified_name())
        result.own |= {parameter.name for parameter in parameter_overrides or ()}
        return result

    # Parameters: on the executor's thread.

    async def _prepare(self, changed: list[Parameter]) -> list[Parameter]:
        """
        Load the network that ``changed`` asks for; return the parameters that rclpy can set.

        The executor goes on meanwhile. Raises ValueError or OSError to refuse the change.
        """
        for parameter in changed:
            if not self.has_parameter(parameter.name):
                raise ValueError(f'{parameter.name}: undeclared; see `ros2 param list`')
        settings = self._merge(changed)
        changeable = [parameter for parameter in changed if not self._is_read_only(parameter)]
        await self._swap.prepare(settings)
        return changeable

    def _is_read_only(self, parameter: Parameter) -> bool:
        """
        Return whether rclpy refuses to set ``parameter`` even to its own value, as a dump does.

        ValueError refuses another value; the table's parameters have been checked before.
        """
        if not self.describe_parameter(parameter.name).read_only:
            return False
        if parameter.name not in BY_NAME and (
                parameter.value != self.get_parameter(parameter.name).value):
            raise ValueError(f'{parameter.name}: cannot change while the node runs; set it at '
                             'start')
        return True

    def _merge(self, changed: list[Parameter]) -> parameters.Settings:
        """Return the latest settings with ``changed``; ValueError gives a reason to refuse."""
        for parameter in changed:
            # rclpy also refuses this, but too late: in a callback of its own, after ours.
            if parameter.name == 'use_sim_time' and type(parameter.value) is not bool:
                raise ValueError('use_sim_time: expected true or false')
        return parameters.merge(self._settings, {
            parameter.name: parameter.value for parameter in changed
            if parameter.name in BY_NAME})

    def _on_set_parameters(self, changed: list[Parameter]) -> SetParametersResult:
        try:
            settings = self._merge(changed)
            self._accepted = settings, self._swap.configure(settings)
        except (ValueError, OSError) as error:
            self._swap.prepared = None
            return SetParametersResult(successful=False, reason=str(error))
        if not self._applies_after_setting:
            self._apply(changed)
        return SetParametersResult(successful=True)

    def _apply(self, changed: list[Parameter]) -> None:
        """Make the accepted configuration the latest; the worker takes it over."""
        was_enabled = self._settings.enabled
        self._settings, self._swap.latest = self._accepted
        if was_enabled != self._settings.enabled:
            self.get_logger().info('resumed' if self._settings.enabled else
                                   'paused: enabled is false')
        for parameter in changed:
            self.get_logger().debug(f'{parameter.name} is {parameter.value!r}')
        if self._swap.latest is not None:
            for camera in self.cameras:
                camera.configure(self._swap.latest)
            self._worker.call(partial(self._swap.adopt, self._swap.latest), self._on_failure)
        # Parameters cannot be set from within this callback, but right after it.
        self._read_back_soon.trigger()

    def _read_back(self) -> None:
        """Make the parameters show which network runs and, once it is announced, its labels."""
        names = IDENTITY
        if self._swap.is_done():
            names += ('labels',)
        values = {name: getattr(self._settings, name) for name in names}
        self.set_parameters([Parameter(name, value=value) for name, value in values.items()
                             if self.get_parameter(name).value != value])

    def _on_enable(self, request: SetBool.Request, response: SetBool.Response):
        result = self.set_parameters([Parameter('enabled', value=request.data)])[0]
        response.success = result.successful
        response.message = result.reason or ('frames are processed' if request.data else
                                             'paused: the weights stay loaded')
        return response

    # On the worker's thread, between two frames.

    def _run_on(self, configuration: Configuration) -> None:
        """Process the next frames of all cameras with ``configuration``."""
        for camera in self.cameras:
            camera.adopt(configuration)

    def _wanted(self, configuration: Configuration) -> list[Output]:
        """Return the outputs of ``configuration`` that subscribers of any camera want."""
        settings, perception, _ = configuration
        return [output for camera in self.cameras
                for output in camera.outputs.wanted(settings, perception)]

    def _announce(self, settings: parameters.Settings) -> None:
        """Publish the names of the class ids, for late joiners as well."""
        if self._label_publisher is not None:
            self._label_publisher.publish(label_message(
                settings.labels, settings.confidence_threshold, self.get_clock().now().to_msg()))

    def _on_failure(self, error: Exception) -> None:
        if self.context.ok():  # Otherwise it is Ctrl-C during the announcement.
            self.get_logger().error(''.join(traceback.format_exception(error)),
                                    throttle_duration_sec=THROTTLE_S)

    # Diagnostics: on the executor's thread.

    def _diagnose(self) -> None:
        array = DiagnosticArray(status=[camera.status() for camera in self.cameras] or [
            without_network(status_name(self.get_fully_qualified_name(), name), self.state)
            for name in parse_cameras(self._settings.cameras)])
        array.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics_publisher.publish(array)
