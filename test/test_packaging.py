# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""What is written down twice agrees, and what the house forbids is absent."""

import ast
from graphlib import TopologicalSorter
import json
import os
from pathlib import Path
import re
import shutil
import subprocess
import sys
from xml.etree import ElementTree

import jrn_perception
import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGE = REPOSITORY / 'jrn_perception'
MODULES = sorted(PACKAGE.rglob('*.py'))
MANIFEST = ElementTree.parse(REPOSITORY / 'package.xml').getroot()

# Room -> the rooms it may import. Single files are rooms as well; cli/ may import all.
ROOMS = {
    '__init__': {'perception', 'networks'},
    'labels': set(),
    'frame': set(),
    'networks': {'labels'},
    'weights': {'labels', 'networks'},
    'perception': {'labels', 'frame', 'networks', 'weights', 'rooms'},
    'messages': {'labels'},
    'recordings': {'labels', 'frame', 'messages'},
    'rooms': {'labels', 'frame'},
    'sources': {'labels', 'frame', 'messages', 'recordings', 'rooms'},
    'datasets': {'labels', 'frame', 'messages'},
    'drawing': {'labels', 'perception'},
    'fleet': {'perception'},
    'ros': {'labels', 'frame', 'networks', 'weights', 'perception', 'messages', 'recordings',
            'sources', 'drawing'},
    'evaluation': {'labels', 'frame', 'networks', 'weights', 'perception', 'messages',
                   'recordings', 'sources', 'datasets', 'rooms', 'drawing', 'fleet'},
    'training': {'labels', 'frame', 'networks', 'weights', 'perception', 'datasets', 'messages',
                 'evaluation', 'fleet', 'sources'},
}
ROOMS['cli'] = {*ROOMS, '__version__'}
ROS = {
    'builtin_interfaces', 'cv_bridge', 'diagnostic_msgs', 'diagnostic_updater', 'geometry_msgs',
    'rcl_interfaces', 'rclpy', 'rosbag2_py', 'rosgraph_msgs', 'sensor_msgs', 'std_msgs',
    'std_srvs', 'tf2_ros', 'vision_msgs'}
TRAINING = {'h5py', 'kornia', 'lightning', 'scipy', 'torchmetrics'}
# Those that a module of evaluation/ may need as a whole.
EXTRAS = {'jinja2', 'matplotlib', 'rich', 'rosbags'}
# Where the name of what is imported is not the name of what is installed.
DISTRIBUTIONS = {
    'numpy': 'python3-numpy', 'cv2': 'python3-opencv', 'yaml': 'python3-yaml',
    'pytorch_lightning': 'lightning', 'rerun': 'rerun-sdk', 'tf2_ros': 'tf2_ros_py'}


def room_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix('.py')


def imports(path):
    """Return the full names that a file imports, wherever in the file."""
    names = set()
    for statement in ast.walk(ast.parse(path.read_text())):
        if isinstance(statement, ast.Import):
            names |= {alias.name for alias in statement.names}
        elif isinstance(statement, ast.ImportFrom):
            assert statement.level == 0, f'{path}: relative import'
            names |= {f'{statement.module}.{alias.name}' for alias in statement.names}
    return names


def roots(path):
    return {name.split('.')[0] for name in imports(path)}


def assigned(path, name):
    """Return the literal that a file assigns to a name."""
    for statement in ast.parse(path.read_text()).body:
        if isinstance(statement, ast.Assign) and statement.targets[0].id == name:
            return ast.literal_eval(statement.value)
    raise AssertionError(f'{path.name} assigns nothing to {name}')


def test_versions_agree():
    version = MANIFEST.findtext('version')
    in_setup = re.findall(r"^ +version='(.+)',$", (REPOSITORY / 'setup.py').read_text(), re.M)
    assert in_setup == [version]
    assert jrn_perception.__version__ == version


