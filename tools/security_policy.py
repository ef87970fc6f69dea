# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Print the SROS2 policy of the node: its topics and services, and nothing else.

Run this after each change of a topic or service:

    python tools/security_policy.py > config/jrn_policy.xml

A node with a namespace or remapped topics needs a policy of its own; give this program the same
arguments as the node:

    python tools/security_policy.py --namespace /robot --remap image:=/front/image_raw
"""

import argparse
from typing import NamedTuple
from xml.etree import ElementTree

from jrn_perception.ros.camera import sensor_depth
from jrn_perception.ros.middleware.camera_topics import camera_info_topics
from jrn_perception.ros.outputs import OUTPUTS
from jrn_perception.ros.range.inputs import KINDS
from rclpy.expand_topic_name import expand_topic_name

NODE = 'jrn_perception'
# Topics and services that every managed node of ROS has. Humble has no get_type_description.
ROS_PUBLISHES = ('/parameter_events', '/rosout', '~/transition_event')
ROS_SUBSCRIBES = ('/clock', '/tf', '/tf_static')
ROS_SERVES = ('~/change_state', '~/describe_parameters', '~/get_available_states',
              '~/get_available_transitions', '~/get_parameter_types', '~/get_parameters',
              '~/get_state', '~/get_transition_graph', '~/get_type_description',
              '~/list_parameters', '~/set_parameters', '~/set_parameters_atomically')


class Rules(NamedTuple):
    """The full names of everything that a node publishes, subscribes to and serves."""

    publish: set[str]
    subscribe: set[str]
    reply: set[str]


class Names:
    """The names of a node in ``namespace``, where ``remapped`` replaces a name by another."""

    def __init__(self, namespace: str = '/', remapped: tuple[tuple[str, str], ...] = ()):
        self.namespace = namespace
        self._remapped = {self._expand(before): self._expand(after) for before, after in remapped}

    def full(self, name: str) -> str:
        """Return the full name of a topic or service."""
        name = self._expand(name)
        return self._remapped.get(name, name)

    def _expand(self, name: str) -> str:
        return expand_topic_name(name, NODE, self.namespace)


def rules(names: Names) -> Rules:
    """Return what the node may do, with all outputs, range sensors and both transports."""
    full, image = names.full, names.full('image')
    publish = {*map(full, ('camera_info', 'label_info', '/diagnostics', *ROS_PUBLISHES)),
               *(full(output.name) for output in OUTPUTS)}
    infos = set(camera_info_topics(image, full('image_camera_info'))) - {full('camera_info')}
    subscribe = {image, f'{image}/compressed', *infos, full(sensor_depth.TOPIC),
                 full('range/camera_info'), *(full(f'range/{kind}') for kind in KINDS),
                 *map(full, ROS_SUBSCRIBES)}
    return Rules(publish, subscribe, {full(name) for name in ('~/enable', *ROS_SERVES)})


def policy(names: Names) -> str:
    """Return the policy in the XML that `ros2 security create_permission` reads."""
    root = ElementTree.Element('policy', version='0.2.0')
    # Full names, because versions of sros2 differ in how they read a name behind ~.
    enclave = ElementTree.SubElement(ElementTree.SubElement(root, 'enclaves'), 'enclave',
                                     path=names.full('~/enclave').rpartition('/')[0])
    profile = ElementTree.SubElement(ElementTree.SubElement(enclave, 'profiles'), 'profile',
                                     ns=names.namespace, node=NODE)
    for permission, kind, allowed in zip(Rules._fields, ('topic', 'topic', 'service'),
                                         rules(names)):
        group = ElementTree.SubElement(profile, f'{kind}s', {permission: 'ALLOW'})
        for name in sorted(allowed):
            ElementTree.SubElement(group, kind).text = name
    ElementTree.indent(root)
    comment = '<!-- Written by tools/security_policy.py; see docs/security.md. -->'
    return ('<?xml version="1.0" encoding="UTF-8"?>\n'
            f'{comment}\n{ElementTree.tostring(root, encoding="unicode")}\n')


def pair(text: str) -> tuple[str, str]:
    """Return both sides of FROM:=TO; ValueError for other texts."""
    before, found, after = text.partition(':=')
    if not (before and found and after):
        raise ValueError(f'{text!r}: expected FROM:=TO')
    return before, after


def main() -> None:
    """Print the policy."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n\n')[0].strip())
    parser.add_argument('--namespace', default='/', help='of the node, default /')
    parser.add_argument('--remap', type=pair, action='append', default=[], metavar='FROM:=TO',
                        help='as given to the node; may occur several times')
    options = parser.parse_args()
    print(policy(Names(options.namespace, tuple(options.remap))), end='')


if __name__ == '__main__':
    main()
