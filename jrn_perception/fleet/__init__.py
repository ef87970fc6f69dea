# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The same work on many recordings: finding them, sharing them out, keeping results."""
