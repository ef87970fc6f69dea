# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Play a recording to the node and measure what it makes of it: ``jrn_replay``."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, ExitStack
from dataclasses import dataclass
import json
from pathlib import Path
import signal
import subprocess
import sys
import tempfile
import time
from typing import Any, TYPE_CHECKING

from jrn_perception.cli import ros_arguments
from jrn_perception.cli.replay_processes import (
    choose_player,
    node_command,
    player_command,
    PLAYERS,
    running,
)
from jrn_perception.recordings.reader import IMAGE, Recording, RecordingError, Topic
from jrn_perception.ros.transport import use_large_segments

if TYPE_CHECKING:
    from jrn_perception.evaluation.recordings.replay import Replay
    from jrn_perception.evaluation.recordings.session import BagEvaluation, Request
    from jrn_perception.ros.playback.evaluator import Evaluator

DESCRIPTION = """\
Play a recording with its clock to jrn_node on sim time, and print what `jrn_evaluate bag` prints,
with frames sent, processed and dropped and the latency. The metrics are those of the frames that
the node processed; --lossless, or --speed below 1, lets it process all.

What follows --ros-args goes to the node: -p architecture:=hydranet, --params-file FILE. While it
is measured, min_depth, max_depth, confidence_threshold and focal_correction are off: limits and
correction are applied to what it publishes, as `jrn_evaluate bag` applies them.
"""
PARTIAL = 3
# What of the node makes its network, and values that leave its results as they are.
NETWORK = ('architecture', 'variant', 'weights', 'device', 'precision', 'inference_height',
           'inference_width')
PLAIN = {'mute': 'none', 'depth_encoding': '32FC1', 'max_rate': 0.0, 'max_age': 0.0}
SETTLE_S = 0.3
QUIET_S = 10.0
LOSSLESS_S = 30.0


class _Ended(Exception):
    """The node or the player ended where it should not have; one line."""


@dataclass(frozen=True)
class _Plan:
    """What is measured: ``topics`` of the recording by role, ``outputs`` of the ``node``."""

    recording: Recording
    request: Request
    topics: dict[str, Topic]
    node: str
    outputs: dict[str, str]
    player: str


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line without its ROS arguments."""
    from jrn_perception.cli.evaluate_bag import add_truth
    from jrn_perception.cli.evaluate_options import new_file

    result = argparse.ArgumentParser('jrn_replay', description=DESCRIPTION,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    result.add_argument('bag', type=Path, metavar='DIR',
                        help='recording: its folder, or a .mcap or .db3 file')
    add_truth(result)
    result.add_argument('--player', default='auto', choices=PLAYERS,
                        help='auto: `ros2 bag play` where it is installed, else jrn_play')
    pace = result.add_mutually_exclusive_group()
    pace.add_argument('--speed', type=float, default=1.0, metavar='FACTOR',
                      help='faster or slower than recorded; default: %(default)s')
    pace.add_argument('--lossless', action='store_true',
                      help='wait after each picture for the results (plays like jrn_play)')
    result.add_argument('--namespace', default='', metavar='/NAME', help='of the node')
    result.add_argument('--node', default='', metavar='/NAME',
                        help='measure this node, which runs already; it reads the pictures')
    result.add_argument('--json', type=new_file, metavar='FILE', help='write the results')
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run ``jrn_replay``; return its exit code.

    0, 2 for what the user can mend, 3 where the results are partial, 130 after Ctrl-C without any.
    """
    own, ros = ros_arguments.split(sys.argv[1:] if argv is None else argv)
    # launch ends what it started with SIGINT and, later, with this.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        use_large_segments()
        options = parser().parse_args(own)
        _check(options, ros)
        return _with_ros(options, ros)
    except KeyboardInterrupt:
        return 130
    except ModuleNotFoundError as error:
        return _fail(f'{error.name} is missing: source a ROS 2 installation, or in a checkout '
                     "pip install '.[ros,evaluate]'")
    except (ImportError, OSError, RuntimeError, ValueError, _Ended) as error:
        return _fail(str(error))


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
    from jrn_perception.evaluation.recordings.session import topics_of

    player = 'jrn_play' if options.lossless else choose_player(options.player)
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
        # Ctrl-C comes as KeyboardInterrupt, with the context still there to end in order.
        rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
        stack.callback(rclpy.try_shutdown)
        node = None
        if not options.node:
            node = stack.enter_context(running(node_command(
                plan.topics['image'], options.namespace.rstrip('/'), ros)))
        return _report(options, *_measure(options, plan, node))


