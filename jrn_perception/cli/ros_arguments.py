# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The command line of an executable that ROS gives arguments, too."""

from __future__ import annotations

from collections.abc import Sequence


def split(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return our arguments and those of ROS: what stands between --ros-args and its end, --."""
    own, ros, inside = [], [], False
    for argument in argv:
        if argument == '--ros-args':
            inside = True
        elif inside and argument == '--':
            inside = False
        else:
            (ros if inside else own).append(argument)
    return own, ros