def test_the_package_root_exports_the_way_in_and_imports_nothing_for_it():
    from jrn_perception import networks, perception
    assert jrn_perception.Perception is perception.Perception
    assert jrn_perception.Prediction is perception.Prediction
    assert jrn_perception.list_networks is networks.list_networks
    assert {'Perception', 'Prediction', 'list_networks'} <= set(jrn_perception.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Percepton'"):
        jrn_perception.Percepton  # noqa: B018
    program = "import jrn_perception, sys; print({'numpy', 'torch', 'cv2'} & set(sys.modules))"
    done = subprocess.run([sys.executable, '-c', program], cwd=REPOSITORY, capture_output=True,
                          text=True)
    assert (done.stdout, done.stderr) == ('set()\n', '')


@pytest.mark.parametrize('name', assigned(REPOSITORY / 'setup.py', 'SCRIPTS'))
def test_console_script_has_a_main(name):
    module = ast.parse((PACKAGE / 'cli' / f'{name}.py').read_text())
    assert 'main' in {
        statement.name for statement in module.body if isinstance(statement, ast.FunctionDef)}


@pytest.mark.parametrize('path', MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_one_way(path):
    room = room_of(path)
    own = {name.split('.')[1] for name in imports(path) if name.startswith('jrn_perception.')}
    assert own - {room} <= ROOMS[room]
    foreign = roots(path)
    if room == 'networks':
        assert foreign - set(sys.stdlib_module_names) <= {'torch', 'jrn_perception'}
    if room not in ('ros', 'cli'):
        assert not foreign & ROS
    if room not in ('training', 'cli'):
        assert not foreign & {'kornia', 'lightning'}


# What each part of evaluation/ may import of it, and what training/ may.
EVALUATION = {'evaluation/measures': {'measures'}, 'evaluation/recordings': {
    'measures', 'recordings'}, 'evaluation/reports': {'measures', 'recordings', 'reports'},
    'training': {'measures'}}


@pytest.mark.parametrize('folder', EVALUATION)
def test_measures_know_no_recordings_and_recordings_no_reports(folder):
    prefix = 'jrn_perception.evaluation.'
    for path in (PACKAGE / folder).glob('*.py'):
        parts = {name.removeprefix(prefix).split('.')[0] for name in imports(path)
                 if name.startswith(prefix)}
        assert parts <= EVALUATION[folder], path.name


@pytest.mark.parametrize('room', ['ros', 'training'])
def test_inner_rooms_import_one_way(room):
    prefix = f'jrn_perception.{room}.'
    imported = {}
    for path in (PACKAGE / room).rglob('*.py'):
        inner = path.relative_to(PACKAGE / room).parts[0].removesuffix('.py')
        imported.setdefault(inner, set()).update(
            found for name in imports(path) if name.startswith(prefix)
            for found in [name.removeprefix(prefix).split('.')[0]] if found != inner)
    # CycleError for rooms that import each other.
    order = list(TopologicalSorter(imported).static_order())
    assert set(order) >= {path.name for path in (PACKAGE / room).iterdir()
                          if path.is_dir() and path.name != '__pycache__'}


# Beside these a robot that runs an exported network needs no torch.
TORCH = {'networks', 'training', 'perception/backends/torch.py',
         'perception/inputs/transformers.py', 'weights/files.py',
         'weights/convert.py'}


@pytest.mark.parametrize('path', MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_torch_is_imported_where_networks_run_and_learn(path):
    name = path.relative_to(PACKAGE).as_posix()
    if 'torch' in roots(path):
        assert name in TORCH or room_of(path) in TORCH


def test_all_but_ros_and_training_imports_without_their_packages():
    modules = [
        '.'.join(path.relative_to(REPOSITORY).with_suffix('').parts).removesuffix('.__init__')
        for path in MODULES if room_of(path) not in ('ros', 'training')]
    program = f"""
import importlib, sys
sys.modules.update(dict.fromkeys({sorted(ROS | TRAINING)!r}))  # None: cannot be imported
for name in {modules!r}:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name not in {sorted(EXTRAS)!r}:
            raise
"""
    done = subprocess.run(
        [sys.executable, '-c', program], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_import_is_declared():
    requirements = assigned(REPOSITORY / 'setup.py', 'REQUIRES')
    for extra in assigned(REPOSITORY / 'setup.py', 'EXTRAS').values():
        requirements += extra
    declared = {re.match(r'[\w-]+', requirement)[0] for requirement in requirements}
    declared |= {depend.text for depend in MANIFEST.findall('exec_depend')}
    # diagnostic_updater and rosbag2_py are never needed, only used where they are installed.
    declared |= {'jrn_perception', 'diagnostic_updater', 'rosbag2_py'}
    used = {
        (name, str(path.relative_to(REPOSITORY)))
        for path in [*MODULES, *(REPOSITORY / 'launch').glob('*.py')] for name in roots(path)
        if name not in sys.stdlib_module_names}
    undeclared = {(n, p) for n, p in used if DISTRIBUTIONS.get(n, n) not in declared}
    assert not undeclared


def test_every_file_names_its_licence():
    for folder in ('benchmarks', 'demo', 'jrn_perception', 'launch', 'test'):
        for path in (REPOSITORY / folder).rglob('*.py'):
            text = path.read_text()
            if text.startswith('#!'):
                text = text.partition('\n')[2]
            assert text.startswith('# Copyright 2026 The jrn_perception developers\n'
                                   '# SPDX-License-Identifier: Apache-2.0\n'), path


def run_setup(*arguments):
    pytest.importorskip('setuptools', reason='setuptools is not installed')
    done = subprocess.run(
        [sys.executable, 'setup.py', '-q', *map(str, arguments)], cwd=REPOSITORY,
        capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def files(folder, pattern='*'):
    return {
        str(path.relative_to(folder)) for path in folder.rglob(pattern)
        if path.is_file() and '__pycache__' not in path.parts}


def test_share_is_installed(tmp_path):
    run_setup('egg_info', '--egg-base', tmp_path, 'install_data', '-d', tmp_path / 'prefix')
    assert files(tmp_path / 'prefix' / 'share') == {
        'ament_index/resource_index/packages/jrn_perception',
        'jrn_perception/package.xml',
        *(f'jrn_perception/launch/{path.name}' for path in (REPOSITORY / 'launch').glob('*.py')),
        *(f'jrn_perception/config/{path.name}' for path in (REPOSITORY / 'config').iterdir()),
    }


def test_package_is_whole(tmp_path):
    run_setup('egg_info', '--egg-base', tmp_path, 'build_py', '-d', tmp_path / 'lib')
    built = tmp_path / 'lib' / 'jrn_perception'
    assert files(built, '*.py') == files(PACKAGE, '*.py')
    assert (built / 'py.typed').is_file()
    for pattern in ('*.safetensors', '*.json', '*.html'):
        assert files(built, pattern) == files(PACKAGE, pattern)


def test_make_help_lists_every_target():
    if shutil.which('make') is None:
        pytest.skip('make is not installed')
    targets = re.findall(r'^\.PHONY: (.+)$', (REPOSITORY / 'Makefile').read_text(), re.M)
    listed = subprocess.run(
        ['make', '--no-print-directory'], cwd=REPOSITORY, check=True, capture_output=True,
        text=True, env={key: text for key, text in os.environ.items() if key != 'MAKEFLAGS'})
    assert re.findall(r'^  make (\S+) +\S', listed.stdout, re.M) == targets
    assert {'help', 'demo', 'test', 'lint', 'build', 'clean'} <= set(targets)


def test_launch_arguments_are_the_table_of_parameters_and_cost_no_torch():
    pytest.importorskip('rclpy', reason='the table of parameters needs rclpy')
    from jrn_perception.networks import architectures_with, variants
    from jrn_perception.networks.interface import MUTE
    from jrn_perception.ros.parameters.table import PARAMETERS
    program = """
from jrn_perception.ros.parameters import launching
from jrn_perception.ros.middleware import transport
from jrn_perception.recordings import reader
import json, sys
described = {parameter.name: launching.describe(parameter) for parameter in launching.ARGUMENTS}
print(json.dumps([described, 'torch' in sys.modules]))
"""
    done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True,
                          cwd=REPOSITORY, timeout=60)
    assert done.returncode == 0, done.stderr
    described, imports_torch = json.loads(done.stdout)
    assert not imports_torch
    assert list(described) == [
        parameter.name for parameter in PARAMETERS if parameter.name != 'labels']
    assert all(each['default_value'] == '' for each in described.values())
    choices = {name: tuple(each['choices']) for name, each in described.items()
               if 'choices' in each}
    joint = (*architectures_with('depth', 'semantics'), 'external')
    assert choices['architecture'] == ('', *joint)
    assert choices['variant'] == ('', *dict.fromkeys(
        variant for name in joint for variant in variants(name)))
    assert choices['mute'] == ('', *MUTE) == ('', 'none', 'depth', 'semantics')
    assert choices['precision'] == ('', 'auto', 'fp32', 'fp16', 'bf16')
    assert choices['lazy'] == ('', 'true', 'false', 'True', 'False')


@pytest.mark.skipif(sys.platform != 'linux', reason='reads /proc')
def test_fast_dds_takes_the_profile(ros_domain):
    program = """
import rclpy
rclpy.init()
node = rclpy.create_node('probe')
print([line for line in open('/proc/self/maps') if '/dev/shm/fast' in line])
node.destroy_node()
rclpy.try_shutdown()
"""
    done = subprocess.run(
        [sys.executable, '-c', program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, '')  # Not a word about names or values.
    sizes = [
        int(end, 16) - int(begin, 16)
        for begin, end in re.findall(r"'([0-9a-f]+)-([0-9a-f]+) ", done.stdout)]
    assert max(sizes) > 32 * 2**20
