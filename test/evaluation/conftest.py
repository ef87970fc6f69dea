# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""What tests of evaluations have in common."""

from jrn_perception.perception import Perception
import pytest


@pytest.fixture(scope='module')
def perception():
    return Perception.load('jrn', 'cat1', weights_file='random', device='cpu', height=64)
