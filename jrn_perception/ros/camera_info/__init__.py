# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""camera_info messages: their topics, and which message belongs to an image."""
