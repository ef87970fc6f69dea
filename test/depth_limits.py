# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The limits of depth, written down again for the tests."""

import numpy as np


def limit_depth(depth, low, high):
    """Return the depth with NaN outside low..high."""
    return np.where((depth >= low) & (depth <= high), depth, np.float32('nan'))
