# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Metrics, and their measurement on data sets."""
