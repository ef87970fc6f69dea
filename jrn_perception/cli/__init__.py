# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""A file per executable, thin: arguments in, one call, a line out."""
