# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Learning from frames without labels: a mean teacher, changed colours, and video."""
