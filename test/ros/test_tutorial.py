# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The tutorial's files, read by the programs that its reader gives them to."""

import ast
from importlib import import_module
import math
from pathlib import Path
import re

import numpy as np
import pytest
import yaml

pytest.importorskip('rclpy', reason="needs ROS 2 (pip install '.[ros]')")
parameters = import_module('jrn_perception.ros.parameters.settings')
OUTPUTS = import_module('jrn_perception.ros.outputs').OUTPUTS
PointCloud2 = import_module('sensor_msgs.msg').PointCloud2
REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = (REPOSITORY / 'docs' / 'tutorial_costmap.md').read_text()
OURS, NAV2 = re.findall('^```yaml\n(.*?)^```$', PAGE, re.M | re.S)
(LAUNCH,) = re.findall('^```python\n(.*?)^```$', PAGE, re.M | re.S)


def test_the_node_starts_with_the_parameters_and_publishes_the_points(robot, tools, tmp_path):
    path = tmp_path / 'camera_depth.yaml'
    path.write_text(OURS)
    given = yaml.safe_load(OURS)['jrn_perception']['ros__parameters']
    assert set(given) <= set(parameters.BY_NAME)
    # Small and random in place of the shipped weights; all of the file is as it stands.
    small = {'weights': 'random', 'device': 'cpu', 'backend': 'torch', 'inference_height': 64,
             'inference_width': 96}
    robot.start('--params-file', str(path), setup=small)
    settings = robot.node.cameras[0]._latest.settings
    assert {name: getattr(settings, name) for name in given} == given
    robot.camera()
    robot.calibrate()
    topic = yaml.safe_load(NAV2)['local_costmap']['local_costmap']['ros__parameters'][
        'voxel_layer']['camera']['topic']
    cloud = robot.ask(tools.picture(), robot.listen(topic, PointCloud2))
    stride = given['points_stride']
    assert (cloud.height, cloud.width) == (48 // stride, 64 // stride)


def test_the_costmap_reads_what_the_node_gives():
    costmap = yaml.safe_load(NAV2)['local_costmap']['local_costmap']['ros__parameters']
    given = yaml.safe_load(OURS)['jrn_perception']['ros__parameters']
    layer, source = costmap['voxel_layer'], costmap['voxel_layer']['camera']
    assert set(costmap['plugins']) <= set(costmap)
    kinds = {f'/{output.name}': output.kind.__name__ for output in OUTPUTS}
    assert kinds[source['topic']] == source['data_type']
    assert source['obstacle_max_range'] < given['max_depth']
    # The voxels, of which Nav2 has 16 at most, reach the highest obstacle.
    assert layer['z_voxels'] <= 16
    assert layer['origin_z'] + layer['z_voxels'] * layer['z_resolution'] >= (
        source['max_obstacle_height'])


def test_the_launch_file_gives_arguments_that_exist():
    (include,) = (call for call in ast.walk(ast.parse(LAUNCH)) if isinstance(call, ast.Call)
                  and getattr(call.func, 'id', '') == 'IncludeLaunchDescription')
    assert "share / 'launch' / 'jrn.launch.py'" in ast.unparse(include)
    (arguments,) = (keyword.value.func.value for keyword in include.keywords
                    if keyword.arg == 'launch_arguments')
    ours = (REPOSITORY / 'launch' / 'jrn.launch.py').read_text()
    for name in map(ast.literal_eval, arguments.keys):
        assert f"'{name}'" in ours or name in parameters.BY_NAME, name


def test_the_launch_file_makes_a_launch_description(tmp_path, monkeypatch):
    launch = pytest.importorskip('launch', reason='launch is not installed (it comes with ROS)')
    pytest.importorskip('launch_ros', reason='launch_ros is not installed (it comes with ROS)')
    index = import_module('ament_index_python.packages')
    monkeypatch.setattr(index, 'get_package_share_directory', lambda name: str(REPOSITORY))
    names = {'__file__': str(tmp_path / 'camera_depth.launch.py')}
    exec(compile(LAUNCH, names['__file__'], 'exec'), names)
    description = names['generate_launch_description']()
    assert isinstance(description, launch.LaunchDescription) and len(description.entities) == 3


def test_the_camera_looks_forward():
    (arguments,) = (ast.literal_eval(keyword.value) for call in ast.walk(ast.parse(LAUNCH))
                    if isinstance(call, ast.Call) for keyword in call.keywords
                    if keyword.arg == 'arguments')
    given = dict(zip(arguments[::2], arguments[1::2]))
    roll, yaw = float(given['--roll']), float(given['--yaw'])
    cosine, sine = math.cos(roll), math.sin(roll)
    about_x = np.array(((1, 0, 0), (0, cosine, -sine), (0, sine, cosine)))
    cosine, sine = math.cos(yaw), math.sin(yaw)
    about_z = np.array(((cosine, -sine, 0), (sine, cosine, 0), (0, 0, 1)))
    # REP 103: the optical axes right, down and forward, in the robot's forward, left and up.
    np.testing.assert_allclose(about_z @ about_x, ((0, 0, 1), (-1, 0, 0), (0, -1, 0)), atol=1e-4)
    # The camera that the page tilts by 0.2 rad looks down.
    assert f'looks down by 0.2 rad has the roll {roll - 0.2:.4f}' in PAGE
    cosine, sine = math.cos(roll - 0.2), math.sin(roll - 0.2)
    tilted = about_z @ np.array(((1, 0, 0), (0, cosine, -sine), (0, sine, cosine)))
    np.testing.assert_allclose(tilted[:, 2], (math.cos(0.2), 0, -math.sin(0.2)), atol=1e-4)
