# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Room for images in Fast DDS's shared memory; imports nothing of ROS."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
import os
from pathlib import Path

OLD, NEW = 'FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE'
PROFILE = Path('config', 'fastdds.xml')


def use_large_segments() -> Path | None:
    """
    Give this process the profile config/fastdds.xml unless its user has chosen another.

    Fast DDS's own segment of 512 KiB is smaller than one 640x480 image: images to other processes
    are then lost or late. Call this before rclpy starts, in each process that publishes images.
    Return the file, or None if the environment already chooses. Raise FileNotFoundError where the
    package is installed without the file.
    """
    variable = large_segments(os.environ)
    os.environ.update(variable)
    return Path(*variable.values()) if variable else None


def large_segments(environment: Mapping[str, str]) -> dict[str, str]:
    """
    Return the variable that gives Fast DDS the profile, for a process with this environment.

    It is empty if the environment already decides on transports, which the profile would undo.
    """
    if (any(name in environment for name in (OLD, NEW, 'FASTDDS_BUILTIN_TRANSPORTS'))
            or environment.get('ROS_LOCALHOST_ONLY', '0') != '0'):
        return {}
    # Only one of the two names: Kilted calls the old one deprecated, Jazzy and Humble know no
    # other.
    return {OLD if _is_old(environment) else NEW: str(profile())}


def profile() -> Path:
    """Return config/fastdds.xml of the source tree or of the installation."""
    here = Path(__file__).resolve()
    # colcon, pip and apt all put share/ beside the lib/ that holds the package.
    shared = [folder / 'share' / 'jrn_perception' for folder in here.parents]
    for folder in (here.parents[3], *shared):
        if (folder / PROFILE).is_file():
            return folder / PROFILE
    raise FileNotFoundError(f'{PROFILE} is neither beside {here.parents[3]} nor in a share/ above '
                            'it: is the package installed as a whole?')


def _is_old(environment: Mapping[str, str]) -> bool:
    """Return whether the distribution is Jazzy or older."""
    distribution = environment.get('ROS_DISTRO')
    if distribution is not None:
        return distribution in ('humble', 'iron', 'jazzy')
    try:
        return int(metadata.version('rclpy').split('.')[0]) < 8
    except metadata.PackageNotFoundError:
        return False
