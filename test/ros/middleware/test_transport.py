# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The profile of Fast DDS is found, and left alone where the user has one."""

import ast
import os
from pathlib import Path
import shutil
import subprocess
import sys

from jrn_perception.ros.middleware import transport
import pytest


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """Start without any of the variables, and put back what was there."""
    for name in (transport.OLD, transport.NEW, 'ROS_DISTRO', 'FASTDDS_BUILTIN_TRANSPORTS',
                 'ROS_LOCALHOST_ONLY'):
        monkeypatch.setenv(name, '')
        monkeypatch.delenv(name)
    return monkeypatch


@pytest.mark.parametrize('distribution, name, other', [
    ('humble', transport.OLD, transport.NEW), ('jazzy', transport.OLD, transport.NEW),
    ('kilted', transport.NEW, transport.OLD), ('rolling', transport.NEW, transport.OLD)])
def test_the_variable_of_the_distribution(environment, distribution, name, other):
    environment.setenv('ROS_DISTRO', distribution)
    path = transport.use_large_segments()
    assert os.environ[name] == str(path)
    assert other not in os.environ
    assert '<segment_size>33554432</segment_size>' in path.read_text()
    assert transport.use_large_segments() is None


@pytest.mark.parametrize('name', [transport.OLD, transport.NEW])
def test_a_profile_of_the_user_stays(environment, name):
    environment.setenv(name, 'mine.xml')
    assert transport.use_large_segments() is None
    assert [os.environ.get(n) for n in (transport.OLD, transport.NEW)].count('mine.xml') == 1


@pytest.mark.parametrize('name, value', [
    ('FASTDDS_BUILTIN_TRANSPORTS', 'UDPv4'), ('ROS_LOCALHOST_ONLY', '1')])
def test_a_choice_of_transports_that_the_profile_would_undo_stays(environment, name, value):
    environment.setenv(name, value)
    assert transport.use_large_segments() is None
    assert not {transport.OLD, transport.NEW} & set(os.environ)


@pytest.mark.parametrize('given', [
    {}, {'ROS_DISTRO': 'humble'}, {'ROS_DISTRO': 'iron'}, {'ROS_DISTRO': 'jazzy'},
    {'ROS_DISTRO': 'kilted'}, {'ROS_DISTRO': 'jazzy', 'FASTDDS_BUILTIN_TRANSPORTS': 'UDPv4'},
    {'ROS_LOCALHOST_ONLY': '1'}, {'ROS_LOCALHOST_ONLY': '0'}, {transport.OLD: 'mine.xml'}])
def test_a_launched_process_gets_what_this_one_would(environment, given):
    for name, value in given.items():
        environment.setenv(name, value)
    before = dict(os.environ)
    variable = transport.large_segments(before)
    assert (transport.use_large_segments() is None) == (variable == {})
    assert dict(os.environ) == {**before, **variable}


def test_the_launch_file_asks_this_module():
    # launch is not installed here; what is asked for must be there, and a copy of it must not.
    source = Path(__file__).resolve().parents[3] / 'launch' / 'jrn.launch.py'
    tree = ast.parse(source.read_text())
    asked = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)
             and isinstance(node.value, ast.Name) and node.value.id == 'transport'}
    assert asked == {'large_segments'}
    assert all(callable(getattr(transport, name)) for name in asked)
    assert 'FAST' not in source.read_text()
    program = 'import sys, jrn_perception.ros.middleware.transport; print("torch" in sys.modules)'
    done = subprocess.run([sys.executable, '-c', program], cwd=source.parents[1],
                          capture_output=True, text=True, check=True)
    assert done.stdout.strip() == 'False'


def test_without_ros_distro_the_version_of_rclpy_decides(environment):
    transport.use_large_segments()
    assert (transport.OLD in os.environ) != (transport.NEW in os.environ)


@pytest.mark.parametrize('packages', ['lib/python3.12/site-packages',
                                      'local/lib/python3.12/dist-packages'])
def test_an_installation(tmp_path, packages):
    module = tmp_path / packages / 'jrn_perception' / 'ros' / 'middleware' / 'transport.py'
    module.parent.mkdir(parents=True)
    shutil.copy(transport.__file__, module)
    config = tmp_path / 'share' / 'jrn_perception' / 'config'
    command = [sys.executable, '-c', 'import transport; print(transport.profile())']

    def run():
        return subprocess.run(command, cwd=module.parent, capture_output=True, text=True)

    missing = run()
    assert missing.returncode == 1
    assert 'is the package installed as a whole?' in missing.stderr.splitlines()[-1]
    config.mkdir(parents=True)
    shutil.copy(transport.profile(), config)
    found = run()
    assert found.stdout.strip() == str((config / 'fastdds.xml').resolve())
