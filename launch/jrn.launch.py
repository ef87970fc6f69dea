# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Start the node, and on request the coloured point cloud and a view.

An argument that is not given leaves the value of the parameter file alone. So the file, which a
test compares with the code, is the only source of defaults.
"""

from pathlib import Path

from ament_index_python.packages import (
    get_package_prefix,
    get_package_share_directory,
    PackageNotFoundError,
)
from jrn_perception.ros.middleware import transport
from jrn_perception.ros.parameters import launching
from jrn_perception.ros.parameters.table import RANGE_INPUTS
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, LogInfo, OpaqueFunction
from launch_ros.actions import ComposableNodeContainer, Node
from launch_ros.descriptions import ComposableNode

PACKAGE = 'jrn_perception'
BOOLEANS = ('true', 'false', 'True', 'False')
CHOICES = {
    'use_sim_time': BOOLEANS,
    'log_level': ('debug', 'info', 'warn', 'error', 'fatal'),
}

DESCRIPTIONS = {
    'image': "the camera's topic (not given: image); image/compressed follows it",
    'camera_info': "the camera's calibration (not given: image_camera_info)",
    'range_points': "a range sensor's PointCloud2, which corrects depth (not given: none)",
    'range_scan': "a range sensor's LaserScan, likewise",
    'range_image': "a range sensor's depth image, likewise; camera_info is read beside it",
    'range_range': "a range sensor's Range, likewise",
    'namespace': 'of all that is started (not given: none)',
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
        *(DeclareLaunchArgument(parameter.name, **launching.describe(parameter))
          for parameter in launching.ARGUMENTS),
        DeclareLaunchArgument(
            'params_file', default_value=str(share / 'config' / 'jrn.yaml'),
            description='the parameters of the node'),
        DeclareLaunchArgument(
            'name', default_value=PACKAGE, description='of the node'),
        DeclareLaunchArgument(
            'respawn', default_value='false', choices=BOOLEANS,
            description='start the node again when it has ended; otherwise its failure ends the '
                        'launch'),
        DeclareLaunchArgument(
            'point_cloud', default_value='false', choices=BOOLEANS,
            description="depth_image_proc's coloured cloud on `points_color`; it reads the raw "
                        'image'),
        DeclareLaunchArgument(
            'container_name', default_value='jrn_point_cloud_container',
            description='of the component container of the cloud'),
        DeclareLaunchArgument(
            'rviz', default_value='false', choices=BOOLEANS,
            description='pictures and cloud in rviz2'),
        OpaqueFunction(function=start, args=[share]),
    ])


def start(context, share):
    """Return the processes that the arguments ask for."""
    given = {name: text for name, text in context.launch_configurations.items() if text}
    launching.check_cameras(given)
    clock = {'use_sim_time': is_true(given['use_sim_time'])} if 'use_sim_time' in given else {}
    common = {
        'namespace': given.get('namespace', ''),
        'output': 'screen',
        # For the processes that are started here but are not ours.
        'additional_env': transport.large_segments(context.environment),
    }
    actions = [node(given, clock, common)]
    if is_true(given['point_cloud']):
        actions.append(where_installed('point_cloud', ('rclcpp_components', 'depth_image_proc'))
                       or point_cloud(given, clock, common))
    if is_true(given['rviz']):
        actions.append(where_installed('rviz', ('rviz2',)) or rviz(share, clock, common))
    return actions


def where_installed(argument, packages):
    """Return None, or a message instead of a process whose packages are missing."""
    missing = []
    for package in packages:
        try:
            get_package_prefix(package)
        except PackageNotFoundError:
            missing.append(package)
    if not missing:
        return None
    packages = ' '.join(f'ros-$ROS_DISTRO-{name.replace("_", "-")}' for name in missing)
    return LogInfo(msg=f'{argument}: not started, because {" and ".join(missing)} cannot be '
                       f'found: apt install {packages}')


def node(given, clock, common):
    """Return the node with the parameters and remaps that are given."""
    sensors = [kind for kind in RANGE_INPUTS if f'range_{kind}' in given]
    overrides = {**launching.overrides({'range_inputs': ','.join(sensors), **given}
                                       if sensors else given), **clock}
    remappings = []
    if 'image' in given:
        remappings += [
            ('image', given['image']), ('image/compressed', f"{given['image']}/compressed")]
    if 'camera_info' in given:
        remappings.append(('image_camera_info', given['camera_info']))
    remappings += [(f'range/{kind}', given[f'range_{kind}']) for kind in sensors]
    if 'range_image' in given:
        remappings.append((
            'range/camera_info', '/'.join([*given['range_image'].split('/')[:-1], 'camera_info'])))
    respawn = is_true(given['respawn'])
    return Node(
        package=PACKAGE, executable='jrn_node', name=given['name'],
        parameters=[launching.parameter_file(given), *([overrides] if overrides else [])],
        remappings=remappings,
        ros_arguments=['--log-level', given['log_level']] if 'log_level' in given else [],
        respawn=respawn, respawn_delay=1.0,
        on_exit=None if respawn else launching.end_with('jrn_node'),
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
        name=given['container_name'],
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
    topics = ('depth_color', 'semantics_color', 'overlay', 'points_color', 'normals_color',
              'influence/depth_color', 'influence/semantics_color')
    return Node(
        package='rviz2', executable='rviz2', name='jrn_rviz',
        arguments=['-d', str(share / 'config' / 'jrn.rviz')],
        parameters=[clock] if clock else [],
        remappings=[(f'/{topic}', topic) for topic in topics],
        **common)


def is_true(text):
    """Return whether a boolean argument says yes."""
    return text.lower() == 'true'
