# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Decoders and task heads: features in, maps out."""
