# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The SROS2 policy has the topics and services of a node, all of them and no others."""

from importlib import import_module
from importlib.util import find_spec
import os
from pathlib import Path
import shutil
import subprocess
import sys
from xml.etree import ElementTree

import pytest

pytest.importorskip('rclpy', reason="needs ROS 2 (pip install '.[ros]')")
REPOSITORY = Path(__file__).resolve().parents[2]
POLICY = REPOSITORY / 'config' / 'jrn_policy.xml'
EVERYTHING = {'architecture': 'jrn', 'depth_source': 'sensor', 'lazy': False,
              'range_inputs': 'points,scan,image,range', 'use_sim_time': True}


def written(*arguments):
    done = subprocess.run([sys.executable, REPOSITORY / 'tools' / 'security_policy.py',
                           *arguments], cwd=REPOSITORY, capture_output=True, text=True,
                          env={**os.environ, 'PYTHONPATH': str(REPOSITORY)})
    assert (done.returncode, done.stderr) == (0, '')
    return done.stdout


def allowed(text):
    """Return the enclave of a policy, and its names by permission."""
    enclave, = ElementTree.fromstring(text.encode()).iter('enclave')
    profile, = enclave.iter('profile')
    found = {}
    for group in profile:
        (permission, verdict), = group.attrib.items()
        assert verdict == 'ALLOW'
        names = [entry.text for entry in group]
        assert len(names) == len(set(names))
        found[group.tag, permission] = set(names)
    return enclave.get('path'), profile.attrib, found


def names_of(node):
    """Return the names that a node has now by permission."""
    full = node.get_name(), node.get_namespace()
    lookups = {('topics', 'publish'): node.get_publisher_names_and_types_by_node,
               ('topics', 'subscribe'): node.get_subscriber_names_and_types_by_node,
               ('services', 'reply'): node.get_service_names_and_types_by_node}
    assert node.get_client_names_and_types_by_node(*full) == []
    return {permission: {name for name, _ in lookup(*full)}
            for permission, lookup in lookups.items()}


def without_the_uninstalled(found):
    """Remove from a policy what this installation of ROS does not have."""
    if find_spec('tf2_ros') is None:
        found['topics', 'subscribe'] -= {'/tf', '/tf_static'}
    if find_spec('type_description_interfaces') is None:  # Humble.
        found['services', 'reply'] = {name for name in found['services', 'reply']
                                      if not name.endswith('/get_type_description')}
    return found


@pytest.fixture
def everything(robot, monkeypatch):
    """Return a function that returns the names of nodes with all inputs and outputs, by kind."""
    if find_spec('vision_msgs') is None:
        node_module = import_module('jrn_perception.ros.node')
        kind = import_module('std_msgs.msg').String
        monkeypatch.setattr(node_module, 'LabelInfo', kind)
        monkeypatch.setattr(node_module, 'label_message', lambda names, *_: kind())

    def found(*ros_arguments, **options):
        both = [names_of(robot.start(*ros_arguments, image_transport=transport, **options,
                                     **EVERYTHING)) for transport in ('raw', 'compressed')]
        return {permission: both[0][permission] | both[1][permission] for permission in both[0]}
    return found


def test_the_policy_is_what_the_command_writes():
    assert POLICY.read_text() == written(), (
        'python tools/security_policy.py > config/jrn_policy.xml')


def test_the_policy_has_the_names_of_a_running_node_and_no_others(everything):
    path, profile, found = allowed(POLICY.read_text())
    assert (path, profile) == ('/jrn_perception', {'ns': '/', 'node': 'jrn_perception'})
    assert without_the_uninstalled(found) == everything()


def test_a_policy_follows_namespace_and_remapping(everything):
    path, profile, found = allowed(written('--namespace', '/robot', '--remap',
                                           'image:=/front/image_raw'))
    assert (path, profile) == ('/robot/jrn_perception', {'ns': '/robot',
                                                         'node': 'jrn_perception'})
    subscribed = found['topics', 'subscribe']
    assert {'/front/image_raw', '/front/image_raw/compressed', '/front/camera_info',
            '/robot/image_camera_info'} <= subscribed
    assert '/robot/image' not in subscribed
    assert without_the_uninstalled(found) == everything('-r', 'image:=/front/image_raw',
                                                        namespace='/robot')


def enforced(keystore):
    """Return the environment of a process that must not run without the keys of a keystore."""
    return {**os.environ, 'ROS_SECURITY_KEYSTORE': str(keystore), 'ROS_SECURITY_ENABLE': 'true',
            'ROS_SECURITY_STRATEGY': 'Enforce'}


def first_words(environment):
    """Start the node in the enclave; return what it prints until it reads images or ends."""
    command = [sys.executable, '-u', '-m', 'jrn_perception.cli.node', '--ros-args', '--enclave',
               '/jrn_perception', '-p', 'weights:=random', '-p', 'architecture:=hydranet']
    said = []
    with subprocess.Popen(command, cwd=REPOSITORY, env=environment, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as child:
        for line in child.stdout:
            said.append(line)
            if 'reading /image' in line:
                child.terminate()
    return said


def test_a_node_without_the_keys_that_it_must_have_does_not_start(ros_domain, tmp_path):
    said = first_words(enforced(tmp_path / 'nowhere'))
    assert 'SECURITY ERROR' in said[-1]
    assert said[-1].startswith('jrn_node: ')
    assert not [line for line in said if 'reading /image' in line]


def test_a_node_starts_in_the_enclave_of_the_policy(ros_domain, tmp_path):
    keystore = tmp_path / 'keystore'
    (keystore / 'enclaves' / 'jrn_perception').mkdir(parents=True)
    if "doesn't have the security libraries" in first_words(enforced(keystore))[-1]:
        pytest.skip('this build of the middleware has no security')
    if shutil.which('ros2') is None or find_spec('sros2') is None:
        pytest.skip('sros2, which makes keys, is not installed')
    shutil.rmtree(keystore)
    environment = {**enforced(keystore), 'ROS_DOMAIN_ID': '0'}  # sros2 signs it for no other.
    for words in (['create_keystore', keystore],
                  ['create_enclave', keystore, '/jrn_perception'],
                  ['create_permission', keystore, '/jrn_perception', POLICY]):
        subprocess.run(['ros2', 'security', *words], check=True, capture_output=True,
                       env=environment)
    said = first_words(environment)
    assert [line for line in said if 'reading /image' in line], ''.join(said)
