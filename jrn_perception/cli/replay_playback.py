# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""How ``jrn_replay`` plays a recording to a node and listens to its answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import json
from pathlib import Path
import subprocess
import tempfile
import time
from typing import Any, TYPE_CHECKING

from jrn_perception.cli.replay_processes import player_command, running
from jrn_perception.recordings.reader import Recording

if TYPE_CHECKING:
    from jrn_perception.evaluation.recordings.replay import Replay
    from jrn_perception.ros.playback.evaluator import Evaluator

# Seconds to wait: for a message that may still arrive, for the last picture's results, and for
# each picture's results where none may be lost.
SETTLE_S = 0.3
QUIET_S = 10.0
LOSSLESS_S = 30.0


class Ended(Exception):
    """The node or the player ended too early; one line."""


def wait(condition: Callable[[], Any], node: subprocess.Popen | None, failure: str,
         timeout_s: float = 120.0) -> None:
    """Return when the condition is met; ValueError with ``failure`` after ``timeout_s``."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        _check_alive(node)
        if time.monotonic() > deadline:
            raise ValueError(f'{failure}: waited {timeout_s:g} s')
        time.sleep(0.05)


class PlayerFailed(Ended):
    """The player of the recording failed; one line."""


@dataclass(frozen=True)
class Playback:
    """
    One recording on its way to a node; ``replay`` measures the messages that ``evaluator`` hears.

    ``node`` is the node's process if this command started it. All methods raise ``Ended`` when
    that process ends.
    """

    evaluator: Evaluator
    replay: Replay
    node: subprocess.Popen | None

    def play(self, path: Path, player: str, speed: float) -> None:
        """Play in a process of its own, and wait for the results of the last picture."""
        topics = self.replay.topics.values()
        names = [name for name in self.replay.recording.topics if name != '/clock']
        with tempfile.TemporaryDirectory() as folder:
            overrides = Path(folder, 'qos.yaml')  # JSON is valid YAML.
            overrides.write_text(json.dumps({topic.name: {
                'reliability': 'reliable', 'history': 'keep_last', 'depth': 10}
                for topic in topics}))
            command = player_command(player, path, names, speed, 1 + len(topics), overrides)
            with running(command) as process:
                self._listen(lambda: process.poll() is not None)
        self._listen(self._answered(QUIET_S))
        self._settle()
        if process.returncode:
            raise PlayerFailed(f'{player} ended with exit code {process.returncode}')

    def play_lossless(self, path: Path) -> None:
        """Play in this process, and wait after each picture for its results."""
        from jrn_perception.ros.playback import player

        replay = self.replay
        picture = replay.topics['image'].name
        # A second reader, because the measurement reads ``replay.recording``.
        with (Recording(path) as recording,
              player.Replay(recording.topics.values(), clock=True) as publisher):
            publisher.wait_for_subscribers(1 + len(replay.topics))
            for record in recording.records(publisher.topics):
                publisher.pause(record.stamp_ns)
                publisher.publish(record, record.stamp_ns)
                if record.topic.name == picture:
                    sent = replay.sent
                    self._listen(_at_latest(lambda n=sent: replay.sent > n, QUIET_S))
                    self._listen(self._answered(LOSSLESS_S))
                if replay.stopped:
                    break
        self._settle()

    def _answered(self, quiet_s: float) -> Callable[[], bool]:
        """Return whether the last picture has its results, or must do without them by now."""
        return _at_latest(lambda: self.replay.last_answer >= self.replay.last_picture, quiet_s)

    def _listen(self, done: Callable[[], bool]) -> None:
        """Measure all messages that arrive until ``done``."""
        while not done():
            _check_alive(self.node)
            heard = self.evaluator.take(0.05)
            if heard is not None:
                self.replay.hear(*heard)
        while (heard := self.evaluator.take(0)) is not None:
            self.replay.hear(*heard)

    def _settle(self) -> None:
        """Measure late messages after the last one was sent: truth may follow its picture."""
        while (heard := self.evaluator.take(SETTLE_S)) is not None:
            self.replay.hear(*heard)


def _at_latest(condition: Callable[[], bool], timeout_s: float) -> Callable[[], bool]:
    """Return a condition that is met at the latest after ``timeout_s``."""
    deadline = time.monotonic() + timeout_s
    return lambda: condition() or time.monotonic() > deadline


def _check_alive(node: subprocess.Popen | None) -> None:
    if node is not None and node.poll() is not None:
        raise Ended(f'jrn_node ended with exit code {node.returncode}')
