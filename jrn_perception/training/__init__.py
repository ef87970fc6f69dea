# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""From annotated frames to trained weights; needs the extra `train`."""
