# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The node, jrn_predict and jrn_evaluate bag on a machine with ONNX Runtime and without torch."""

from importlib.util import find_spec
import json
import os
import subprocess
import sys

from jrn_perception.perception import Perception
import numpy as np
from one_camera import answer_of
import pytest

pytest.importorskip('onnxruntime', reason="needs pip install '.[onnxruntime]'")

# What Python runs at its start: afterwards these packages are absent for all of the process.
HIDE = """
import importlib.metadata
import sys

HIDDEN = {hidden!r}
sys.modules.update(dict.fromkeys(HIDDEN))
_from_name = importlib.metadata.Distribution.from_name.__func__


def from_name(cls, name):
    if name in HIDDEN:
        raise importlib.metadata.PackageNotFoundError(name)
    return _from_name(cls, name)


importlib.metadata.Distribution.from_name = classmethod(from_name)
"""
# What an exporter needs, and all that brings torch with it.
TORCH = ('torch', 'onnx', 'onnxscript', 'lightning', 'torchmetrics', 'kornia')
SMALL = {'height': 64, 'width': 96}


@pytest.fixture
def without(tmp_path, monkeypatch):
    """Return a function that hides packages from all processes that start afterwards."""
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    monkeypatch.setenv('OMP_NUM_THREADS', '1')

    def hide(*names):
        folder = tmp_path / 'hidden'
        folder.mkdir(exist_ok=True)
        (folder / 'sitecustomize.py').write_text(HIDE.format(hidden=names))
        path = os.environ.get('PYTHONPATH', '')
        monkeypatch.setenv('PYTHONPATH', f'{folder}{os.pathsep}{path}' if path else str(folder))
        done = run('-c', f'import importlib.util; print([importlib.util.find_spec(name) '
                         f'for name in {names!r}])')
        assert done.stdout == f'{[None] * len(names)}\n'

    return hide


def run(*arguments):
    return subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, text=True,
                          timeout=180)


def command(name, *arguments):
    return run('-m', f'jrn_perception.cli.{name}', *arguments)


def options(backend):
    return ['--architecture', 'hydranet', '--backend', backend, '--height', '64', '--width', '96']


def test_pictures_are_predicted(without, tmp_path, room):
    cv2 = pytest.importorskip('cv2')
    rgb = room(2).render(height=120, width=160).rgb
    cv2.imwrite(str(tmp_path / 'room.png'), rgb[..., ::-1])
    without(*TORCH)
    done = command('predict', tmp_path / 'room.png', *options('onnxruntime'), '--raw',
                   '--output', tmp_path / 'out')
    assert done.returncode == 0, done.stderr
    expected = Perception.load('hydranet', backend='onnxruntime', **SMALL)(rgb)
    labels = cv2.imread(str(tmp_path / 'out' / 'room_labels.png'), cv2.IMREAD_UNCHANGED)
    depth = cv2.imread(str(tmp_path / 'out' / 'room_depth.png'), cv2.IMREAD_UNCHANGED)
    assert (labels == expected.labels).mean() > 0.999
    np.testing.assert_allclose(depth / 1000, expected.depth, atol=2e-3)


def test_a_recording_is_evaluated(without, tmp_path):
    for package in ('jinja2', 'matplotlib', 'rich', 'rosbags'):
        pytest.importorskip(package, reason="needs pip install '.[evaluate]'")
    from jrn_perception.sources.sample import write_sample
    write_sample(tmp_path / 'sample', 3, size=(96, 128))
    without(*TORCH)
    done = command('evaluate', 'bag', tmp_path / 'sample', *options('auto'),
                   '--json', tmp_path / 'out.json')
    assert done.returncode == 0, done.stderr
    document = json.loads((tmp_path / 'out.json').read_text())
    assert document['network']['architecture'] == 'hydranet'
    assert 'torch' not in document['versions']
    assert {'onnxruntime', 'openvino'} & set(document['versions'])


@pytest.mark.skipif(find_spec('rclpy') is None, reason="needs ROS 2 (pip install '.[ros]')")
def test_the_node_answers_a_camera(without, ros_domain, spawn):
    without(*TORCH)
    node = spawn('node', '--ros-args', '-p', 'architecture:=hydranet', '-p',
                 'backend:=onnxruntime', '-p', 'inference_height:=64', '-p', 'inference_width:=96')
    rgb = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    found = answer_of(node, rgb)
    expected = Perception.load('hydranet', backend='onnxruntime', **SMALL)(rgb)
    depth = np.frombuffer(found['depth'].data, np.float32).reshape(48, 64)
    labels = np.frombuffer(found['semantics'].data, np.uint8).reshape(48, 64)
    assert (np.abs(depth - expected.depth) < 1e-3).mean() > 0.999
    assert (labels == expected.labels).mean() > 0.999
    assert 'onnx/hydranet_nyu40.onnx) on cpu in fp32, onnxruntime' in node.output
    assert node.stop() == 0


@pytest.mark.parametrize('arguments, message', [
    (['--architecture', 'jrn'], 'jrn_sum60.safetensors: these weights need torch, which is '
     "missing: pip install '.[torch]'; without torch run the HydraNet that comes with the package "
     '(architecture:=hydranet) or an ONNX file that jrn_export wrote'),
    (['--architecture', 'hydranet', '--weights', 'random'], 'random: these weights need torch'),
    (['--architecture', 'hydranet', '--backend', 'torch'],
     "backend 'torch': the package torch is missing: pip install '.[torch]'")])
def test_what_needs_torch_is_refused_in_one_line(without, arguments, message, tmp_path):
    without(*TORCH)
    done = command('predict', 'scenes:1', '--count', '1', *arguments, '--output', tmp_path / 'out')
    assert done.returncode == 1
    assert done.stderr.startswith('jrn_predict: ') and message in done.stderr
    assert done.stderr.count('\n') == 1


def test_without_any_runtime_an_error_names_the_extras(without, tmp_path):
    without('torch', 'onnxruntime', 'openvino')
    done = command('predict', 'scenes:1', '--architecture', 'hydranet', '--output',
                   tmp_path / 'out')
    assert (done.returncode, done.stderr) == (
        1, "jrn_predict: no runtime is installed: pip install '.[torch]', '.[onnxruntime]' or "
           "'.[openvino]'\n")


@pytest.mark.parametrize('name, arguments, extra', [
    ('export', ('hydranet', 'out.onnx'), 'export'), ('convert', ('in.ckpt', 'out.st'), 'train'),
    ('average', ('a.safetensors', '--data', 'nowhere', '--output', 'out.safetensors'), 'train')])
def test_commands_that_need_torch_say_so(without, name, arguments, extra):
    without(*TORCH)
    done = command(name, *arguments)
    assert done.returncode == 1
    assert done.stderr == f"jrn_{name}: torch is missing: pip install '.[{extra}]'\n"