def _measure(options: argparse.Namespace, plan: _Plan,
             node: subprocess.Popen | None) -> tuple[Replay, BagEvaluation]:
    """Return what was measured, and its result, when all has been played."""
    from jrn_perception.evaluation.recordings.replay import PARAMETERS
    from jrn_perception.ros.playback.evaluator import Evaluator

    reasons = []
    with Evaluator() as evaluator:
        _wait(lambda: evaluator.is_there(plan.node), node, f'no node {plan.node}')
        settings = evaluator.get_parameters_of(plan.node, (*NETWORK, *PLAIN, *PARAMETERS))
        with _measurable(evaluator, plan.node, settings if options.node else {}):
            replay = _connect(evaluator, plan, settings, node)
            try:
                if options.lossless:
                    _play_lossless(options.bag, evaluator, replay, node)
                else:
                    _play(options, plan.player, evaluator, replay, node)
            except KeyboardInterrupt:
                if not replay.totals.frames:
                    raise
                reasons.append('stopped by Ctrl-C')
            except (_Ended, RecordingError) as error:
                reasons.append(str(error))
    recorded = plan.topics['image'].count
    if not reasons and replay.sent < recorded:
        reasons.append(f'{replay.sent} of {recorded} recorded pictures were heard')
    notes = [f'the node runs with {name} {settings[name]}' for name, value in PLAIN.items()
             if settings[name] != value]
    return replay, replay.result(reasons, notes)


@contextmanager
def _measurable(evaluator: Evaluator, name: str, settings: dict[str, Any]) -> Iterator[None]:
    """Have a node publish all that it measures; give it its ``settings`` back, if it had any."""
    from jrn_perception.evaluation.recordings.replay import PARAMETERS
    try:
        evaluator.set_parameters_of(name, PARAMETERS)
        yield
    finally:
        if settings and evaluator.is_there(name):
            evaluator.set_parameters_of(name, {key: settings[key] for key in PARAMETERS})


def _connect(evaluator: Evaluator, plan: _Plan, settings: dict[str, Any],
             node: subprocess.Popen | None) -> Replay:
    """Return the measurement of a node with these parameters when all listen to each other."""
    from jrn_perception.evaluation.recordings.replay import Replay
    from jrn_perception.perception import Perception

    # Of the network it is the card that is wanted, and what it compares with.
    perception = Perception.load(
        settings['architecture'], settings['variant'], weights_file=settings['weights'],
        device=settings['device'], precision=settings['precision'],
        height=settings['inference_height'], width=settings['inference_width'])
    replay = Replay(perception, plan.recording, plan.request, plan.outputs)
    for topic in plan.topics.values():
        evaluator.listen(topic.name, topic.msgtype)
    for topic in plan.outputs.values():
        evaluator.listen(topic, IMAGE)
    image = plan.topics['image'].name
    # One of the subscribers is the evaluator.
    _wait(lambda: evaluator.count_subscribers(image) > 1
          and all(map(evaluator.count_publishers, plan.outputs.values())), node,
          f'{plan.node} does not read {image} or publish {", ".join(plan.outputs.values())}')
    return replay


