# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The executable `jrn_node`: how it starts, refuses to start and ends, as a child process."""

from pathlib import Path
import signal
import subprocess
import sys
import time

from jrn_perception import weights
import pytest

SMALL = ('-p', 'weights:=random', '-p', 'architecture:=hydranet', '-p', 'inference_height:=64',
         '-p', 'inference_width:=96')
READY = 'reading /image'


@pytest.fixture
def start(ros_domain, spawn):
    """Return a function that starts `jrn_node --ros-args ARGUMENTS...`."""
    return lambda *arguments: spawn('node', '--ros-args', *arguments)


def expect_refusal(child, reason):
    assert child.wait() == 1, child.output
    assert 'Traceback' not in child.output
    said, = (line for line in child.output.splitlines() if line.startswith('jrn_node: '))
    assert reason in said
    assert child.output.rstrip().endswith(said)


def damaged_file(folder):
    loaded = weights.load('hydranet', '', 'random')
    file = folder / 'damaged.safetensors'
    weights.save(loaded.network, loaded.card, file)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    return file


def test_what_cannot_be_used_is_refused_in_one_line_with_exit_code_1(start, tmp_path):
    # At once, for most of the time goes into imports.
    file = damaged_file(tmp_path)
    children = {
        f'{file}: sha256 is ': start(*SMALL, '-p', f'weights:={file}'),
        "device 'cuda:99' is not there": start(*SMALL, '-p', 'device:=cuda:99'),
        'unknown parameters: max_rat; there are: architecture, ': start('-p', 'max_rat:=5')}
    for reason, child in children.items():
        expect_refusal(child, reason)


@pytest.mark.slow
@pytest.mark.parametrize(('arguments', 'reason'), [
    (('-p', 'max_rate:=fast'), "max_rate: expected a number, got 'fast'"),
    (('-p', 'max_rate:=-1'), 'max_rate: -1.0 is outside 0..1000'),
    (('-p', 'max_rate:=[1'), "Couldn't parse parameter override rule"),
    (('-p', 'weights:=/nowhere.safetensors'), '/nowhere.safetensors: no such weights file'),
    (('-p', 'precision:=fp16', '-p', 'device:=cpu', *SMALL), 'on a CPU choose fp32 or bf16'),
    (('--params-file', '/nowhere.yaml'), "Couldn't parse params file"),
    (('--nonsense',), "ROS arguments: ['--nonsense']"),
    ((*SMALL, '-p', 'qos_overrides./image.subscription.reliability:=sure'), 'sure'),
    ((*SMALL, '-p', 'qos_overrides./image.subscription.depth:=deep'), "'deep'"),
    ((*SMALL, '-p', 'qos_overrides./imag.subscription.depth:=5'), 'overrides nothing'),
])
def test_more_that_is_refused(start, arguments, reason):
    expect_refusal(start(*arguments), reason)


def test_arguments_that_mean_nothing_are_refused(ros_domain, spawn):
    child = spawn('node', '--weights', 'random')
    assert child.wait() == 2
    assert 'unrecognized arguments: --weights random' in child.output
    assert '--ros-args -p NAME:=VALUE' in child.output


@pytest.mark.parametrize('module', ['rclpy', pytest.param('std_srvs', marks=pytest.mark.slow)])
def test_without_ros_it_says_what_to_install(module):
    code = ('import sys; sys.modules[sys.argv.pop(1)] = None; '
            'from jrn_perception.cli.node import main; sys.exit(main())')
    done = subprocess.run([sys.executable, '-c', code, module], capture_output=True, text=True,
                          timeout=120)
    assert done.returncode == 1
    line, = done.stderr.splitlines()
    assert line.startswith('jrn_node: ')
    assert module in line
    assert "pip install '.[ros]'" in line


@pytest.mark.slow
def test_ctrl_c_ends_it_in_order(start):
    child = start(*SMALL)
    child.wait_for(READY)
    assert child.stop() == 0
    assert 'Traceback' not in child.output


def test_ctrl_c_pressed_again_and_again_changes_nothing(start):
    child = start(*SMALL)
    child.wait_for(READY)
    while child.process.poll() is None:
        child.process.send_signal(signal.SIGINT)
        time.sleep(0.002)
    assert child.wait() == 0
    assert 'Traceback' not in child.output


def loaded(child, library):
    """Return when a library is part of the process, or the process is gone."""
    maps = Path(f'/proc/{child.process.pid}/maps')
    while child.process.poll() is None and library not in maps.read_text():
        time.sleep(0.001)


@pytest.mark.skipif(not Path('/proc/self/maps').exists(), reason='needs /proc, as Linux has it')
@pytest.mark.parametrize('library', [
    'libtorch_cpu', pytest.param('_rclpy_pybind11', marks=pytest.mark.slow),
    'librmw_fastrtps_cpp'])
def test_ctrl_c_while_it_starts(start, library):
    child = start(*SMALL)
    loaded(child, library)
    assert child.stop() == 0, child.output
    assert 'Traceback' not in child.output
    assert 'jrn_node: ' not in child.output
    assert READY not in child.output


def test_ctrl_c_while_topics_are_made(start):
    child = start(*SMALL, '-p', 'device:=auto')
    child.wait_for('running on the CPU')
    assert child.stop() == 0, child.output
    assert 'Traceback' not in child.output
    assert 'jrn_node: ' not in child.output


@pytest.mark.slow
def test_sigterm_ends_it_in_order_too(start):
    child = start(*SMALL)
    child.wait_for(READY)
    child.process.terminate()
    assert child.wait() == 0
    assert 'Traceback' not in child.output
