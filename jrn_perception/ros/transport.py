# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Room for images in Fast DDS's shared memory; imports nothing of ROS."""

from __future__ import annotations

from importlib import metadata
import os
from pathlib import Path

OLD, NEW = 'FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE'
PROFILE = Path('config', 'fastdds.xml')


def use_large_segments() -> Path | None:
    """
    Give this process the profile config/fastdds.xml unless its user has chosen another.

    Fast DDS's own segment of 512 KiB is less than one 640x480 image: images to another process
    are then lost or late. Call this before rclpy starts, in each process that publishes images.
    Returns the file, None if the user's environment names one already. Raises FileNotFoundError
    where the package is installed without it.
    """
    if _is_chosen():
        return None
    path = profile()
    # One of the two: Kilted calls the old name deprecated, Jazzy and Humble know no other.
    os.environ[OLD if _is_old() else NEW] = str(path)
    return path


def profile() -> Path:
    """Return config/fastdds.xml of the source tree or of the installation."""
    here = Path(__file__).resolve()
    # colcon, pip and apt all put share/ beside the lib/ that holds the package.
    shared = [folder / 'share' / 'jrn_perception' for folder in here.parents]
    for folder in (here.parents[2], *shared):
        if (folder / PROFILE).is_file():
            return folder / PROFILE
    raise FileNotFoundError(f'{PROFILE} is neither beside {here.parents[2]} nor in a share/ above '
                            'it: is the package installed as a whole?')


def _is_chosen() -> bool:
    """Return whether the user's environment decides on transports; the profile would undo it."""
    return (any(name in os.environ for name in (OLD, NEW, 'FASTDDS_BUILTIN_TRANSPORTS'))
            or os.environ.get('ROS_LOCALHOST_ONLY', '0') != '0')


def _is_old() -> bool:
    """Return whether this is Jazzy or older."""
    distribution = os.environ.get('ROS_DISTRO')
    if distribution is not None:
        return distribution in ('humble', 'iron', 'jazzy')
    try:
        return int(metadata.version('rclpy').split('.')[0]) < 8
    except metadata.PackageNotFoundError:
        return False
