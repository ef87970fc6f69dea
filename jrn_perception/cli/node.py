# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""``jrn_node``: camera images in, depth and semantics out."""

from __future__ import annotations

import signal
import sys

from jrn_perception.ros.transport import use_large_segments


def main(argv: list[str] | None = None) -> int:
    """Run the node until Ctrl-C; return 0, or 1 if it cannot start as it was asked to."""
    # Before rclpy is imported: Fast DDS reads the variable once.
    use_large_segments()
    from jrn_perception.ros.node import PerceptionNode
    import rclpy
    from rclpy.executors import ExternalShutdownException

    rclpy.init(args=argv)
    node = None
    try:
        try:
            node = PerceptionNode()
        except (ValueError, RuntimeError) as error:
            rclpy.logging.get_logger('jrn_perception').fatal(str(error))
            return 1
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        # Under launch SIGINT comes twice; the second must not interrupt the clean-up.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == '__main__':
    sys.exit(main())
