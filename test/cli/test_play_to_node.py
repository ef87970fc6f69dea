# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""A camera's process, the node's and a robot's: real pictures come back under their own header."""

from importlib import import_module
import os
from pathlib import Path
import time

import cv2
from jrn_perception.rooms.scenes import scenes
import numpy as np
import pytest

rclpy = pytest.importorskip('rclpy', reason="needs ROS 2 (pip install '.[ros]')")
Image = import_module('sensor_msgs.msg').Image
CompressedImage = import_module('sensor_msgs.msg').CompressedImage
COUNT = 6
NYU = Path(os.environ.get('JRN_DATA', Path(__file__).resolve().parents[3] / 'shared' / 'data'))


@pytest.fixture(scope='module')
def pictures(tmp_path_factory):
    """Return a folder of real pictures where there are any, of drawn ones elsewhere."""
    folder = tmp_path_factory.mktemp('pictures')
    real = sorted((NYU / 'nyuv2' / 'rgb').glob('*.jpg'))[:COUNT]
    for path in real:
        (folder / path.name).symlink_to(path)
    if not real:
        for index, frame in enumerate(scenes(COUNT)):
            cv2.imwrite(str(folder / f'{index}.png'), frame.rgb[..., ::-1])
    return folder


@pytest.mark.parametrize('encoding', ['rgb8', 'bgr8', 'mono8', 'jpeg'])
def test_played_pictures_come_back_with_stamp_frame_and_size(ros_domain, spawn, pictures,
                                                             encoding):
    transport, kind, topic = 'raw', Image, 'image'
    if encoding == 'jpeg':
        transport, kind, topic = 'compressed', CompressedImage, 'image/compressed'
    parameters = {'architecture': 'hydranet', 'weights': 'random', 'inference_height': 64,
                  'inference_width': 96, 'image_transport': transport}
    node = spawn('node', '--ros-args', *(text for name, value in parameters.items()
                                         for text in ('-p', f'{name}:={value}')))
    node.wait_for('reading /image')
    sent, answers = {}, {'depth': {}, 'semantics': {}}
    rclpy.init()
    robot = rclpy.create_node('robot')
    try:
        def keep(store):
            return lambda message: store.__setitem__(
                (message.header.stamp.sec, message.header.stamp.nanosec), message)
        robot.create_subscription(kind, topic, keep(sent), 10)
        for name, store in answers.items():
            robot.create_subscription(Image, name, keep(store), 10)
        spawn('play', pictures, '--rate', 5, '--encoding', encoding, '--frame-id', 'head',
              '--count', COUNT, '--wait-for-subscribers', 2)
        deadline = time.monotonic() + 60
        while (len(sent) < COUNT or any(len(store) < COUNT for store in answers.values())
               ) and time.monotonic() < deadline:
            rclpy.spin_once(robot, timeout_sec=0.2)
    finally:
        robot.destroy_node()
        rclpy.try_shutdown()
    assert len(sent) == COUNT
    # At 5 Hz the small network drops nothing: each picture has its answer, under its own stamp.
    assert set(answers['depth']) == set(answers['semantics']) == set(sent)
    for store in answers.values():
        for message in store.values():
            assert message.header.frame_id == 'head'
            assert (message.height, message.width) == (480, 640)
    depth = next(iter(answers['depth'].values()))
    assert np.isfinite(np.frombuffer(depth.data, np.float32)).any()
    assert node.stop() == 0
