# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Depth and semantics of pictures, without ROS: ``Perception`` is the way in."""

from jrn_perception.perception.backends.interface import ArrayMaps, SetUp
from jrn_perception.perception.perception import Perception
from jrn_perception.perception.prediction import Prediction

__all__ = ['ArrayMaps', 'Perception', 'Prediction', 'SetUp']
