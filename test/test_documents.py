# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""What README and configuration say is what the code does."""

from pathlib import Path
import re

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parent.parent
README = (REPOSITORY / 'README.md').read_text()

rclpy = pytest.importorskip('rclpy', reason='the tables of the node need rclpy')


def table(heading):
    """Return the rows of the first table behind a heading, as lists of cells."""
    section = README.split(f'{heading}\n', 1)[1]
    lines = re.search(r'((?:^\|.*\n)+)', section, re.MULTILINE)[1].splitlines()
    return [[cell.strip() for cell in line.strip('|').split('|')] for line in lines[2:]]


def shown(value):
    """Return a default as README writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def test_the_parameter_file_is_the_defaults_of_the_code():
    from jrn_perception.ros.parameters import PARAMETERS
    content = yaml.safe_load((REPOSITORY / 'config' / 'jrn.yaml').read_text())
    defaults = {row.name: row.default for row in PARAMETERS if row.settable}
    assert content == {'/**': {'ros__parameters': defaults}}
    for name, value in content['/**']['ros__parameters'].items():
        assert type(value) is type(defaults[name]), name


def test_readme_lists_every_parameter_as_the_code_has_it():
    from jrn_perception.ros.parameters import PARAMETERS
    special = {'': '(empty)', "['']": "(the weights')"}
    expected = [[f'`{row.name}`', special.get(shown(row.default), f'`{shown(row.default)}`'),
                 'yes' if row.dynamic else 'no', row.meaning] for row in PARAMETERS]
    assert table('### Parameters') == expected


def test_readme_lists_every_output_as_the_code_has_it():
    from jrn_perception.ros.outputs import OUTPUTS
    rows = {cells[1]: cells for cells in table('### Topics')}
    for output in OUTPUTS:
        assert rows[f'`{output.name}`'] == [
            'pub', f'`{output.name}`', f'sensor_msgs/{output.kind.__name__}', output.meaning,
            f'reliable, {output.qos.depth}']


def test_readme_lists_every_executable():
    source = (REPOSITORY / 'setup.py').read_text()
    scripts = re.search(r'SCRIPTS = \(([^)]*)\)', source)[1]
    expected = {f'jrn_{name}' for name in re.findall(r"'(\w+)'", scripts)}
    listed = {match for row in table('## Commands') for match in re.findall(r'jrn_\w+', row[0])}
    assert listed == expected


def test_readme_names_every_shipped_network():
    from jrn_perception import weights
    for name in weights.shipped():
        assert f'`{name}`' in README, name


def test_readme_has_no_gaps_and_shows_what_is_there():
    assert not re.findall(r'^[A-Z]{4,}$', README, re.MULTILINE)
    links = re.findall(r'\]\((?!http)([^)#]+)\)', README)
    assert any(link.endswith(('.png', '.jpg')) for link in links)
    for link in links:
        assert (REPOSITORY / link).exists(), link
