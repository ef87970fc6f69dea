# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""A network over many recordings: a result for each, totals, thresholds."""
