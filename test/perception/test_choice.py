# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Which backends are tried for which weights, machine and precision."""

from jrn_perception.perception.backends import choice
from jrn_perception.perception.backends.choice import candidates, Options
import pytest

WEIGHTS = 'mine.safetensors'


@pytest.fixture(autouse=True)
def machine(monkeypatch, tmp_path):
    """Return a function that describes the machine: x86-64, all runtimes and no CUDA before."""
    def describe(packages=('torch', 'openvino', 'onnxruntime'), cpu='x86_64', flags='',
                 cuda=False):
        monkeypatch.setattr(choice, '_is_there', lambda package: package in packages)
        monkeypatch.setattr(choice.platform, 'machine', lambda: cpu)
        monkeypatch.setattr(choice, 'version', lambda _: '2.9.0' if cuda else '2.9.0+cpu')
        if cuda:
            monkeypatch.setattr('torch.cuda.is_available', lambda: True)
        cpuinfo = tmp_path / 'cpuinfo'
        cpuinfo.write_text(f'processor : 0\nflags : sse {flags}\n')
        monkeypatch.setattr(choice, 'CPUINFO', cpuinfo)

    describe()
    return describe


@pytest.mark.parametrize('packages, cpu, expected', [
    (('torch', 'openvino', 'onnxruntime'), 'x86_64', ('openvino', 'onnxruntime', 'torch')),
    (('torch', 'openvino', 'onnxruntime'), 'aarch64', ('onnxruntime', 'torch')),
    (('torch', 'onnxruntime'), 'x86_64', ('onnxruntime', 'torch')),
    (('torch',), 'x86_64', ('torch',)),
    (('openvino',), 'x86_64', ('openvino',))])
@pytest.mark.parametrize('weights', [WEIGHTS, ''])
def test_auto_on_a_cpu_is_the_fastest_runtime(machine, packages, cpu, expected, weights):
    machine(packages, cpu)
    for options in (Options(), Options('cpu'), Options(precision='fp32')):
        assert candidates(options, weights) == expected
    runtimes = tuple(name for name in expected if name != 'torch')
    if runtimes:
        assert candidates(Options(), 'mine.onnx') == runtimes


def test_auto_is_torch_on_cuda_for_random_weights_and_in_fp16(machine):
    assert candidates(Options(), 'random') == ('torch',)
    assert candidates(Options('cuda:1'), WEIGHTS) == ('torch',)
    assert candidates(Options(precision='fp16'), WEIGHTS) == ('torch',)
    machine(cuda=True)
    assert candidates(Options(), WEIGHTS) == ('torch',)
    assert candidates(Options('cpu'), WEIGHTS) == ('openvino', 'onnxruntime', 'torch')
    assert candidates(Options(), 'mine.onnx') == ('openvino', 'onnxruntime')


def test_bf16_is_for_openvino_on_a_cpu_that_has_it_and_for_torch(machine):
    options = Options(precision='bf16')
    assert candidates(options, WEIGHTS) == ('torch',)
    for backend in ('openvino', 'auto'):
        with pytest.raises(ValueError, match="'bf16': this CPU has no instructions for it"):
            candidates(Options(precision='bf16', backend=backend), 'mine.onnx')
    machine(flags='avx512_bf16')
    assert candidates(options, WEIGHTS) == ('openvino', 'torch')
    assert candidates(options, 'mine.onnx') == ('openvino',)
    with pytest.raises(ValueError, match="'bf16': backend onnxruntime computes in fp32;"):
        candidates(Options(precision='bf16', backend='onnxruntime'), 'mine.onnx')
    with pytest.raises(ValueError, match="'fp16': backend openvino computes in fp32 or bf16"):
        candidates(Options(precision='fp16', backend='openvino'), 'mine.onnx')


def test_the_precision_is_fp32_unless_somebody_asks(machine):
    for card in ('auto', 'fp32', 'int8'):
        assert choice.runtime_precision('openvino', 'auto', card) == 'fp32'
    # The CPU has no bfloat16: the card's wish is no order.
    assert choice.runtime_precision('openvino', 'auto', 'bf16') == 'fp32'
    machine(flags='amx_bf16')
    assert choice.runtime_precision('openvino', 'auto', 'auto') == 'fp32'
    assert choice.runtime_precision('openvino', 'auto', 'bf16') == 'bf16'
    assert choice.runtime_precision('openvino', 'fp32', 'bf16') == 'fp32'
    assert choice.runtime_precision('openvino', 'bf16', 'auto') == 'bf16'
    assert choice.runtime_precision('onnxruntime', 'auto', 'bf16') == 'fp32'
    with pytest.raises(ValueError, match="'fp32': the file is in int8; choose precision auto"):
        choice.runtime_precision('openvino', 'fp32', 'int8')
