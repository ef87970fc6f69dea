# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The JRN paper's own single-task networks."""