def _report(options: argparse.Namespace, replay: Replay, evaluation: BagEvaluation) -> int:
    from jrn_perception.evaluation.reports import documents, tables

    document = replay.document(evaluation)
    tables.print_bag(document, replay.timings(), tables.console())
    if options.json:
        documents.write(document, options.json)
    for reason in evaluation.reasons:
        print(f'jrn_replay: partial: {reason}', file=sys.stderr)
    return PARTIAL if evaluation.reasons else 0


def _play(options: argparse.Namespace, player: str, evaluator: Evaluator, replay: Replay,
          node: subprocess.Popen | None) -> None:
    """Play in a process of its own; the last picture's results are waited for."""
    names = [name for name in replay.recording.topics if name != '/clock']
    with tempfile.TemporaryDirectory() as folder:
        overrides = Path(folder, 'qos.yaml')  # Of which json is a part.
        overrides.write_text(json.dumps({topic.name: {
            'reliability': 'reliable', 'history': 'keep_last', 'depth': 10}
            for topic in replay.topics.values()}))
        command = player_command(player, options.bag, names, options.speed,
                                 1 + len(replay.topics), overrides)
        with running(command) as process:
            _listen(evaluator, replay, lambda: process.poll() is not None, node)
    _listen(evaluator, replay, _answered(replay, QUIET_S), node)
    _settle(evaluator, replay)
    if process.returncode:
        raise _Ended(f'{player} ended with exit code {process.returncode}')


def _play_lossless(path: Path, evaluator: Evaluator, replay: Replay,
                   node: subprocess.Popen | None) -> None:
    """Play in this process, and after each picture wait for its results."""
    from jrn_perception.ros.playback.player import Replay as Player

    picture = replay.topics['image'].name
    # The measurement reads the other one.
    with (Recording(path) as recording,
          Player(recording.topics.values(), clock=True) as player):
        player.wait_for_subscribers(1 + len(replay.topics))
        for record in recording.records(player.topics):
            player.pause(record.stamp_ns)
            player.publish(record, record.stamp_ns)
            if record.topic.name == picture:
                sent = replay.sent
                _listen(evaluator, replay, _after(lambda n=sent: replay.sent > n, QUIET_S), node)
                _listen(evaluator, replay, _answered(replay, LOSSLESS_S), node)
            if replay.stopped:
                break
    _settle(evaluator, replay)


def _answered(replay: Replay, quiet_s: float) -> Callable[[], bool]:
    """Return whether the last picture has its results, or none will come any more."""
    return _after(lambda: replay.last_answer >= replay.last_picture, quiet_s)


def _after(condition: Callable[[], bool], timeout_s: float) -> Callable[[], bool]:
    """Return a condition that is met at the latest when the time is over."""
    deadline = time.monotonic() + timeout_s
    return lambda: condition() or time.monotonic() > deadline


def _listen(evaluator: Evaluator, replay: Replay, done: Callable[[], bool],
            node: subprocess.Popen | None) -> None:
    """Measure what is heard until ``done``, and what was heard by then."""
    while not done():
        _check_alive(node)
        heard = evaluator.take(0.05)
        if heard is not None:
            replay.hear(*heard)
    while (heard := evaluator.take(0)) is not None:
        replay.hear(*heard)


def _settle(evaluator: Evaluator, replay: Replay) -> None:
    """Measure what is on its way when all has been sent: ground truth may follow its picture."""
    while (heard := evaluator.take(SETTLE_S)) is not None:
        replay.hear(*heard)


def _wait(condition: Callable[[], Any], node: subprocess.Popen | None, failure: str,
          timeout_s: float = 120.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        _check_alive(node)
        if time.monotonic() > deadline:
            raise ValueError(f'{failure}: waited {timeout_s:g} s')
        time.sleep(0.05)


def _check_alive(node: subprocess.Popen | None) -> None:
    if node is not None and node.poll() is not None:
        raise _Ended(f'jrn_node ended with exit code {node.returncode}')


def _fail(text: str) -> int:
    print('jrn_replay:', *text.split(), file=sys.stderr)
    return 2


if __name__ == '__main__':
    sys.exit(main())
