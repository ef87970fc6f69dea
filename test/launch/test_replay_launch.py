# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The launch file plays a recording to the node, writes the evaluation, and ends by itself."""
# flake8: noqa: E402 (the skip comes before the imports that it spares)

import json
from pathlib import Path

import pytest

pytest.importorskip('launch_testing', reason='launch_testing is not installed (it comes with ROS)')
pytest.importorskip('rosbags', reason='rosbags is not installed (pip install rosbags)')

from ament_index_python.packages import get_package_share_directory, PackageNotFoundError
from jrn_perception.sources import sample
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource

try:
    SHARE = Path(get_package_share_directory('jrn_perception'))
except PackageNotFoundError:
    pytest.skip(
        'jrn_perception is not in the ament index: colcon build and source install/setup.bash',
        allow_module_level=True)

FRAMES = 5


def test_the_recording_is_evaluated(ros_domain, tmp_path):
    # Not a launch_test: those want a launch that lasts until they have ended, this one does not.
    sample.write_sample(tmp_path / 'sample', FRAMES, size=(96, 128))
    arguments = {
        'bag': str(tmp_path / 'sample'), 'json': str(tmp_path / 'replay.json'),
        'depth': sample.DEPTH_TOPIC, 'labels': sample.LABEL_TOPIC, 'architecture': 'jrn',
        'variant': 'cat1', 'weights': 'random', 'device': 'cpu', 'namespace': 'front',
        'lossless': 'true'}
    service = LaunchService(noninteractive=True)
    service.include_launch_description(LaunchDescription([IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(SHARE / 'launch' / 'replay.launch.py')),
        launch_arguments=arguments.items())]))
    assert service.run() == 0
    document = json.loads((tmp_path / 'replay.json').read_text())
    assert document['replay']['frames'] == {'sent': FRAMES, 'processed': FRAMES, 'dropped': 0}
    assert document['partial'] is False
    assert document['source']['with_depth'] == document['source']['with_labels'] == FRAMES
