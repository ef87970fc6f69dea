# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Frames from pictures, videos, recordings, data sets and our own renderer."""
