# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""``jrn_node``: camera images in, depth and semantics out."""

from __future__ import annotations

import argparse
import os
import signal
import sys

from jrn_perception.cli import program
from jrn_perception.cli.allocator import keep_freed_memory
from jrn_perception.ros.middleware.transport import use_large_segments


def main(argv: list[str] | None = None) -> int:
    """Run the node until Ctrl-C; return DONE, or FAILED if it cannot start as asked."""
    starting = True

    def on_sigint(*_) -> None:
        # The imports take seconds and leave nothing to clean up. Later rclpy's own handler ends
        # the spinning: an exception could interrupt the clean-up, because launch sends SIGINT
        # twice.
        if starting:
            os._exit(0)
    signal.signal(signal.SIGINT, on_sigint)
    # torch reads the variable once, when it is imported. On a robot's shared cores threads that
    # spin while they wait for each other take ten times as long, and slow other processes down.
    os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')
    keep_freed_memory()
    try:
        # Fast DDS reads its variable once, too, when rclpy is imported.
        use_large_segments()
        from jrn_perception.ros.node import PerceptionNode
        import rclpy
        from rclpy.exceptions import ParameterException
        from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
        from rclpy.utilities import remove_ros_args
    except FileNotFoundError as error:
        return program.fail('jrn_node', error)
    except ImportError as error:
        cure = {'safetensors': 'pip install safetensors', 'cv2': 'install python3-opencv'}
        return program.fail('jrn_node', f'{error}: ' + cure.get(
            error.name, program.ROS.format('ros')))

    arguments = ['jrn_node', *(sys.argv[1:] if argv is None else argv)]
    try:
        _parser().parse_args(remove_ros_args(arguments)[1:])
        rclpy.init(args=arguments)
        # Before the node, which takes long: an executor cannot be made after Ctrl-C.
        executor = SingleThreadedExecutor()
        starting = False
    except RuntimeError as error:
        return program.fail('jrn_node', f'ROS arguments: {error}')
    node = None
    try:
        node = PerceptionNode()
        executor.add_node(node)
        executor.spin()
    except ExternalShutdownException:
        pass
    except (ValueError, RuntimeError, OSError, ParameterException) as error:
        # Without a context the cause is Ctrl-C during a call that needs the context.
        if rclpy.ok():
            if node is not None:
                raise
            return program.fail('jrn_node', error)
    finally:
        # Without waiting: on Humble a parameter that is still being set would keep it waiting.
        executor.shutdown(timeout_sec=0)
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
        # Python restores the handlers before it ends; a late SIGINT would then end in a failure.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    return program.DONE


def _parser() -> argparse.ArgumentParser:
    # Arguments that are not for ROS mean nothing here, and are refused instead of ignored.
    return argparse.ArgumentParser(
        prog='jrn_node', description='Camera images in, depth and semantics out.',
        usage='%(prog)s [-h] [--ros-args -p NAME:=VALUE -r FROM:=TO --params-file FILE ...]')


if __name__ == '__main__':
    sys.exit(main())
