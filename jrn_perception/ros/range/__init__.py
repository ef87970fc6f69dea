# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Range sensors beside the camera: their messages, and the depth that they correct."""
