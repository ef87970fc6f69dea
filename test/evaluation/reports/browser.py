# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""A headless Chromium, asked over the pipes of its remote debugging (no package needed)."""

from contextlib import contextmanager
import json
import os
import select
import shutil
import subprocess
import time

NAMES = ('chromium', 'chromium-browser', 'google-chrome', 'chrome')


def find():
    """Return the path of a Chromium, or None."""
    return next((path for path in map(shutil.which, NAMES) if path), None)


class Page:
    """An open page: ``events`` are what the browser has reported so far."""

    def __init__(self, read, write):
        self._read, self._write = read, write
        self._buffer, self._number, self._session = b'', 0, None
        self.events = []

    def call(self, method, **parameters):
        """Return the answer to a command of the DevTools protocol."""
        self._number += 1
        message = {'id': self._number, 'method': method, 'params': parameters}
        if self._session:
            message['sessionId'] = self._session
        os.write(self._write, json.dumps(message).encode() + b'\0')
        answer = self._until(lambda received: received.get('id') == self._number)
        assert 'error' not in answer, answer
        return answer['result']

    def open(self, url):  # noqa: A003
        """Open a page and wait until all of it is loaded."""
        target = self.call('Target.createTarget', url='about:blank')['targetId']
        self._session = self.call('Target.attachToTarget', targetId=target,
                                  flatten=True)['sessionId']
        for domain in ('Page', 'Runtime', 'Network', 'Log'):
            self.call(f'{domain}.enable')
        self.call('Page.navigate', url=url)
        self._until(lambda event: event.get('method') == 'Page.loadEventFired')

    def evaluate(self, expression):
        """Return the value of a JavaScript expression in the page."""
        answer = self.call('Runtime.evaluate', expression=expression, returnByValue=True,
                           awaitPromise=True)
        assert 'exceptionDetails' not in answer, answer
        return answer['result'].get('value')

    def of(self, method):
        """Return the parameters of the events called ``method``."""
        return [event['params'] for event in self.events if event.get('method') == method]

    def _until(self, wanted, seconds=60):
        deadline = time.monotonic() + seconds
        while True:
            while b'\0' not in self._buffer:
                ready, _, _ = select.select([self._read], [], [], deadline - time.monotonic())
                assert ready, 'the browser does not answer'
                data = os.read(self._read, 2 ** 20)
                assert data, 'the browser has ended'
                self._buffer += data
            message, _, self._buffer = self._buffer.partition(b'\0')
            message = json.loads(message)
            self.events.append(message)
            if wanted(message):
                return message


@contextmanager
def opened(path, profile):
    """Open the page at ``path`` in a browser with a new ``profile`` folder."""
    # The browser reads commands from descriptor 3 and writes answers to descriptor 4.
    commands, write = os.pipe()
    read, answers = os.pipe()
    shell = f'exec "$@" 3<&{commands} 4>&{answers}'
    process = subprocess.Popen(
        ['bash', '-c', shell, 'bash', find(), '--headless', '--no-sandbox', '--disable-gpu',
         '--disable-dev-shm-usage', '--no-first-run', '--disable-extensions',
         f'--user-data-dir={profile}', '--remote-debugging-pipe', 'about:blank'],
        pass_fds=(commands, answers), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(commands)
    os.close(answers)
    try:
        page = Page(read, write)
        page.open(path.resolve().as_uri())
        yield page
    finally:
        os.close(write)  # Without its pipe the browser ends.
        os.close(read)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
