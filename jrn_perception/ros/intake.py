# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""What a message must be to be processed: later than the last, not too old, and a picture."""

from __future__ import annotations

from jrn_perception.ros.conversions.images import BadImage, compressed_to_rgb, to_rgb
import numpy as np
from rclpy.time import Time
from sensor_msgs.msg import CompressedImage, Image


class Intake:
    """The pictures of one topic, message by message."""

    def __init__(self):
        self._last_stamp = 0

    def picture(self, message: Image | CompressedImage, now: Time, max_age: float) -> np.ndarray:
        """
        Return the picture as RGB, uint8 (H, W, 3).

        Raises ``BadImage`` with the reason if it cannot be decoded, has an impossible stamp or one
        before that of the message before, or is older than ``max_age`` seconds (0: any age).
        """
        header = message.header
        if header.stamp.sec < 0:
            raise BadImage(f'its stamp is before 1970 ({header.stamp.sec} s)')
        stamp = Time.from_msg(header.stamp).nanoseconds
        previous, self._last_stamp = self._last_stamp, stamp
        if stamp < previous:
            raise BadImage(f'its stamp is {(previous - stamp) / 1e9:.3f} s before the one of the '
                           'previous frame: a looping recording, or two publishers')
        age = (now.nanoseconds - stamp) / 1e9
        if max_age and age > max_age:
            raise BadImage(f'it is {age:.3f} s old, max_age is {max_age:g}')
        return (to_rgb if isinstance(message, Image) else compressed_to_rgb)(message)
