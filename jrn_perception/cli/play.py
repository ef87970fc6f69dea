# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Play pictures, a video, a recording or drawn rooms as a camera: ``jrn_play``."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
import os
from pathlib import Path
import re
import signal
import sys
import time
from typing import Any

from jrn_perception.cli import program
from jrn_perception.cli.source_options import add_focal_length, add_span, open_given, span_of
from jrn_perception.recordings.reader import is_recording, Record, Recording
from jrn_perception.ros.middleware.transport import use_large_segments
from jrn_perception.sources.source import EXPECTED

DESCRIPTION = f"""\
Publish {EXPECTED}
on the topics that jrn_node reads: image (sensor_msgs/Image) or image/compressed (CompressedImage),
and image_camera_info.

With --as-recorded every topic of a recording is published under its own name, undecoded, at the
recorded pace, as `ros2 bag play` does. ROS arguments follow --ros-args: -r image:=/camera/image.
"""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line without its ROS arguments."""
    result = argparse.ArgumentParser('jrn_play', description=DESCRIPTION,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    result.add_argument('source', help=EXPECTED)
    result.add_argument('--as-recorded', action='store_true',
                        help='play all topics of a recording')
    result.add_argument('--topic', action='append', default=[], metavar='NAME',
                        help='topic of a recording whose pictures are played; with --as-recorded '
                             'a topic to play (may be given several times)')
    add_span(result)
    add_focal_length(result)
    pace = result.add_mutually_exclusive_group()
    pace.add_argument('--rate', type=_positive, metavar='HZ',
                      help="pictures per second (default: the source's own pace, else 10)")
    pace.add_argument('--speed', type=_positive, default=1.0, metavar='FACTOR',
                      help="multiple of the source's own pace (default: 1)")
    result.add_argument('--loop', action='store_true', help='start again at the end')
    result.add_argument('--count', type=_natural, metavar='N', help='end after N messages')
    result.add_argument('--encoding', choices=('rgb8', 'bgr8', 'mono8', 'jpeg', 'png'),
                        help='default: rgb8; jpeg and png go to image/compressed')
    result.add_argument('--size', type=_size, metavar='WxH', help='resize the pictures')
    result.add_argument('--frame-id', metavar='ID', help='default: the recorded one, or '
                        'camera_optical_frame (x right, y down, z forward, as REP 103 has it)')
    reliability = result.add_mutually_exclusive_group()
    reliability.add_argument('--reliable', action='store_true', default=True,
                             help='serve reliable and best-effort subscribers (default)')
    reliability.add_argument('--best-effort', dest='reliable', action='store_false',
                             help='serve best-effort subscribers only')
    result.add_argument('--clock', action='store_true',
                        help="keep the source's stamps and publish its time on /clock (default: "
                             'stamp pictures with the time at which they are published)')
    result.add_argument('--wait-for-subscribers', type=_natural, default=0, metavar='N',
                        help='start when N subscriptions exist')
    result.add_argument('--strict', action='store_true',
                        help='end at the first damaged picture instead of leaving it out')
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``jrn_play``; return its exit code: DONE also after Ctrl-C."""
    given = program.split_ros(argv)
    arguments = parser().parse_args(given.own)
    # After SIGINT launch sends SIGTERM, which ends the waiting for delivery.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    code = program.run('jrn_play', lambda: _with_ros(arguments, given.ros),
                       program.ROS.format('ros'))
    return program.DONE if code == program.INTERRUPTED else code


def _with_ros(arguments: argparse.Namespace, ros: list[str]) -> None:
    use_large_segments()
    import rclpy
    from rclpy.logging import get_logger
    from rclpy.signals import SignalHandlerOptions

    # Python's own handler, so that the context outlives Ctrl-C and the last messages arrive.
    try:
        rclpy.init(args=['--ros-args', *ros], signal_handler_options=SignalHandlerOptions.NO)
    except RuntimeError as error:
        raise ValueError(f'ROS arguments {" ".join(ros)}: {str(error).splitlines()[0]}') from error
    try:
        play = _play_recording if arguments.as_recorded else _play_camera
        play(arguments, get_logger('jrn_play'))
    finally:
        rclpy.try_shutdown()


