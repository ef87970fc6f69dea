# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Joint depth prediction and semantic segmentation from one camera."""

__version__ = '0.1.0'
