# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Parameter files as robots have them: one for all nodes, a dump, weights beside a file."""
# flake8: noqa (the skip comes before the imports that it spares)

import json
import re

from jrn_perception import weights
import pytest

pytest.importorskip('rclpy', reason='parameter files are read by rclpy')

from jrn_perception.ros.parameters.files import origins
from jrn_perception.ros.parameters.table import BY_NAME

FOREIGN = {'robot_radius': 0.3, 'plugins.inflation.cost': 2.0, 'use_sim_time': False,
           'qos_overrides./clock.subscription.depth': 5, 'qos_overrides./scan.publisher.depth': 5}


@pytest.fixture
def params_file(tmp_path):
    """Return a function that writes sections to a file and returns the arguments for it."""
    def write(sections):
        path = tmp_path / 'robot.yaml'
        path.write_text(json.dumps({  # JSON is valid YAML.
            name: {'ros__parameters': values} for name, values in sections.items()}))
        return '--params-file', str(path)
    return write


def save(folder, architecture, variant, **options):
    loaded = weights.load(architecture, variant, 'random', **options)
    file = folder / f'{architecture}_{variant}.safetensors'
    weights.save(loaded.network, loaded.card, file)
    return str(file)


def test_a_name_belongs_to_the_sections_that_give_it(tmp_path):
    path = tmp_path / 'robot.yaml'
    path.write_text("""
/**: {ros__parameters: {a: 1, nested: {b: 2}}}
front: {jrn_perception: {ros__parameters: {c: 3}}, other: {ros__parameters: {d: 4}}}
/front/*: {ros__parameters: {e: 5}}
/jrn_perception: {ros__parameters: {a: 1}}
""")
    found = origins(['node', '--ros-args', '--params-file', str(path), '-p', 'f:=1',
                     '--param', 'jrn_perception:g:=1', '-r', 'h:=i'], '/front/jrn_perception')
    assert found.own == {'a', 'c', 'f', 'g'}
    assert found.shared == {'a', 'nested.b', 'e'}
    assert found.foreign == {'nested.b', 'e'}


@pytest.mark.parametrize('text', ['', 'a: [', 'a', 'a: 1', '/**: {ros__parameters: 1}', '\0'])
def test_a_file_of_anything_else_gives_no_names(tmp_path, text):
    path = tmp_path / 'robot.yaml'
    path.write_text(text)
    found = origins(['--params-file', str(path), '--params-file', '/nowhere'], '/node')
    assert found.own == found.shared == set()


def test_a_file_for_the_whole_robot_starts_the_node_with_a_warning(robot, params_file):
    robot.start(*params_file({'/**': {**FOREIGN, 'max_rate': 7.0}}))
    assert robot.get('max_rate') == 7
    robot.wait_for(lambda: {
        'no parameters of this node, ignored: plugins.inflation.cost, robot_radius (',
        'qos_overrides./scan.publisher.depth: overrides nothing;'} <= {
            re.match('.*?[(;]|.*', log.msg)[0] for log in robot.logs})


@pytest.mark.parametrize(('values', 'reason'), [
    ({'max_rat': 7.0}, 'unknown parameters: max_rat; there are: architecture, '),
    ({'qos_overrides./scan.publisher.depth': 5}, 'overrides nothing')])
def test_the_nodes_own_section_has_no_foreign_names(robot, params_file, values, reason):
    with pytest.raises(ValueError, match=reason):
        robot.start(*params_file({'/jrn_perception': values}))


def test_a_wrong_value_is_refused_in_any_section(robot, params_file):
    with pytest.raises(ValueError, match='max_rate: -1.0 is outside'):
        robot.start(*params_file({'/**': {'max_rate': -1.0}}))


def dump(robot):
    return {name: robot.get(name) for name in BY_NAME}


def test_a_dump_starts_the_same_network_again(robot, params_file, tmp_path):
    robot.start(architecture='jrn', variant='cat1', max_rate=7.0)
    before = dump(robot)
    robot.start(*params_file({'/jrn_perception': before}), setup={})
    assert dump(robot) == before


def test_a_dump_starts_the_network_that_its_user_changes_it_to(robot, params_file):
    robot.start(architecture='jrn', variant='cat1', max_rate=7.0)
    changed = {**dump(robot), 'architecture': 'hydranet'}
    robot.start(*params_file({'/jrn_perception': changed}), setup={})
    assert (robot.get('architecture'), robot.get('variant')) == ('hydranet', 'nyu40')
    assert len(robot.get('labels')) == 40
    assert robot.get('max_rate') == 7


def test_labels_that_are_no_dump_are_refused(robot, params_file):
    with pytest.raises(ValueError, match='labels: is set by the node'):
        robot.start(*params_file({'/jrn_perception': {'labels': ['wall']}}))


def test_weights_at_start_bring_the_network_of_their_card(robot, params_file, tmp_path):
    file = save(tmp_path, 'symbiosis', 'nyu40')
    defaults = {'architecture': 'hydranet', 'variant': '', 'device': 'cpu'}
    robot.start(*params_file({'/**': defaults}), '-p', f'weights:={file}', setup={})
    assert (robot.get('architecture'), robot.get('variant')) == ('symbiosis', 'nyu40')


def test_a_variant_at_start_brings_its_architecture(robot, params_file):
    defaults = {'architecture': 'hydranet', 'variant': '', 'weights': 'random', 'device': 'cpu'}
    robot.start(*params_file({'/**': defaults}), '-p', 'variant:=cat1', setup={})
    assert (robot.get('architecture'), robot.get('variant')) == ('jrn', 'cat1')
    assert len(robot.get('labels')) == 5
    with pytest.raises(ValueError, match="unknown variant 'cat1' of hydranet"):
        robot.start('-p', 'architecture:=hydranet', '-p', 'variant:=cat1', setup={})


def test_an_architecture_that_is_asked_for_stands_against_the_card(robot, tmp_path):
    file = save(tmp_path, 'hydranet', 'nyu40')
    with pytest.raises(ValueError, match='holds hydranet|architecture'):
        robot.start('-p', f'weights:={file}', '-p', 'architecture:=jrn', setup={})
