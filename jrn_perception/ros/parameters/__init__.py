# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The node's parameters: their table, values, files, services and launch arguments."""
