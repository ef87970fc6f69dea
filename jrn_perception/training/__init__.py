# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Losses, augmentation and recipes; needs the extra `train`."""
