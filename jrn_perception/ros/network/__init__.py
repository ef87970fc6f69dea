# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The network that the node runs: its configuration, and faster or other networks instead."""
