# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The ROS 2 side: the only room that imports rclpy."""
