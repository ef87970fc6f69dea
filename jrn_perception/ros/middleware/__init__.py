# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The node's topics and their QoS, and the transport of DDS."""
