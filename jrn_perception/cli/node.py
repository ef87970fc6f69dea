# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""``jrn_node``: camera images in, depth and semantics out."""

from __future__ import annotations

import argparse
import os
import signal
import sys

from jrn_perception.cli.allocator import keep_freed_memory
from jrn_perception.ros.transport import use_large_segments


def main(argv: list[str] | None = None) -> int:
    """Run the node until Ctrl-C; return 0, or 1 if it cannot start as it was asked to."""
    starting = True

    def on_sigint(*_) -> None:
        # The imports take seconds and leave nothing to put in order. Later rclpy's own handler
        # ends the spinning, and an exception could land in the middle of the clean-up: launch
        # sends SIGINT twice.
        if starting:
            os._exit(0)
    signal.signal(signal.SIGINT, on_sigint)
    # Before torch is imported, which reads the variable once. A robot's cores are shared: threads
    # that spin while they wait for each other take ten times as long there, and their neighbours'
    # time with it.
    os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')
    keep_freed_memory()
    try:
        # Before rclpy is imported, likewise: Fast DDS reads the variable once.
        use_large_segments()
        from jrn_perception.ros.node import PerceptionNode
        import rclpy
        from rclpy.exceptions import ParameterException
        from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
        from rclpy.utilities import remove_ros_args
    except FileNotFoundError as error:
        return _refuse(error)
    except ImportError as error:
        cure = {'torch': 'pip install torch', 'safetensors': 'pip install safetensors',
                'cv2': 'install python3-opencv'}
        return _refuse(f'{error}: ' + cure.get(
            error.name, "source a ROS 2 installation, or pip install '.[ros]'"))

    arguments = ['jrn_node', *(sys.argv[1:] if argv is None else argv)]
    try:
        _parser().parse_args(remove_ros_args(arguments)[1:])
        rclpy.init(args=arguments)
        # Before the node, which takes its time: an executor cannot be made after Ctrl-C.
        executor = SingleThreadedExecutor()
        starting = False
    except RuntimeError as error:
        return _refuse(f'ROS arguments: {error}')
    node = None
    try:
        node = PerceptionNode()
        executor.add_node(node)
        executor.spin()
    except ExternalShutdownException:
        pass
    except (ValueError, RuntimeError, OSError, ParameterException) as error:
        # Without a context, this is Ctrl-C in the middle of something that needs it.
        if rclpy.ok():
            if node is not None:
                raise
            return _refuse(error)
    finally:
        # Without waiting: on Humble a parameter that is still being set would keep it waiting.
        executor.shutdown(timeout_sec=0)
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
        # Python gives handlers back before it ends; a late SIGINT would make that a failure.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    return 0


def _parser() -> argparse.ArgumentParser:
    # What is not for ROS has no meaning here, and is refused rather than ignored.
    return argparse.ArgumentParser(
        prog='jrn_node', description='Camera images in, depth and semantics out.',
        usage='%(prog)s [-h] [--ros-args -p NAME:=VALUE -r FROM:=TO --params-file FILE ...]')


def _refuse(reason: Exception | str) -> int:
    """Say in one line why the node does not start."""
    print('jrn_node:', *str(reason).split(), file=sys.stderr)
    return 1


if __name__ == '__main__':
    sys.exit(main())
