# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The message that names the class ids."""

from __future__ import annotations

from collections.abc import Sequence

from builtin_interfaces.msg import Time

try:
    from vision_msgs.msg import LabelInfo, VisionClass
except ImportError:  # A soft dependency: the names are in the parameter `labels` as well.
    LabelInfo = None


def label_message(names: Sequence[str], threshold: float, stamp: Time) -> LabelInfo:
    """
    Return the LabelInfo of ``names`` by id; call it only where ``LabelInfo`` is not None.

    ``threshold``: the confidence, 0..1, below which a pixel is unlabelled. The message should be
    latched, and change only with the network or the threshold: readers build tables from it.
    """
    message = LabelInfo(threshold=threshold, class_map=[
        VisionClass(class_id=index, class_name=name) for index, name in enumerate(names)])
    message.header.stamp = stamp
    return message
