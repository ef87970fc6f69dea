#!/bin/bash
# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0
#
# Run a command of the container with ROS and this package.
set -e
source "/opt/ros/$ROS_DISTRO/setup.bash"
source /workspace/install/setup.bash
exec "$@"
