# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Results as json, tables, web pages and plots."""
