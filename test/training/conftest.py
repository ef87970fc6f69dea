# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Makes ``tiny`` importable in the folders below."""
