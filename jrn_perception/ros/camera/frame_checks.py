# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Checks of one frame: of its stamp before it is processed, of its depth afterwards."""

from __future__ import annotations

from builtin_interfaces.msg import Time as TimeMessage
from jrn_perception.messages.images import BadImage
from jrn_perception.ros.network.configuration import Configuration
from jrn_perception.ros.outputs import Result
import numpy as np
from rclpy.time import Time


class StampCheck:
    """Refuses images of one camera whose stamps go back in time or are too old."""

    def __init__(self):
        self._last_ns = 0

    def check(self, stamp: TimeMessage, now: Time, max_age: float) -> None:
        """
        Raise ``BadImage`` with the reason if an image with this stamp cannot be used.

        The stamp may not lie before 1970, before the stamp of the previous image, or more than
        ``max_age`` seconds before ``now`` (0: any age). Time goes on from a refused image.
        """
        if stamp.sec < 0:
            raise BadImage(f'its stamp is before 1970 ({stamp.sec} s)')
        stamp_ns = Time.from_msg(stamp).nanoseconds
        previous_ns, self._last_ns = self._last_ns, stamp_ns
        if stamp_ns < previous_ns:
            raise BadImage(f'its stamp is {(previous_ns - stamp_ns) / 1e9:.3f} s before the one '
                           'of the previous frame: a looping recording, or two publishers')
        age = (now.nanoseconds - stamp_ns) / 1e9
        if max_age and age > max_age:
            raise BadImage(f'it is {age:.3f} s old, max_age is {max_age:g}')


def no_valid_depth(result: Result, running: Configuration) -> str:
    """Return why this frame has no valid depth: limits of this camera, or muting; '' if it has."""
    low, high = result.depth_range
    if low >= high:
        return (f'no depth is valid: min_depth is {low:.3g} m and max_depth {high:.3g} m, '
                "where the weights' limits are scaled by "
                f'{result.prediction.depth_scale:.3g} for the focal length; change one')
    effect = running.mute_effect()
    if effect and not np.isfinite(result.depth).any():
        return f'no depth is valid: {effect}'
    return ''


def deviation_missing(running: Configuration) -> str:
    """Return which parameters need the deviation of depth that these weights lack, or ''."""
    settings, perception, _ = running
    wanted = [text for wants, text in (
        (settings.depth_confidence_threshold, 'depth_confidence_threshold has no effect'),
        (settings.points_confidence == 'depth', 'points_confidence depth is 0')) if wants]
    if wanted and perception.card.depth_deviation is None:
        return (f'{", ".join(wanted)}: the deviation of depth has not '
                'been fitted to these weights (jrn_calibrate --depth)')
    return ''
