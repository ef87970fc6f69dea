# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The checks on GitHub, which cannot run here, at least ask for things that exist."""

from pathlib import Path
import re

import pytest

yaml = pytest.importorskip('yaml')

REPOSITORY = Path(__file__).resolve().parent.parent
WORKFLOWS = sorted((REPOSITORY / '.github' / 'workflows').glob('*.yml'))
MAKEFILE = (REPOSITORY / 'Makefile').read_text()


@pytest.fixture(scope='module')
def jobs():
    return yaml.safe_load((REPOSITORY / '.github' / 'workflows' / 'ci.yml').read_text())['jobs']


def commands_of(job):
    return [step['run'] for step in job['steps'] if 'run' in step]


@pytest.mark.parametrize('path', WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_is_well_formed(path):
    content = yaml.safe_load(path.read_text())
    # YAML 1.1 reads the key `on` as true.
    assert {'name', True, 'jobs', 'permissions'} <= set(content)
    for job in content['jobs'].values():
        assert job['runs-on'] and job['timeout-minutes'] <= 90
        for step in job['steps']:
            assert ('uses' in step) != ('run' in step)
            assert re.fullmatch(r'[\w./-]+@v[\d.]+', step.get('uses', 'a@v1'))


def test_the_workflow_says_that_it_never_ran():
    assert 'Nobody has run this file yet' in (
        REPOSITORY / '.github' / 'workflows' / 'ci.yml').read_text().splitlines()[0]


def test_the_pip_job_makes_what_the_makefile_has_with_every_python(jobs):
    job = jobs['pip']
    low, high = re.search(r'\(3, (\d+)\) <= sys.version_info < \(3, (\d+)\)', MAKEFILE).groups()
    assert job['strategy']['matrix']['python'] == [f'3.{k}' for k in range(int(low), int(high))]
    command, = commands_of(job)
    assert command.split() == ['make', 'PYTHON=python', 'lint', 'test']
    for target in ('lint', 'test'):
        assert re.search(rf'^{target}: ', MAKEFILE, re.MULTILINE)


def test_a_job_tests_an_installation_without_torch(jobs):
    command, = commands_of(jobs['without-torch'])
    assert command.split() == ['make', 'PYTHON=python', 'test-without-torch']
    assert re.search('^test-without-torch: ', MAKEFILE, re.MULTILINE)
    assert 'make test-without-torch\n' in (REPOSITORY / '.ci' / 'run').read_text()


def test_the_ros_job_builds_this_package_and_runs_its_launch_tests(jobs):
    job = jobs['ros']
    assert job['strategy']['matrix']['distribution'] == ['humble', 'jazzy', 'kilted', 'lyrical']
    assert job['container']['image'] == 'ros:${{ matrix.distribution }}'
    action, = [step for step in job['steps']
               if step.get('uses', '').startswith('ros-tooling/action-ros-ci@')]
    assert action['with']['package-name'] == 'jrn_perception'
    assert f"<name>{action['with']['package-name']}</name>" in (
        REPOSITORY / 'package.xml').read_text()
    assert any('pytest test/launch' in command for command in commands_of(job))
    assert list((REPOSITORY / 'test' / 'launch').glob('test_*.py'))
