# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The Dockerfile, which cannot be built here, at least asks for things that exist."""

import json
from pathlib import Path
import re
import shutil
import subprocess

import pytest
from test_documents import cells_of, rows_of
from test_packaging import assigned, files, REPOSITORY

FOLDER = REPOSITORY / 'docker'
TEXT = (FOLDER / 'Dockerfile').read_text()


def instructions():
    """Return (word, rest) of each instruction, its lines joined, without comments."""
    lines = '\n'.join(line for line in TEXT.splitlines() if not line.startswith('#'))
    return [tuple(line.split(None, 1)) for line in lines.replace('\\\n', ' ').splitlines() if line]


def rests(word):
    return [rest for each, rest in instructions() if each == word]


def arguments():
    return dict(rest.split('=', 1) for rest in rests('ARG'))


def test_every_instruction_is_known():
    assert {word for word, _ in instructions()} == {
        'ARG', 'CMD', 'COPY', 'ENTRYPOINT', 'ENV', 'FROM', 'RUN', 'SHELL', 'USER', 'WORKDIR'}
    assert [word for word, _ in instructions()][:2] == ['ARG', 'FROM']
    for word in ('CMD', 'ENTRYPOINT', 'SHELL'):
        for rest in rests(word):
            assert all(isinstance(each, str) for each in json.loads(rest))


def test_every_copied_file_exists():
    for rest in rests('COPY'):
        *sources, target = rest.split()
        for source in sources:
            path = REPOSITORY / source
            assert path.exists(), source
            # Docker copies the content of a folder.
            assert path.is_file() or target.endswith(f'/{source}'), rest


def test_all_that_is_installed_is_copied():
    copied = {source for rest in rests('COPY') for source in rest.split()[:-1]}
    # What setup.py reads, beside itself.
    assert {'setup.py', 'setup.cfg', 'pyproject.toml', 'package.xml', 'jrn_perception', 'resource',
            'launch', 'config'} <= copied
    assert files(REPOSITORY / 'config')


def test_its_extras_exist():
    extras = assigned(REPOSITORY / 'setup.py', 'EXTRAS')
    assert set(arguments()['EXTRAS'].split(',')) <= set(extras)
    assert '[$EXTRAS]' in TEXT


def test_the_page_lists_the_arguments_and_says_that_nobody_has_built_it():
    rows = {cells[0].strip('`'): cells[1] for cells in map(
        cells_of, rows_of('docs/docker.md', '# Docker'))}
    assert set(rows) == set(arguments())
    assert rows['ROS_DISTRO'] == f'`{arguments()["ROS_DISTRO"]}`'
    assert rows['EXTRAS'] == f'`{arguments()["EXTRAS"]}`'
    assert arguments()['TORCH_INDEX'].endswith('/cpu')
    assert 'has not been built' in (REPOSITORY / 'docs' / 'docker.md').read_text()
    assert 'Nobody has\n# built this file yet' in TEXT


def test_the_page_names_the_distributions_of_the_checks():
    workflow = (REPOSITORY / '.github' / 'workflows' / 'ci.yml').read_text()
    distributions = re.search(r'distribution: \[(.+)\]', workflow)[1].split(', ')
    page = (REPOSITORY / 'docs' / 'docker.md').read_text()
    assert arguments()['ROS_DISTRO'] in distributions
    assert [name for name in distributions if f'`{name}`' not in page] == []


def test_its_shell_commands_can_be_parsed():
    if shutil.which('bash') is None:
        pytest.skip('bash is not installed')
    scripts = [*rests('RUN'), *(Path(path).read_text() for path in FOLDER.glob('*.sh'))]
    for script in scripts:
        done = subprocess.run(['bash', '-n', '-c', script], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, ''), script
