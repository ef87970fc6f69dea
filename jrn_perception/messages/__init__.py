# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""ROS messages as arrays and back, without rclpy."""
