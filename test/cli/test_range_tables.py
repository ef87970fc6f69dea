# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The program behind the tables of docs/range.md."""

import importlib.util
from pathlib import Path
import re

import pytest


@pytest.fixture
def program(monkeypatch):
    pytest.importorskip('torch', reason='the network needs torch')
    path = Path(__file__).parents[2] / 'tools' / 'range_tables.py'
    specification = importlib.util.spec_from_file_location('range_tables', path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    monkeypatch.setattr(module, 'SENSORS', ('points:5', 'line'))
    monkeypatch.setattr(module, 'FLICKER', (('points:50', True),))
    monkeypatch.setattr(module, 'STILL', 1)
    monkeypatch.setattr(module, 'COPIES', 7)
    return module


def rows(output, first):
    """Return the cells of the rows that begin with ``first``."""
    return [[cell.strip() for cell in line.strip('|').split('|')]
            for line in output.splitlines() if line.startswith(f'| {first} |')]


def test_all_tables_are_measured_and_compared(program, tmp_path, capsys):
    options = ['--reader', 'scenes', '--limit', '4', '--weights', 'random', '--height', '64',
               '--width', '96', '--device', 'cpu', '--backend', 'torch']
    sums = tmp_path / 'sums.npz'
    assert program.main([*options, '--keep', str(sums)]) == 0
    output = capsys.readouterr().out
    (_, plain, *_), _ = rows(output, 'none')
    (_, rms, interval, *_, worse, mean, largest), deviation = rows(output, 'line')
    # Random weights know nothing, so that any points help.
    assert 0 < float(rms) < float(plain)
    assert re.fullmatch(r'-\d\.\d{3} to -\d\.\d{3}', interval)
    assert (worse, mean, largest) == ('0', '0.000', '0.000')
    assert re.fullmatch(r'\d+ and \d+ %', deviation[1])
    assert re.search(r'wrong sign of the frame.s error in [0-4] of 4 frames', output)
    moved, = rows(output, '50, others in each picture')
    assert float(moved[1]) > 0

    assert program.main([*options, '--against', str(sums)]) == 0
    _, same, _ = rows(capsys.readouterr().out, 'line')
    assert same == ['line', '+0.0000', '+0.0000 to +0.0000']