def _play_camera(arguments: argparse.Namespace, logger) -> None:
    from jrn_perception.ros.playback.player import Camera, OPTICAL_FRAME, timed

    if len(arguments.topic) > 1:
        raise ValueError('--topic: a camera has one topic; --as-recorded plays several')
    source = open_given(
        arguments, ''.join(arguments.topic),
        None if arguments.strict else lambda text: logger.warning(f'left out: {text}'),
        logger.warning, arguments.size)
    frame_id = source.frame_id if arguments.frame_id is None else arguments.frame_id
    with Camera(arguments.encoding or 'rgb8', frame_id or OPTICAL_FRAME, arguments.reliable,
                arguments.clock, arguments.speed) as player:
        events = timed(source, arguments.rate or 0.0, arguments.loop)
        _run(player, events, arguments, f'{source.name} on {player.topic}')
    if source.skipped:
        logger.warning(f'{source.skipped} damaged pictures were left out')


def _play_recording(arguments: argparse.Namespace, logger) -> None:
    from jrn_perception.ros.playback.player import Replay

    for name in ('encoding', 'size', 'frame_id', 'rate', 'focal_length'):
        if getattr(arguments, name) is not None:
            raise ValueError(f'--{name.replace("_", "-")} cannot go with --as-recorded, which '
                             'does not change messages')
    path = Path(os.path.expanduser(arguments.source))
    if path.exists() and not is_recording(path):
        raise ValueError(f'--as-recorded: {path} is no rosbag2 recording')
    with Recording(path, span_of(arguments)) as recording:
        for note in recording.notes:
            logger.warning(note)
        topics = [recording.topic(name) for name in arguments.topic]
        with Replay(topics or recording.topics.values(), arguments.reliable, arguments.clock,
                    arguments.speed) as player:
            for topic in player.unknown:
                reason = 'has another layout in ROS 2' if topic.foreign else 'is not installed'
                logger.warning(f'{topic.name} is left out: its type {topic.msgtype} {reason}')
            if not player.topics:
                raise ValueError(f'{path}: no messages of a type that is installed')
            _run(player, _records(recording, player.topics, arguments.loop), arguments,
                 f'{path}, {len(player.topics)} topics')


def _run(player, events: Iterable[tuple[int, Any]], arguments: argparse.Namespace,
         title: str) -> None:
    """Publish the (time, message) pairs of ``events`` in time; log the count and the rate."""
    logger = player.get_logger()
    if arguments.wait_for_subscribers:
        logger.info(f'{title}: waiting for {arguments.wait_for_subscribers} subscriptions')
        player.wait_for_subscribers(arguments.wait_for_subscribers)
    logger.info(f'playing {title}')
    count, start = 0, time.monotonic()
    try:
        for time_ns, item in events:
            player.pause(time_ns)
            if count == 0:
                start = time.monotonic()
            player.publish(item, time_ns)
            count += 1
            if count == arguments.count:
                break
    finally:
        seconds = time.monotonic() - start
        rate = f', {(count - 1) / seconds:.2f} Hz' if count > 1 else ''
        logger.info(f'played {count} messages in {seconds:.2f} s{rate}')
    if count == 0:
        raise ValueError(f'{arguments.source}: nothing in it could be played')


def _records(recording: Recording, topics: list[str],
             loop: bool) -> Iterator[tuple[int, Record]]:
    while True:
        for record in recording.records(topics):
            yield record.stamp_ns, record
        if not loop:
            return


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < float('inf'):
        raise argparse.ArgumentTypeError(f'{text} is not a positive number')
    return number


def _natural(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f'{text} is not 1 or more')
    return number


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch('([1-9][0-9]*)x([1-9][0-9]*)', text)
    if not match:
        raise argparse.ArgumentTypeError(f'{text} is no size; an example: 640x480')
    return int(match[2]), int(match[1])


if __name__ == '__main__':
    sys.exit(main())
