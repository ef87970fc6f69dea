# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Sources of depth and semantics other than the networks of this package."""
