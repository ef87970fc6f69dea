# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""rosbag2 recordings: reading, writing, and reading broken ones."""
