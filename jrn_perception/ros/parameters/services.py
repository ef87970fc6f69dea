# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Services that set parameters and let the executor go on while a change is prepared."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from rcl_interfaces.msg import Parameter as ParameterMessage
from rcl_interfaces.msg import SetParametersResult
from rcl_interfaces.srv import SetParameters, SetParametersAtomically
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.exceptions import ParameterNotDeclaredException
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import qos_profile_parameters


class SetParameterServices:
    """
    The services ``set_parameters`` and ``set_parameters_atomically`` of ``node``.

    They replace rclpy's own, whose callbacks hold up the executor for as long as a change takes:
    messages would be lost. Here ``prepare``, a coroutine, is awaited first. It does what takes
    time, and raises ValueError or OSError to refuse the change. It returns the parameters that
    rclpy then sets. Requests are served one after the other.
    """

    def __init__(self, node: Node,
                 prepare: Callable[[list[Parameter]], Awaitable[list[Parameter]]]):
        self._node, self._prepare = node, prepare
        # A group of their own: while one request is being prepared, the other callbacks go on.
        group = MutuallyExclusiveCallbackGroup()
        for name, kind, callback in (
                ('set_parameters', SetParameters, self._on_each),
                ('set_parameters_atomically', SetParametersAtomically, self._on_all)):
            for service in [own for own in node.services if own.srv_type is kind]:
                node.destroy_service(service)
            node.create_service(kind, f'~/{name}', callback, qos_profile=qos_profile_parameters,
                                callback_group=group)

    async def _on_each(self, request: SetParameters.Request, response: SetParameters.Response
                       ) -> SetParameters.Response:
        response.results = [await self._set([message]) for message in request.parameters]
        return response

    async def _on_all(self, request: SetParametersAtomically.Request,
                      response: SetParametersAtomically.Response
                      ) -> SetParametersAtomically.Response:
        response.result = await self._set(request.parameters)
        return response

    async def _set(self, messages: Iterable[ParameterMessage]) -> SetParametersResult:
        try:
            # ValueError for an unknown type: a client's mistake must not end the node.
            parameters = [Parameter.from_parameter_msg(message) for message in messages]
            parameters = await self._prepare(parameters)
            if not parameters:
                return SetParametersResult(successful=True)
            return self._node.set_parameters_atomically(parameters)
        except (ValueError, OSError, ParameterNotDeclaredException) as error:
            return SetParametersResult(successful=False, reason=str(error))
