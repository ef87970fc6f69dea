# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Start the node, and on request the coloured point cloud and a view.

An argument that is not given leaves the value of the parameter file alone. So the file, which a
test compares with the code, is the only source of defaults.
"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from jrn_perception import networks
from jrn_perception.networks.interface import MUTE
from jrn_perception.ros import transport
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch_ros.actions import ComposableNodeContainer, Node
from launch_ros.descriptions import ComposableNode
from launch_ros.parameter_descriptions import ParameterValue

PACKAGE = 'jrn_perception'

# These imports load no torch, which would cost a second before any part of the robot starts, and
# 200 MB in the launch process for as long as the robot runs.
NETWORKS = (*networks.architectures_with('depth', 'semantics'), networks.EXTERNAL)
CHOICES = {
    'architecture': NETWORKS,
    'variant': tuple(dict.fromkeys(
        variant for name in NETWORKS for variant in networks.variants(name))),
    'mute': MUTE,
    'use_sim_time': ('true', 'false', 'True', 'False'),
    'log_level': ('debug', 'info', 'warn', 'error', 'fatal'),
}
BOOLEANS = CHOICES['use_sim_time']

# Arguments that set the parameter of the same name.
PARAMETERS = ('architecture', 'variant', 'mute', 'weights', 'device')

DESCRIPTIONS = {
    'image': "the camera's topic (not given: image); image/compressed follows it",
    'camera_info': "the camera's calibration (not given: image_camera_info)",
    'namespace': 'of all that is started (not given: none)',
    'architecture': 'the network (not given: as in params_file, like the next five)',
    'variant': 'of the architecture',
    'mute': 'the input of the JRN that is muted',
    'weights': "a weights file, or 'random' for tests",
    'device': 'auto, cuda, cuda:N or cpu',
    'use_sim_time': 'take the time from /clock',
    'log_level': 'of the node (not given: info)',
}


def generate_launch_description():
    """Return the arguments, and the action that reads them."""
    share = Path(get_package_share_directory(PACKAGE))
    optional = [
        DeclareLaunchArgument(
            name, default_value='', description=text,
            **({'choices': ('', *CHOICES[name])} if name in CHOICES else {}))
        for name, text in DESCRIPTIONS.items()]
    return LaunchDescription([
        *optional,
        DeclareLaunchArgument(
            'params_file', default_value=str(share / 'config' / 'jrn.yaml'),
            description='the parameters of the node'),
        DeclareLaunchArgument(
            'point_cloud', default_value='false', choices=BOOLEANS,
            description="depth_image_proc's coloured cloud on `points_color`; it reads the raw "
                        'image'),
        DeclareLaunchArgument(
            'rviz', default_value='false', choices=BOOLEANS,
            description='pictures and cloud in rviz2'),
        OpaqueFunction(function=start, args=[share]),
    ])


def start(context, share):
    """Return the processes that the arguments ask for."""
    given = {name: text for name, text in context.launch_configurations.items() if text}
    if not Path(given.get('params_file', '')).is_file():
        # launch_ros would only warn, and start the node without the file.
        raise FileNotFoundError(f"params_file: there is no file {given.get('params_file', '')!r}")
    clock = {'use_sim_time': is_true(given['use_sim_time'])} if 'use_sim_time' in given else {}
    common = {
        'namespace': given.get('namespace', ''),
        'output': 'screen',
        # For the processes that are started here but are not ours.
        'additional_env': transport.large_segments(context.environment),
    }
    actions = [node(given, clock, common)]
    if is_true(given['point_cloud']):
        actions.append(point_cloud(given, clock, common))
    if is_true(given['rviz']):
        actions.append(rviz(share, clock, common))
    return actions


def node(given, clock, common):
    """Return the node with the parameters and remaps that are given."""
    # A value stays text: launch_ros would read weights:=7 as a number.
    overrides = {
        name: ParameterValue(given[name], value_type=str) for name in PARAMETERS if name in given}
    overrides.update(clock)
    remappings = []
    if 'image' in given:
        remappings += [
            ('image', given['image']), ('image/compressed', f"{given['image']}/compressed")]
    if 'camera_info' in given:
        remappings.append(('image_camera_info', given['camera_info']))
    return Node(
        package=PACKAGE, executable='jrn_node', name=PACKAGE,
        parameters=[given['params_file'], *([overrides] if overrides else [])],
        remappings=remappings,
        ros_arguments=['--log-level', given['log_level']] if 'log_level' in given else [],
        **common)


def point_cloud(given, clock, common):
    """Return the component that makes a coloured cloud of the depth, in its own process."""
    image = given.get('image', 'image')
    # Our camera_info has exactly the header of `depth`. Humble's component reads the first name,
    # rgb/camera_info; since Jazzy it reads the sibling of the image topic.
    sibling = '/'.join([*image.split('/')[:-1], 'camera_info'])
    remappings = [
        ('rgb/image_rect_color', image),
        ('depth_registered/image_rect', 'depth'),
        ('rgb/camera_info', 'camera_info'),
        # `points` is the node's own, with classes.
        ('points', 'points_color'),
    ]
    if sibling != 'camera_info':
        remappings.append((sibling, 'camera_info'))
    return ComposableNodeContainer(
        package='rclcpp_components', executable='component_container',
        name='jrn_point_cloud_container',
        composable_node_descriptions=[ComposableNode(
            package='depth_image_proc', plugin='depth_image_proc::PointCloudXyzrgbNode',
            name='jrn_point_cloud', namespace=common['namespace'],
            # Depth has the stamp of its picture but comes later, by the time of the network. By
            # then the default queue of 5 has lost that picture, and inexact pairing would take a
            # different one.
            parameters=[{'exact_sync': True, 'queue_size': 50, **clock}],
            remappings=remappings)],
        **common)


def rviz(share, clock, common):
    """Return the view, its topics in the namespace."""
    topics = ('depth_color', 'semantics_color', 'overlay', 'points_color')
    return Node(
        package='rviz2', executable='rviz2', name='jrn_rviz',
        arguments=['-d', str(share / 'config' / 'jrn.rviz')],
        parameters=[clock] if clock else [],
        remappings=[(f'/{topic}', topic) for topic in topics],
        **common)


def is_true(text):
    """Return whether a boolean argument says yes."""
    return text.lower() == 'true'
