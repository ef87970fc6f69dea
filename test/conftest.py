# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Fixtures for tests that need real frames, real DDS or a child process."""

import fcntl
import functools
import importlib.metadata
import importlib.util
import itertools
import logging
import os
from pathlib import Path
import signal
import subprocess
import sys
import tempfile
import threading
import time

import pytest

# Threads that spin while they wait for each other take ten times as long on a busy machine.
os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')
if 'PYTEST_XDIST_WORKER' in os.environ:
    # The workers share the cores already.
    os.environ.setdefault('OMP_NUM_THREADS', '1')

REPOSITORY = Path(__file__).resolve().parent.parent
PROFILE = REPOSITORY / 'config' / 'fastdds.xml'
_TURN = itertools.count()


@pytest.fixture(scope='session', autouse=True)
def in_front():
    """Let the tests and their children receive Ctrl-C even if they run as a background job."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope='session')
def room():
    """Return a function that returns the drawn room of a seed, built once per session."""
    from jrn_perception.rooms.scenes import Scene
    return functools.cache(Scene)


@pytest.fixture(scope='session')
def data_dir():
    """Return the folder that holds `nyuv2/` (JRN_DATA, or ../shared/data beside the checkout)."""
    folder = Path(os.environ.get('JRN_DATA', REPOSITORY.parent / 'shared' / 'data'))
    if not (folder / 'nyuv2' / 'rgb').is_dir():
        pytest.skip(f'no NYU frames in {folder} (set JRN_DATA)')
    return folder


@pytest.fixture(scope='session')
def external():
    """Return the module that makes models of other authors."""
    for name in ('transformers', 'onnxruntime', 'onnxscript'):
        pytest.importorskip(name)
    return importlib.import_module('external_models')


@pytest.fixture
def told():
    """
    Return a function that returns the messages of a logger from then on, as a growing list.

    pytest's own fixture hears nothing where launch is installed: the class that launch gives all
    loggers does not pass messages on to the root.
    """
    handlers = []

    def listen(name):
        handler = logging.Handler()
        messages = []
        handler.emit = lambda record: messages.append(record.getMessage())
        logger = logging.getLogger(name)
        logger.addHandler(handler)
        handlers.append((logger, handler, logger.level))
        logger.setLevel(logging.DEBUG)
        return messages
    yield listen
    for logger, handler, level in handlers:
        logger.removeHandler(handler)
        logger.setLevel(level)


@pytest.fixture(scope='session', autouse=True)
def cache(tmp_path_factory):
    """Make one folder the user's cache, in all processes that share the tests; return it."""
    folder = tmp_path_factory.getbasetemp()
    if 'PYTEST_XDIST_WORKER' in os.environ:
        folder = folder.parent
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('XDG_CACHE_HOME', str(folder / 'cache'))
        yield folder / 'cache'


@pytest.fixture
def ros_domain(monkeypatch):
    """
    Return a ROS_DOMAIN_ID that no other test on this machine uses; limit DDS to loopback.

    A file lock reserves the number while the test runs, and is released even if it is killed.
    """
    if importlib.util.find_spec('rclpy') is None:
        pytest.skip("rclpy is missing: source a ROS 2 installation or pip install '.[ros]'")
    with _lock_domain() as lock:
        domain = int(lock.name.rsplit('-', 1)[-1])
        monkeypatch.setenv('ROS_DOMAIN_ID', str(domain))
        major = int(importlib.metadata.version('rclpy').split('.')[0])
        if major < 4:  # Humble knows this name only; the others call it deprecated.
            monkeypatch.setenv('ROS_LOCALHOST_ONLY', '1')
        else:
            monkeypatch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
        for name in ('FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE'):
            monkeypatch.delenv(name, raising=False)
        # Not both variables: Kilted would load the file twice and complain.
        new = 'FASTDDS' if major >= 8 else 'FASTRTPS'
        monkeypatch.setenv(f'{new}_DEFAULT_PROFILES_FILE', str(PROFILE))
        yield domain


def _lock_domain():
    """Return the open, locked file of a free domain; its name ends in the number, 1 to 100."""
    # Above 101 the ports of DDS overlap with Linux's ports for outgoing connections.
    # Never the domain of the previous test, whose late messages nobody shall read.
    for _ in range(100):
        domain = (os.getpid() + next(_TURN)) % 100 + 1
        path = Path(tempfile.gettempdir()) / f'jrn_perception-ros-domain-{domain}'
        try:
            lock = path.open('a')
        except PermissionError:  # The file belongs to another user.
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
        else:
            return lock
    raise RuntimeError('100 tests hold a ROS domain each: a run that does not end?')


class Child:
    """A running executable of the package, and the lines that it has printed."""

    def __init__(self, name, arguments):
        self.name = name
        self.process = subprocess.Popen(
            [sys.executable, '-u', '-m', f'jrn_perception.cli.{name}', *map(str, arguments)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors='replace')
        self._lines = []
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            with self._changed:
                self._lines.append(line)
                self._changed.notify_all()

    @property
    def output(self):
        """Return the output so far, both streams in one text."""
        with self._changed:
            return ''.join(self._lines)

    def wait_for(self, text, timeout=60.0):
        """Wait until `text` is printed; fail if the process ends first or takes too long."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while text not in ''.join(self._lines):
                if not self._reader.is_alive() or time.monotonic() > deadline:
                    state = 'ended' if self.process.poll() is not None else 'runs'
                    pytest.fail(
                        f'{self.name} ({state}) never printed {text!r}:\n{"".join(self._lines)}')
                self._changed.wait(0.1)

    def wait(self, timeout=60.0):
        """Wait until the process ends by itself, and return its exit code."""
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            pytest.fail(f'{self.name} still runs after {timeout} s:\n{self.output}')
        self._reader.join(timeout=5)
        return code

    def stop(self, timeout=20.0):
        """Send Ctrl-C, and return the exit code; fail if the process has to be killed."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            self._reader.join(timeout=5)
            pytest.fail(f'{self.name} ignored Ctrl-C for {timeout} s:\n{self.output}')
        self._reader.join(timeout=5)
        return code


@pytest.fixture
def spawn():
    """
    Return a function that starts `python -m jrn_perception.cli.NAME ARGUMENTS...` as a `Child`.

    Children that still run at the end of the test get Ctrl-C; having to kill one is a failure.
    With ROS, request `ros_domain` before `spawn`: children inherit the environment.
    """
    children = []

    def start(name, *arguments):
        children.append(Child(name, arguments))
        return children[-1]

    yield start
    failures = []
    for child in reversed(children):
        try:
            child.stop()
        except pytest.fail.Exception as failure:
            failures.append(str(failure))
    if failures:
        pytest.fail('\n'.join(failures))
