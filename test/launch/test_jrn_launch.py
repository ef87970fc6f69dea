# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
The launch file starts a node that does what the arguments say, and ends clean.

That its choices are the code's is checked in test_packaging.py, without launch.
"""
# flake8: noqa: E402 (the skip comes before the imports that it spares)

import os
from pathlib import Path
import time
import unittest

import pytest

pytest.importorskip('launch_testing', reason='launch_testing is not installed (it comes with ROS)')

from ament_index_python.packages import get_package_share_directory, PackageNotFoundError
from launch import LaunchDescription
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
import launch_testing
from launch_testing.actions import ReadyToTest
from launch_testing.asserts import assertExitCodes
from rcl_interfaces.srv import GetParameters
import rclpy
from sensor_msgs.msg import Image

try:
    SHARE = Path(get_package_share_directory('jrn_perception'))
except PackageNotFoundError:
    pytest.skip(
        'jrn_perception is not in the ament index: colcon build and source install/setup.bash',
        allow_module_level=True)

ARGUMENTS = {
    'image': '/camera/image_raw',
    'camera_info': '/camera/camera_info',
    'namespace': 'front',
    'architecture': 'jrn',
    'variant': 'cat1',
    'mute': 'depth',
    'weights': 'random',
    'device': 'cpu',
    'use_sim_time': 'false',
    'log_level': 'warn',
}
AS_PARAMETERS = ('architecture', 'variant', 'mute', 'weights', 'device')


@pytest.mark.launch_test
def generate_test_description():
    os.environ['ROS_DOMAIN_ID'] = str(os.getpid() % 100 + 1)
    os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
    return LaunchDescription([
        IncludeLaunchDescription(
            PythonLaunchDescriptionSource(str(SHARE / 'launch' / 'jrn.launch.py')),
            launch_arguments=ARGUMENTS.items()),
        ReadyToTest(),
    ])


class TestRunningNode(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        rclpy.init()
        cls.node = rclpy.create_node('test_jrn_launch')

    @classmethod
    def tearDownClass(cls):
        cls.node.destroy_node()
        rclpy.try_shutdown()

    def parameters(self, *names):
        """Return the node's values of these parameters."""
        client = self.node.create_client(GetParameters, '/front/jrn_perception/get_parameters')
        self.assertTrue(client.wait_for_service(timeout_sec=60), 'the node is not there')
        future = client.call_async(GetParameters.Request(names=names))
        rclpy.spin_until_future_complete(self.node, future, timeout_sec=20)
        self.node.destroy_client(client)
        self.assertTrue(future.done(), 'the node does not answer')
        return future.result().values

    def test_arguments_become_parameters(self):
        values = self.parameters(*AS_PARAMETERS)
        self.assertEqual(
            {name: value.string_value for name, value in zip(AS_PARAMETERS, values)},
            {name: ARGUMENTS[name] for name in AS_PARAMETERS})
        self.assertFalse(self.parameters('use_sim_time')[0].bool_value)

    def test_topics_are_remapped(self):
        received = []
        subscription = self.node.create_subscription(
            Image, '/front/depth', received.append, 1)
        publisher = self.node.create_publisher(Image, ARGUMENTS['image'], 1)
        sent = Image(height=48, width=64, encoding='rgb8', step=192)
        sent.data.frombytes(bytes(192 * 48))
        sent.header.frame_id = 'camera'
        deadline = time.monotonic() + 60
        while not received and time.monotonic() < deadline:
            sent.header.stamp = self.node.get_clock().now().to_msg()
            publisher.publish(sent)
            rclpy.spin_once(self.node, timeout_sec=0.2)
        self.assertTrue(received, f'no answer to {ARGUMENTS["image"]} on /front/depth')
        self.assertEqual((received[0].height, received[0].width), (48, 64))
        self.assertEqual(received[0].header.frame_id, 'camera')
        self.assertEqual(self.node.count_subscribers(ARGUMENTS['camera_info']), 1)
        self.node.destroy_publisher(publisher)
        self.node.destroy_subscription(subscription)


@launch_testing.post_shutdown_test()
class TestEndedNode(unittest.TestCase):

    def test_exit_code_is_zero(self, proc_info):
        assertExitCodes(proc_info)
        self.assertEqual(len(list(proc_info.process_names())), 1)
