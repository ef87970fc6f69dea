# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Depth that is metric: predicted depth corrected by measured points, a floor or rules."""

from jrn_perception.perception.anchoring.anchoring import Anchoring, AnchoringSettings, Report
from jrn_perception.perception.anchoring.anchors import (
    Anchors,
    anchors_from_image,
    anchors_from_points,
)
from jrn_perception.perception.anchoring.depthless import (
    DEPTHLESS_CLASSES,
    depthless_ids,
    DepthlessRule,
    without_depth,
)
from jrn_perception.perception.anchoring.floor import Floor, scale_from_floor

__all__ = ['Anchoring', 'AnchoringSettings', 'Anchors', 'DEPTHLESS_CLASSES', 'DepthlessRule',
           'Floor', 'Report', 'anchors_from_image', 'anchors_from_points', 'depthless_ids',
           'scale_from_floor', 'without_depth']
