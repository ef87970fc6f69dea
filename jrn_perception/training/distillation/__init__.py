# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Learning from the predictions of other networks."""
