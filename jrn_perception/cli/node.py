# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""``jrn_node``: camera images in, depth and semantics out."""

from __future__ import annotations

import os
import signal
import sys

from jrn_perception.ros.transport import use_large_segments


def main(argv: list[str] | None = None) -> int:
    """Run the node until Ctrl-C; return 0, or 1 if it cannot start as it was asked to."""
    # The imports take seconds and leave nothing to put in order: Ctrl-C may just end them.
    signal.signal(signal.SIGINT, lambda *_: os._exit(0))
    # Before rclpy is imported: Fast DDS reads the variable once.
    use_large_segments()
    # Before torch is imported, likewise. A robot's cores are shared: threads that spin while they
    # wait for each other take ten times as long there, and their neighbours' time with it.
    os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')
    try:
        from jrn_perception.ros.node import PerceptionNode
        import rclpy
        from rclpy.exceptions import ParameterException
        from rclpy.executors import ExternalShutdownException
    except ImportError as error:
        return _refuse(f'{error}: source a ROS 2 installation, or pip install '
                       "'jrn_perception[ros]'")

    # From here on rclpy's own handler ends the spinning. launch sends SIGINT twice, and an
    # exception would land in the middle of the clean-up.
    signal.signal(signal.SIGINT, lambda *_: None)
    try:
        rclpy.init(args=argv)
    except RuntimeError as error:
        return _refuse(f'ROS arguments: {error}')
    node = None
    try:
        node = PerceptionNode()
        rclpy.spin(node)
    except ExternalShutdownException:
        pass
    except (ValueError, RuntimeError, OSError, ParameterException) as error:
        # Without a context, this is Ctrl-C in the middle of something that needs it.
        if rclpy.ok():
            if node is not None:
                raise
            return _refuse(error)
    finally:
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
    return 0


def _refuse(reason: Exception | str) -> int:
    """Say in one line why the node does not start."""
    print('jrn_node:', *str(reason).split(), file=sys.stderr)
    return 1


if __name__ == '__main__':
    sys.exit(main())
