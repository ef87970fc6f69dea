# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""One camera of the node, from its images to its outputs and diagnostics."""
