# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Networks that the tests of perception share."""

import pytest
from small_networks import load, SMALL


@pytest.fixture(scope='module')
def jrn():
    return load('jrn', 'cat5', **SMALL)


@pytest.fixture(scope='module')
def hydranet():
    return load('hydranet', **SMALL)
