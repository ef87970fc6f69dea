# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Play a recording to the node, on sim time, and evaluate the node's outputs.

The node runs as it would on the robot. ``jrn_replay`` plays and listens; at the end it prints the
tables of `jrn_evaluate bag`, the frames sent, processed and dropped, and the latency.
"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from jrn_perception.recordings.reader import COMPRESSED, Recording
from jrn_perception.ros.parameters import launching
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, ExecuteProcess, OpaqueFunction
from launch_ros.actions import Node
from launch_ros.substitutions import ExecutableInPackage

PACKAGE = 'jrn_perception'

# The node's parameters that a recording or a fair measurement decides.
DECIDED = ('image_transport', 'enabled', 'lazy', 'max_rate', 'max_age')
# Arguments that set the option of jrn_replay of the same name.
OPTIONS = ('image', 'depth', 'labels', 'player', 'speed', 'json')

DESCRIPTIONS = {
    'image': 'the recorded pictures (not given: the only colour topic)',
    'depth': 'the recorded topic of true depth (not given: none)',
    'labels': 'the recorded topic of true labels (not given: none)',
    'player': 'auto, ros2bag or jrn_play (not given: auto, `ros2 bag play` where it is installed)',
    'speed': 'faster or slower than recorded (not given: 1)',
    'json': 'a file for the results (not given: none)',
    'namespace': 'of the node (not given: none)',
}


def generate_launch_description():
    """Return the arguments, and the action that reads them."""
    share = Path(get_package_share_directory(PACKAGE))
    return LaunchDescription([
        DeclareLaunchArgument('bag', description='recording: its folder, or a .mcap or .db3 file'),
        *(DeclareLaunchArgument(name, default_value='', description=text)
          for name, text in DESCRIPTIONS.items()),
        *(DeclareLaunchArgument(parameter.name, **launching.describe(parameter))
          for parameter in launching.ARGUMENTS if parameter.name not in DECIDED),
        DeclareLaunchArgument(
            'lossless', default_value='false', choices=('true', 'false', 'True', 'False'),
            description='wait after each picture for the results'),
        DeclareLaunchArgument(
            'params_file', default_value=str(share / 'config' / 'jrn.yaml'),
            description='the parameters of the node'),
        OpaqueFunction(function=start),
    ])


def start(context):
    """Return node and evaluation; when one of them ends, the launch ends."""
    given = {name: text for name, text in context.launch_configurations.items() if text}
    with Recording(given['bag']) as recording:
        image = recording.image_topic(given.get('image', ''))
    compressed = image.msgtype == COMPRESSED
    namespace = '/' + given.get('namespace', '').strip('/')
    overrides = launching.overrides(given)
    overrides['use_sim_time'] = True
    overrides['image_transport'] = 'compressed' if compressed else 'raw'
    command = [
        ExecutableInPackage(executable='jrn_replay', package=PACKAGE), given['bag'],
        '--node', f"{namespace.rstrip('/')}/{PACKAGE}",
        *(part for name in OPTIONS if name in given for part in (f'--{name}', given[name]))]
    if given['lossless'].lower() == 'true':
        command.append('--lossless')
    return [
        Node(
            package=PACKAGE, executable='jrn_node', name=PACKAGE, namespace=namespace,
            parameters=[launching.parameter_file(given), overrides],
            remappings=[('image/compressed' if compressed else 'image', image.name)],
            output='screen', on_exit=launching.end_with('jrn_node', always=True)),
        # People read its tables, so no process name stands before each line.
        ExecuteProcess(
            cmd=command, output='screen', output_format='{line}',
            on_exit=launching.end_with('jrn_replay', always=True)),
    ]
