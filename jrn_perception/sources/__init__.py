# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Pictures, videos, cameras, recordings and drawn rooms as iterables of ``Frame``."""
