# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
What the launch files share: arguments for the parameters, and the end of a required process.

These imports load no torch, which would cost a second before any part of the robot starts, and
200 MB in the launch process for as long as the robot runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jrn_perception import networks
from jrn_perception.ros.parameters.table import (
    Parameter,
    PARAMETERS,
    RANGE_INPUTS,
    WITH_BOTH_TASKS,
)
import yaml

# Every parameter that a user sets is an argument of the same name.
ARGUMENTS = tuple(parameter for parameter in PARAMETERS if parameter.settable)
# Arguments for the topics of the camera without a name.
OF_A_SINGLE_CAMERA = ('image', 'camera_info', *(f'range_{kind}' for kind in RANGE_INPUTS),
                      'point_cloud', 'rviz')
VARIANTS = tuple(dict.fromkeys(
    variant for name in (*WITH_BOTH_TASKS, networks.EXTERNAL)
    for variant in networks.variants(name)))


def describe(parameter: Parameter) -> dict[str, Any]:
    """Return description and choices of the launch argument, whose default is to be not given."""
    choices = parameter.choices
    if type(parameter.default) is bool:
        choices = ('true', 'false', 'True', 'False')
    elif parameter.name == 'variant':
        choices = VARIANTS
    described: dict[str, Any] = {'default_value': '',
                                 'description': f'{parameter.meaning} (not given: as in '
                                 'params_file)'}
    if choices:
        described['choices'] = ('', *choices)
    return described


def overrides(given: Mapping[str, str]) -> dict[str, Any]:
    """
    Return the parameters among the launch arguments ``given``, in the types of the table.

    Raise ValueError with the argument's name if the node would refuse it.
    """
    return {parameter.name: _read(parameter, given[parameter.name]) for parameter in ARGUMENTS
            if parameter.name in given}


def _read(parameter: Parameter, text: str) -> Any:
    if type(parameter.default) is str:
        from launch_ros.parameter_descriptions import ParameterValue

        # It stays text: launch_ros would read weights:=7 as a number.
        return ParameterValue(text, value_type=str)
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        value = text
    return parameter.check(value)


def check_cameras(given: Mapping[str, str]) -> None:
    """Raise ValueError for an argument beside ``cameras`` that only a single camera has."""
    if 'cameras' not in given:
        return
    single = [name for name in OF_A_SINGLE_CAMERA if given.get(name, 'false').lower() != 'false']
    if single:
        raise ValueError(f'cameras: {", ".join(single)} would be for a single camera without a '
                         'name; remap the topics of each camera, as in '
                         'front/image:=/front_camera/image_raw (docs/cameras.md)')


def parameter_file(given: Mapping[str, str]) -> str:
    """Return params_file; FileNotFoundError where launch_ros would only warn and start."""
    path = given.get('params_file', '')
    if not Path(path).is_file():
        raise FileNotFoundError(f'params_file: there is no file {path!r}')
    return path


def end_with(name: str, always: bool = False) -> Callable[[Any, Any], list]:
    """
    Return an ``on_exit`` handler: a failure of process ``name`` ends the launch with a failure.

    launch knows two exit codes of its own, 0 and 1; the message gives the code of the process.
    ``always``: the launch also ends, without failure, when the process ends without failure.
    """
    from launch.actions import Shutdown

    def on_exit(event: Any, context: Any) -> list:
        # A process that ends because the launch ends is no news.
        if event.returncode and not context.is_shutdown:
            raise RuntimeError(f'{name} ended with exit code {event.returncode}')
        return [Shutdown(reason=f'{name} ended')] if always else []
    return on_exit
