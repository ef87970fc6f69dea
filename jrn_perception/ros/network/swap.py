# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The swap of networks while the node runs: loaded on one thread, taken over on another."""

from __future__ import annotations

from collections.abc import Callable
import threading

from jrn_perception.ros.network.configuration import check_mute, Configuration, load_or_refuse
from jrn_perception.ros.network.governing import Governing
from jrn_perception.ros.parameters.settings import check_limits, Settings
from rclpy.node import Node
from rclpy.task import Future


class NetworkSwap:
    """
    The network of a node, and its swap for another one.

    The executor's thread keeps the ``latest`` configuration. The worker's thread takes it over
    between two frames: it is ``running`` from then on. Both are None without a network.

    ``announce`` publishes the labels of settings, ``on_swap`` is told of a new network; the
    worker's thread calls both.
    """

    def __init__(self, node: Node, announce: Callable[[Settings], None],
                 on_swap: Callable[[], None]):
        self._logger, self._announce, self._on_swap = node.get_logger(), announce, on_swap
        self._wake_up = node.create_guard_condition(lambda: None)
        self._loading: threading.Thread | None = None
        self._governing: Governing | None = None
        self.latest: Configuration | None = None
        self.running: Configuration | None = None
        # Loaded for a request to set parameters that is still in progress.
        self.prepared: Configuration | None = None

    # On the executor's thread.

    def start(self, configuration: Configuration, governing: Governing) -> None:
        """Run ``configuration``, on the rung that ``governing`` chooses."""
        self.latest = self.running = configuration
        self._governing = governing
        governing.configure(configuration)

    def stop(self) -> None:
        """Free the network; the worker's thread must have ended."""
        self.latest = self.running = self.prepared = self._governing = None

    def wait_for_loading(self) -> None:
        """Return once no network is being loaded."""
        if self._loading is not None:
            self._loading.join()

    async def prepare(self, settings: Settings) -> None:
        """
        Load the networks that ``settings`` need beside the running one, unless it has them.

        The executor goes on meanwhile. Raises ValueError if they cannot be loaded.
        """
        if self.latest is not None and not self._has_networks_of(settings, self.latest):
            self.prepared = await self._load_beside(settings)

    def configure(self, settings: Settings) -> Configuration | None:
        """
        Return the configuration of ``settings``; ValueError gives a reason to refuse them.

        Without a network, which is not loaded here, the configuration is None.
        """
        prepared, self.prepared = self.prepared, None
        if self.latest is None:
            return None
        if self._has_networks_of(settings, self.latest):
            ladder = self.latest.ladder if settings.max_latency_ms else None
            configuration = Configuration(settings, self.latest.perception, ladder)
        elif prepared is not None and prepared.settings.identity == settings.identity:
            settings.labels = prepared.settings.labels
            configuration = prepared._replace(settings=settings)
        else:
            # Set by code of this process, not by a service: that code waits for the network.
            configuration = load_or_refuse(settings)
        check_limits(settings, configuration.perception.card.depth_range)
        check_mute(settings, configuration.perception)
        return configuration

    def is_done(self) -> bool:
        """Return whether the latest network runs, so that its labels have been announced."""
        return (self.latest is not None and self.running is not None
                and self.running.perception is self.latest.perception)

    async def _load_beside(self, settings: Settings) -> Configuration:
        """Return the configuration of ``settings``, loaded on a thread beside the running one."""
        loaded: Future = Future()

        def run() -> None:
            try:
                loaded.set_result(load_or_refuse(settings))
            except ValueError as error:
                loaded.set_exception(error)
            self._wake_up.trigger()

        self._loading = threading.Thread(target=run, name='load')
        self._loading.start()
        return await loaded

    @staticmethod
    def _has_networks_of(settings: Settings, latest: Configuration) -> bool:
        """Return whether all networks that ``settings`` need are loaded."""
        return settings.identity == latest.settings.identity and (
            not settings.max_latency_ms or latest.ladder is not None)

    # On the worker's thread, between two frames.

    def adopt(self, configuration: Configuration) -> None:
        """
        Process the next frames with ``configuration``; announce its labels before.

        No mask of the previous network can follow the announcement: only this thread publishes
        masks. If the announcement fails, the previous network goes on, and the next change of a
        parameter tries again.
        """
        before = self.running
        assert before is not None and self._governing is not None
        swaps = configuration.perception is not before.perception
        effect = configuration.mute_effect()
        if effect != before.mute_effect():
            self._logger.warning(effect or 'mute is none: the JRN gets both inputs again')
        if swaps or (configuration.settings.confidence_threshold
                     != before.settings.confidence_threshold):
            self._announce(configuration.settings)
        self.running = configuration
        self._governing.adopt(configuration)
        if swaps:
            for warning in configuration.warnings():
                self._logger.warning(warning)
            self._logger.info(f'swapped to {configuration.describe()}')
            self._on_swap()
