# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Devices and precisions: which exist, which are chosen, and that they agree."""

from jrn_perception.perception.backends.torch import (
    knows_bfloat16,
    select_device,
    select_precision,
)
import numpy as np
import pytest
from small_networks import load, picture, SMALL
import torch


@pytest.mark.parametrize('name', ['gpu', 'meta', 'mps', '', 'cuda:x', 'cpu:cpu'])
def test_what_is_no_device_is_refused(name):
    with pytest.raises(ValueError, match='choose from auto, cpu, cuda, cuda:N'):
        select_device(name)


@pytest.mark.parametrize('name', ['cuda:99', *['cuda', 'cuda:0'] * (
    not torch.cuda.is_available())])
def test_a_device_that_is_not_there_is_refused(name):
    with pytest.raises(ValueError, match=f"'{name}' is not there: .* sees .* CUDA devices; use"):
        select_device(name)


def test_auto_takes_what_is_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    assert select_device('auto') == torch.device('cpu')
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    assert select_device('auto') == torch.device('cuda')
    assert select_device('cpu') == torch.device('cpu')


@pytest.mark.parametrize('name, device, expected', [
    ('auto', 'cpu', 'fp32'), ('auto', 'cuda', 'fp16'), ('fp32', 'cuda', 'fp32'),
    ('bf16', 'cpu', 'bf16'), ('bf16', 'cuda', 'bf16'), ('fp16', 'cuda', 'fp16')])
def test_precision(name, device, expected):
    assert select_precision(name, torch.device(device)) == expected


@pytest.mark.parametrize('known, line', [
    (True, 'flags\t\t: fpu avx512f avx512_bf16'), (True, 'Features\t: fp asimd bf16'),
    (False, 'flags\t\t: fpu avx2'), (False, 'model name\t: bf16')])
def test_bfloat16_is_known_to_gpus_and_some_cpus(monkeypatch, tmp_path, known, line):
    cpuinfo = tmp_path / 'cpuinfo'
    monkeypatch.setattr('jrn_perception.perception.backends.choice.CPUINFO', cpuinfo)
    assert not knows_bfloat16(torch.device('cpu'))  # There is no such file but on Linux.
    cpuinfo.write_text(f'processor\t: 0\n{line}\n')
    assert knows_bfloat16(torch.device('cpu')) is known
    assert knows_bfloat16(torch.device('cuda', 1))


def test_a_precision_that_cannot_be_is_refused():
    with pytest.raises(ValueError, match="'int4': choose from auto, fp32, fp16, bf16"):
        select_precision('int4', torch.device('cpu'))
    with pytest.raises(ValueError, match='needs a CUDA device; on a CPU choose fp32 or bf16'):
        select_precision('fp16', torch.device('cpu'))


@pytest.mark.parametrize('name', ['jrn', 'hydranet'])
def test_bfloat16_says_about_the_same(name, request):
    full = request.getfixturevalue(name)
    low = load(name, 'cat5' if name == 'jrn' else '', precision='bf16', **SMALL)
    rgb = picture()
    expected, found = full(rgb), low(rgb)
    difference = np.abs(expected.depth - found.depth)
    assert 0 < difference.max()
    assert difference.mean() < 0.1 * expected.depth.std() + 0.01 * expected.depth.mean()
    assert (expected.labels == found.labels).mean() > 0.9
    assert np.abs(expected.confidence - found.confidence).mean() < 0.05
    assert found.depth.dtype == np.float32
