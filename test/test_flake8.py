# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""ament's style checks."""

from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.mark.flake8
@pytest.mark.linter
def test_flake8():
    main = pytest.importorskip('ament_flake8.main', reason='ament_flake8 is not installed')
    # Not '.', which would include a virtual environment and the build folders.
    paths = ['setup.py', 'jrn_perception', 'launch', 'test', 'benchmarks', 'demo']
    code, errors = main.main_with_errors(
        argv=[str(REPOSITORY / path) for path in paths if (REPOSITORY / path).exists()])
    assert code == 0, '\n'.join([f'{len(errors)} errors', *errors])
