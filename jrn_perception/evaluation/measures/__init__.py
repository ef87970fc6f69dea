# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Metrics, and the loops that measure a network on data sets."""
