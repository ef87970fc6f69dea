# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
The two input networks of the JRN: the HydraNet design with one head each.

This pair runs in real time on a CPU. The JRN paper's own pair is in ``external``: ``fcn.py`` and
``multiscale.py``.
"""

from __future__ import annotations

from jrn_perception.networks.hydranet import HydraNet


def depth_network(encoder_stride: int = 32) -> HydraNet:
    """Return a network whose ``Maps`` hold only ``depth``."""
    return HydraNet({'depth': 1}, encoder_stride=encoder_stride)


def semantics_network(num_classes: int, encoder_stride: int = 32) -> HydraNet:
    """Return a network whose ``Maps`` hold only ``semantics``, logits over ``num_classes``."""
    return HydraNet({'semantics': num_classes}, encoder_stride=encoder_stride)
