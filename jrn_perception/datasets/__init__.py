# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Data sets with ground truth: a registry, and a file for each reader."""
