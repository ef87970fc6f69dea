# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""ament's docstring checks."""

from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.mark.linter
@pytest.mark.pep257
def test_pep257(capsys):
    main = pytest.importorskip('ament_pep257.main', reason='ament_pep257 is not installed').main
    paths = ['setup.py', 'jrn_perception', 'launch', 'test', 'benchmarks', 'demo']
    code = main(argv=[str(REPOSITORY / path) for path in paths if (REPOSITORY / path).exists()])
    lines = ''.join(capsys.readouterr()).splitlines()
    assert code == 0, '\n'.join(line for line in lines if not line.startswith('checking '))
