# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Tasks in processes of this machine, which may die."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
import multiprocessing
from multiprocessing.connection import Connection, wait
import os
import signal
import threading
from typing import Any

# A process that dies may have been in the way of another program. Twice is the task's own fault.
ATTEMPTS = 2
# Seconds after which Ctrl-C is noticed.
PATIENCE = 0.2


@dataclass(frozen=True)
class Died:
    """The result of a task whose process ended each time before its result."""

    reason: str


def one_line(error: Exception) -> str:
    """Return an error as a line, with the name of its class if a command does not expect it."""
    text = ' '.join(str(error).split())
    expected = isinstance(error, (ValueError, OSError, ImportError))
    return text if expected and text else f'{type(error).__name__}: {text}'


def run(work: Callable[[Any], Any], tasks: Sequence[Any], processes: int,
        interrupted: Callable[[], bool]) -> Iterator[tuple[int, Any]]:
    """
    Yield (index, ``work(task)``) in the order in which the tasks end.

    Each of the ``processes`` has one task at a time. If a process is killed, its task is done
    once more in a new process; if that is killed as well, the result is ``Died``. ``interrupted``
    ends the run early. All processes end with this one, even if it is killed.
    """
    context = multiprocessing.get_context('spawn')  # Threads and CUDA do not survive a fork.
    waiting = deque((index, 1) for index in range(len(tasks)))
    workers: dict[Connection, _Worker] = {}
    try:
        while (waiting or workers) and not interrupted():
            while waiting and len(workers) < processes:
                worker = _Worker(context, work)
                workers[worker.connection] = worker
                worker.start(*waiting.popleft(), tasks)
            for connection in wait(list(workers), PATIENCE):
                worker = workers[connection]
                index, attempt = worker.index, worker.attempt
                try:
                    result = connection.recv()
                except (EOFError, OSError):
                    del workers[connection]
                    code = worker.end()
                    if attempt < ATTEMPTS:
                        # Last, so that a faulty recording does not hold up the others.
                        waiting.append((index, attempt + 1))
                        continue
                    result = Died(_describe(code, attempt))
                else:
                    if waiting:
                        worker.start(*waiting.popleft(), tasks)
                    else:
                        del workers[connection]
                        worker.end()
                yield index, result
    finally:
        for worker in workers.values():
            worker.end()


class _Worker:
    """A process, the task that it has, and which attempt at this task it is."""

    def __init__(self, context: Any, work: Callable[[Any], Any]):
        self.connection, child = context.Pipe()
        self.index = self.attempt = 0
        self._process = context.Process(target=_serve, args=(child, work), daemon=True)
        self._process.start()
        # Only then does the death of the process close the connection.
        child.close()

    def start(self, index: int, attempt: int, tasks: Sequence[Any]) -> None:
        self.index, self.attempt = index, attempt
        try:
            self.connection.send(tasks[index])
        except OSError:
            pass  # The process has died already; reading its result says so.

    def end(self) -> int:
        """End the process; return its exit code."""
        self.connection.close()
        self._process.join(PATIENCE)
        self._process.terminate()
        self._process.join(5)
        self._process.kill()
        self._process.join()
        return self._process.exitcode


def _serve(connection: Connection, work: Callable[[Any], Any]) -> None:
    # Ctrl-C reaches all processes of a terminal; the first one decides about the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    while True:
        try:
            connection.send(work(connection.recv()))
        except (EOFError, BrokenPipeError, ConnectionResetError):
            return  # Nobody wants more results.


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        # A parent that was killed cannot ask for it, and the next run needs the memory.
        os._exit(1)


def _describe(code: int, attempts: int) -> str:
    how = f'ended with exit code {code}'
    if code < 0:
        how = f'was killed by {signal.Signals(-code).name}'
        how += ' (out of memory?)' if code == -signal.SIGKILL else ''
    return f'its process {how}, in each of {attempts} attempts'
