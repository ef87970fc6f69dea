# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The maps and clouds that the node publishes; each is made only when wanted."""

from jrn_perception.ros.outputs.publishers import Delivery, OutputPublishers
from jrn_perception.ros.outputs.result import Frame, Result
from jrn_perception.ros.outputs.table import need_metres, Output, OUTPUTS

__all__ = ['Delivery', 'Frame', 'OUTPUTS', 'Output', 'OutputPublishers', 'Result', 'need_metres']
