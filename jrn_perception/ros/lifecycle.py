# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
The states of a managed node, as Nav2's lifecycle manager drives them.

https://design.ros2.org/articles/node_lifecycle.html describes states and transitions.
"""

from __future__ import annotations

import ctypes
import gc
import traceback

from rclpy.exceptions import ParameterException
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class ManagedNode(LifecycleNode):
    """
    A lifecycle node whose transitions call ``set_up``, ``set_active`` and ``tear_down``.

    rclpy swallows the exceptions of transition callbacks. Here a transition that fails is logged
    with its reason, and leaves the node in the state before it.
    """

    # The state in words: rclpy has it only behind a service.
    state = 'unconfigured'
    _error: Exception | None = None

    def set_up(self) -> None:
        """Get ready to process; ValueError or RuntimeError says what cannot be used."""
        raise NotImplementedError

    def set_active(self, active: bool) -> None:
        """Begin to process, or end it."""
        raise NotImplementedError

    def tear_down(self) -> None:
        """Give up everything that ``set_up`` has got."""
        raise NotImplementedError

    def start(self) -> None:
        """Configure and activate without a manager; raise the error if that fails."""
        for trigger in (self.trigger_configure, self.trigger_activate):
            if trigger() != SUCCESS:
                raise self._error or RuntimeError(f'cannot start from state {self.state}')

    def destroy_node(self) -> None:
        super().destroy_node()
        # It holds the node's handle until the garbage collector runs, and the end of that handle
        # would silence /rosout for a new node of the same name.
        self._callbacks.clear()
        self._state_machine = None

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            self.set_up()
        except Exception as error:  # noqa: B902, BLE001 whatever it is, the manager is told
            self._error = error
            self.tear_down()
            expected = isinstance(error, (ValueError, RuntimeError, OSError, ParameterException))
            self.get_logger().error('cannot be configured: ' + (
                str(error) if expected else traceback.format_exc()))
            return FAILURE
        return self._reach('inactive')

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self.set_active(True)
        return self._reach('active')

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self.set_active(False)
        return self._reach('inactive')

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        self.tear_down()
        return self._reach('unconfigured')

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        if self.state == 'active':
            self.set_active(False)
        self.tear_down()
        return self._reach('finalized')

    def _reach(self, state: str) -> TransitionCallbackReturn:
        self.state = state
        self.get_logger().debug(f'{state}')
        return SUCCESS


def return_memory() -> None:
    """
    Give memory that no object holds any more back to the system.

    Networks are parts of reference cycles, which wait for the garbage collector, and the process
    otherwise keeps what is freed (``cli/allocator.py``).
    """
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError, TypeError):  # musl, macOS, Windows
        pass
