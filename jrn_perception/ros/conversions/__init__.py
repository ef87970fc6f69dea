# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""ROS messages from arrays, with the message classes of rclpy."""
