# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Play a recording to the node and measure the node's answers: ``jrn_replay``."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, ExitStack
from dataclasses import dataclass
from pathlib import Path
import signal
import subprocess
import sys
from typing import Any, TYPE_CHECKING

from jrn_perception.cli import program
from jrn_perception.cli.replay_playback import Ended, Playback, PlayerFailed, wait
from jrn_perception.cli.replay_processes import choose_player, node_command, PLAYERS, running
from jrn_perception.recordings.files import has_metadata
from jrn_perception.recordings.reader import IMAGE, Recording, RecordingError, Topic
from jrn_perception.ros.middleware.transport import use_large_segments

if TYPE_CHECKING:
    from jrn_perception.evaluation.recordings.replay import Replay
    from jrn_perception.evaluation.recordings.session import Request
    from jrn_perception.ros.playback.evaluator import Evaluator

DESCRIPTION = """\
Play a recording with its clock to jrn_node on sim time. Print the tables of `jrn_evaluate bag`,
the numbers of frames sent, processed and dropped, and the latency. The metrics cover the frames
that the node processed; --lossless, or --speed below 1, lets it process all.

Arguments after --ros-args go to the node: -p architecture:=hydranet, --params-file FILE. During
the measurement the parameters that limit or correct depth and labels (min_depth, max_depth,
out_of_range, no_depth_classes, confidence_threshold, depth_confidence_threshold, focal_correction,
anchoring, camera_height) are off: jrn_replay applies limits and the focal length to the node's
outputs, as `jrn_evaluate bag` does.
"""
# The node's parameters that choose its network, and values of others that leave results unchanged.
NETWORK_PARAMETERS = ('architecture', 'variant', 'weights', 'depth_source', 'semantics_source',
                      'device', 'precision', 'backend', 'threads', 'inference_height',
                      'inference_width')
NEUTRAL = {'mute': 'none', 'cameras': '', 'depth_encoding': '32FC1', 'max_rate': 0.0,
           'max_age': 0.0, 'max_latency_ms': 0.0, 'temporal_filter': 0.0}


@dataclass(frozen=True)
class _Plan:
    """A measurement: ``topics`` of the recording by role, ``outputs`` of the ``node``."""

    recording: Recording
    request: Request
    topics: dict[str, Topic]
    node: str
    outputs: dict[str, str]
    player: str


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line without its ROS arguments."""
    from jrn_perception.cli.evaluate_bag import add_truth

    result = argparse.ArgumentParser('jrn_replay', description=DESCRIPTION,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    result.add_argument('bag', type=Path, metavar='DIR',
                        help='recording: its folder, or a .mcap or .db3 file')
    add_truth(result)
    result.add_argument('--player', default='auto', choices=PLAYERS,
                        help='auto: `ros2 bag play` where it is installed, else jrn_play')
    pace = result.add_mutually_exclusive_group()
    pace.add_argument('--speed', type=float, default=1.0, metavar='FACTOR',
                      help='multiple of the recorded pace; default: %(default)s')
    pace.add_argument('--lossless', action='store_true',
                      help='wait after each picture for the results (plays like jrn_play)')
    result.add_argument('--namespace', default='', metavar='/NAME', help='namespace of the node')
    result.add_argument('--node', default='', metavar='/NAME',
                        help='measure this running node, which reads the pictures, instead of '
                        'starting one')
    result.add_argument('--json', type=program.new_file, metavar='FILE', help='write the results')
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run ``jrn_replay``; return its exit code.

    After Ctrl-C that is PARTIAL if there are results, INTERRUPTED if there are none.
    """
    given = program.split_ros(argv)
    # launch sends SIGINT first and SIGTERM later.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    return program.run('jrn_replay', lambda: _replay(given), program.ROS.format('ros,evaluate'),
                       (RuntimeError, Ended))


def _replay(given: program.Arguments) -> int:
    use_large_segments()
    options = parser().parse_args(given.own)
    _check(options, given.ros)
    return _with_ros(options, given.ros)


def _check(options: argparse.Namespace, ros: list[str]) -> None:
    if not 0 < options.speed < float('inf'):
        raise ValueError(f'--speed {options.speed:g}: a positive number')
    if options.lossless and options.player == 'ros2bag':
        raise ValueError('--lossless waits for results, which `ros2 bag play` cannot')
    if options.node and (ros or options.namespace):
        raise ValueError('--node: ROS arguments and the namespace are for a node that is started')
    for name in (options.node, options.namespace):
        if name and not name.startswith('/'):
            raise ValueError(f'{name}: begins with /')


def _plan(options: argparse.Namespace, recording: Recording) -> _Plan:
    from jrn_perception.cli.evaluate_bag import request_of
    from jrn_perception.evaluation.recordings.replay import OUTPUTS
    from jrn_perception.evaluation.recordings.roles import topics_of

    # `ros2 bag play` reads no recording of ROS 1, without metadata.yaml, or of which parts are
    # missing.
    own = options.lossless or options.player == 'auto' and (
        recording.breaks_off or not has_metadata(recording.path))
    player = 'jrn_play' if own else choose_player(options.player)
    request = request_of(options)
    node = options.node or f'{options.namespace.rstrip("/")}/jrn_perception'
    outputs = {output: f'{node.rpartition("/")[0]}/{output}' for output in OUTPUTS}
    topics = topics_of(recording, request)
    taken = sorted(set(outputs.values()) & set(recording.topics))
    if taken:
        raise ValueError(f'{options.bag}: has {", ".join(taken)} itself, which the node '
                         'publishes; choose another --namespace')
    return _Plan(recording, request, topics, node, outputs, player)


