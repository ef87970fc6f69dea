# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Nodes that publish as a camera does, and their listeners."""
