# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Our renderer: furnished rooms with exact depth and labels."""