def _with_ros(options: argparse.Namespace, ros: list[str]) -> int:
    import rclpy
    from rclpy.signals import SignalHandlerOptions

    with ExitStack() as stack:
        recording = stack.enter_context(Recording(options.bag))
        plan = _plan(options, recording)
        # Without rclpy's handlers Ctrl-C raises KeyboardInterrupt and leaves the context valid for
        # the clean-up.
        rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
        stack.callback(rclpy.try_shutdown)
        node = None
        if not options.node:
            node = stack.enter_context(running(node_command(
                plan.topics['image'], options.namespace.rstrip('/'), ros)))
        return _measure(options, plan, node)


def _measure(options: argparse.Namespace, plan: _Plan, node: subprocess.Popen | None) -> int:
    """Play all, report the measurement and return the exit code."""
    from jrn_perception.evaluation.recordings.replay import PARAMETERS
    from jrn_perception.ros.playback.evaluator import Evaluator

    reasons = []
    with Evaluator() as evaluator:
        wait(lambda: evaluator.is_there(plan.node), node, f'no node {plan.node}')
        settings = evaluator.get_parameters_of(plan.node, (
            *NETWORK_PARAMETERS, *NEUTRAL, *PARAMETERS))
        with _measurable(evaluator, plan.node, settings if options.node else {}):
            replay = _connect(evaluator, plan, settings, node)
            try:
                playback = Playback(evaluator, replay, node)
                if options.lossless:
                    playback.play_lossless(options.bag)
                else:
                    _play(playback, options, plan.player)
            except KeyboardInterrupt:
                if not replay.totals.frames:
                    raise
                reasons.append('stopped by Ctrl-C')
            except (Ended, RecordingError) as error:
                reasons.append(str(error))
    recorded = plan.topics['image'].count
    if not reasons and replay.sent < recorded:
        reasons.append(f'{replay.sent} of {recorded} recorded pictures arrived')
    notes = [f'the node runs with {name} {settings[name]}' for name, value in NEUTRAL.items()
             if settings[name] != value]
    return _report(options, replay, reasons, notes)


def _play(playback: Playback, options: argparse.Namespace, player: str) -> None:
    """Play with ``player``; where the user left the choice and it sends nothing, with jrn_play."""
    try:
        playback.play(options.bag, player, options.speed)
    except PlayerFailed as failure:
        if options.player != 'auto' or player == 'jrn_play' or playback.replay.sent:
            raise
        print(f'jrn_replay: {failure}; playing with jrn_play', file=sys.stderr)
        playback.play(options.bag, 'jrn_play', options.speed)


@contextmanager
def _measurable(evaluator: Evaluator, name: str, settings: dict[str, Any]) -> Iterator[None]:
    """Make a node publish unlimited results; restore its ``settings`` at the end, if any."""
    from jrn_perception.evaluation.recordings.replay import PARAMETERS
    try:
        evaluator.set_parameters_of(name, PARAMETERS)
        yield
    finally:
        if settings and evaluator.is_there(name):
            evaluator.set_parameters_of(name, {key: settings[key] for key in PARAMETERS})


def _connect(evaluator: Evaluator, plan: _Plan, settings: dict[str, Any],
             node: subprocess.Popen | None) -> Replay:
    """Return the measurement of a node with these parameters, once all topics are connected."""
    from jrn_perception.evaluation.recordings.replay import Replay
    from jrn_perception.perception import Perception

    # The network itself stays unused: the measurement needs its card and label set.
    perception = Perception.load(
        settings['architecture'], settings['variant'], weights_file=settings['weights'],
        device=settings['device'], precision=settings['precision'],
        height=settings['inference_height'], width=settings['inference_width'],
        backend=settings['backend'], threads=settings['threads'],
        depth_source=settings['depth_source'], semantics_source=settings['semantics_source'])
    replay = Replay(perception, plan.recording, plan.request, plan.outputs)
    for topic in plan.topics.values():
        evaluator.listen(topic.name, topic.msgtype)
    for topic in plan.outputs.values():
        evaluator.listen(topic, IMAGE)
    image = plan.topics['image'].name
    # One of the subscribers is the evaluator.
    wait(lambda: evaluator.count_subscribers(image) > 1
         and all(map(evaluator.count_publishers, plan.outputs.values())), node,
         f'{plan.node} does not read {image} or publish {", ".join(plan.outputs.values())}')
    return replay


def _report(options: argparse.Namespace, replay: Replay, reasons: list[str],
            notes: list[str]) -> int:
    """Print and write the results; return the exit code."""
    from jrn_perception.evaluation.reports import bag_document, documents, tables

    evaluation = replay.result(reasons, notes)
    document = bag_document.replay_document(evaluation, replay)
    tables.print_bag(document, replay.timings(), tables.console())
    if options.json:
        documents.write(document, options.json)
    for reason in evaluation.reasons:
        print(f'jrn_replay: partial: {reason}', file=sys.stderr)
    return program.PARTIAL if evaluation.reasons else program.DONE


if __name__ == '__main__':
    sys.exit(main())
