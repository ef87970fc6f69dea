# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""``ros2 launch`` without ros2cli: run_launch.py FILE NAME:=VALUE ...; prints each new process."""

import sys

from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription, RegisterEventHandler
from launch.event_handlers import OnProcessStart
from launch.launch_description_sources import PythonLaunchDescriptionSource


def started(event, _context):
    print(f'started {event.pid}', flush=True)


service = LaunchService(noninteractive=True)
service.include_launch_description(LaunchDescription([
    RegisterEventHandler(OnProcessStart(on_start=started)),
    IncludeLaunchDescription(
        PythonLaunchDescriptionSource(sys.argv[1]),
        launch_arguments=[word.split(':=', 1) for word in sys.argv[2:]])]))
sys.exit(service.run())
