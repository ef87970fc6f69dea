# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""What tests of executables have in common."""

import pytest


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    """Let children sum in the same order, and not wait for a core each in small convolutions."""
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
