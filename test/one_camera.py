# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""A camera and a listener for tests of a node in another process; needs no torch."""

TIMEOUT_S = 60.0


def answer_of(child, rgb):
    """
    Return the messages on depth and semantics that a node answers to a picture, by topic.

    ``child`` is the node's process, ``rgb`` uint8 (H, W, 3): small, or a picture may be lost.
    """
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from sensor_msgs.msg import Image
    child.wait_for('reading /image', timeout=2 * TIMEOUT_S)
    message = Image(height=rgb.shape[0], width=rgb.shape[1], encoding='rgb8',
                    step=3 * rgb.shape[1])
    message.data.frombytes(rgb.tobytes())
    found = {}
    context = rclpy.Context()
    rclpy.init(context=context)
    try:
        robot = rclpy.create_node('robot', context=context)
        camera = robot.create_publisher(Image, 'image', 1)
        for topic in ('depth', 'semantics'):
            robot.create_subscription(
                Image, topic, lambda answer, topic=topic: found.setdefault(topic, answer), 1)
        executor = SingleThreadedExecutor(context=context)
        executor.add_node(robot)
        for _ in range(int(10 * TIMEOUT_S)):
            camera.publish(message)
            executor.spin_once(timeout_sec=0.1)
            if len(found) == 2:
                break
        executor.shutdown()
        robot.destroy_node()
    finally:
        rclpy.try_shutdown(context=context)
    assert len(found) == 2, child.output
    return found
