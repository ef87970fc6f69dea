# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
A fleet of 40 recordings: on every engine, with workers killed, from S3, the same numbers.

Ray, Dask and the S3 server are real, on this machine.
"""

import contextlib
import importlib.util
import os
from pathlib import Path
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request

from fleet_runs import descendants, finished, kill_worker, NETWORK, results, TRUTH, write_fleet
import pytest

COUNT = 40
REPOSITORY = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None
        for name in ('jinja2', 'matplotlib', 'rich', 'rosbags')),
    reason="needs jinja2, matplotlib, rich and rosbags: pip install '.[evaluate]'")]


def needs(name, extra):
    return pytest.mark.skipif(importlib.util.find_spec(name) is None,
                              reason=f"needs {name}: pip install '.[{extra}]'")


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    """Let the workers of clusters import the package without its being installed."""
    path = os.environ.get('PYTHONPATH', '')
    monkeypatch.setenv('PYTHONPATH', os.pathsep.join(filter(None, [str(REPOSITORY), path])))


@pytest.fixture(scope='module')
def fleet(tmp_path_factory):
    return write_fleet(tmp_path_factory.mktemp('fleet'), COUNT)


def run(spawn, source, output, *options, killed='', above=0):
    """
    Measure a fleet; return the child process.

    With ``killed``, a worker whose command line contains it is killed once three recordings are
    finished. It is a process below process ``above``, by default the child's.
    """
    child = spawn('evaluate', 'bags', source, '--output', output, *NETWORK, *TRUTH, *options)
    deadline = time.monotonic() + 900
    while killed and not (len(finished(output)) >= 3 and kill_worker(
            above or child.process.pid, killed)):
        assert time.monotonic() < deadline and child.process.poll() is None, child.output
        time.sleep(0.01)
    assert child.wait(900) == 0, child.output
    assert len(finished(output)) == COUNT
    return child


@pytest.fixture(scope='module')
def expected(fleet, tmp_path_factory):
    """Return the results of the fleet in one process."""
    output = tmp_path_factory.mktemp('one') / 'out'
    subprocess.run([sys.executable, '-m', 'jrn_perception.cli.evaluate', 'bags', str(fleet),
                    '--output', str(output), *NETWORK, *TRUTH, '--jobs', '1'], check=True,
                   cwd=REPOSITORY, timeout=900, env={**os.environ, 'OMP_NUM_THREADS': '1'})
    return results(output)


def test_two_processes_one_of_them_killed(spawn, fleet, expected, tmp_path):
    child = run(spawn, fleet, tmp_path, '--jobs', '2', killed='spawn_main')
    assert f'{COUNT} recordings measured, {2 * COUNT} frames in' in child.output
    assert results(tmp_path) == expected


def test_a_parent_that_is_killed_and_shards(spawn, fleet, expected, tmp_path):
    arguments = ('bags', fleet, '--output', tmp_path, *NETWORK, *TRUTH, '--jobs', '2')
    child = spawn('evaluate', *arguments, '--shard', '0/2')
    deadline = time.monotonic() + 300
    while len(finished(tmp_path)) < 5:
        assert time.monotonic() < deadline and child.process.poll() is None, child.output
        time.sleep(0.02)
    child.process.kill()
    child.wait()
    before = finished(tmp_path)
    for index in range(2):
        child = spawn('evaluate', *arguments, '--shard', f'{index}/2')
        assert child.wait(900) == 0, child.output
    assert before.items() <= finished(tmp_path).items()
    assert 'fleet.json' not in os.listdir(tmp_path)
    child = run(spawn, fleet, tmp_path, '--jobs', '1')
    assert '0 recordings measured, 0 frames in' in child.output
    assert results(tmp_path) == expected


def free_port():
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        return free.getsockname()[1]


@pytest.fixture
def ray_cluster(monkeypatch):
    """Return address and process of a Ray cluster that runs by itself, with two workers."""
    # A token of its own, because Ray otherwise takes one that it may have left on this machine.
    for name, value in (('RAY_USAGE_STATS_ENABLED', '0'), ('RAY_AUTH_MODE', 'token'),
                        ('RAY_AUTH_TOKEN', secrets.token_hex(16))):
        monkeypatch.setenv(name, value)
    port = free_port()
    head = subprocess.Popen(
        [sys.executable, '-m', 'ray.scripts.scripts', 'start', '--head', '--block', '--port',
         str(port), '--num-cpus', '2', '--include-dashboard', 'false', '--node-ip-address',
         '127.0.0.1'], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while not any('raylet' in command for _, command in descendants(head.pid)):
            assert time.monotonic() < deadline and head.poll() is None
            time.sleep(0.2)
        yield f'127.0.0.1:{port}', head.pid
    finally:
        started = [pid for pid, _ in descendants(head.pid)]
        head.terminate()
        try:
            head.wait(60)
        except subprocess.TimeoutExpired:
            head.kill()
            head.wait()
        for pid in started:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@needs('ray', 'ray')
def test_a_cluster_of_ray_one_of_its_workers_killed(spawn, fleet, expected, ray_cluster,
                                                    tmp_path):
    address, head = ray_cluster
    child = run(spawn, fleet, tmp_path, '--ray', address, killed='ray::measure', above=head)
    assert f'{COUNT} recordings measured' in child.output
    assert results(tmp_path) == expected


@needs('ray', 'ray')
def test_a_cluster_of_ray_that_the_command_starts(spawn, fleet, expected, tmp_path):
    run(spawn, fleet, tmp_path, '--ray', 'local')
    assert results(tmp_path) == expected


@needs('distributed', 'dask')
def test_a_cluster_of_dask_one_of_its_workers_killed(spawn, fleet, expected, tmp_path):
    child = run(spawn, fleet, tmp_path, '--dask', 'local', '--jobs', '2', killed='spawn_main')
    # A recording whose result the killed worker had written is not measured again.
    assert f'jrn cat1 on {COUNT} recordings' in child.output
    assert results(tmp_path) == expected


@pytest.fixture
def bucket(monkeypatch, fleet):
    """Return the URL of the fleet on a real S3 server, and of a place for results."""
    port = free_port()
    url = f'http://127.0.0.1:{port}'
    for name, value in (('AWS_ENDPOINT_URL', url), ('AWS_ACCESS_KEY_ID', 'test'),
                        ('AWS_SECRET_ACCESS_KEY', 'test'), ('AWS_DEFAULT_REGION', 'us-east-1')):
        monkeypatch.setenv(name, value)
    server = subprocess.Popen([sys.executable, '-m', 'moto.server', '-H', '127.0.0.1', '-p',
                               str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(url, timeout=1).close()
                break
            except OSError:
                assert time.monotonic() < deadline and server.poll() is None
                time.sleep(0.1)
        import s3fs
        system = s3fs.S3FileSystem()
        system.mkdir('robots')
        system.put(str(fleet), 'robots/fleet', recursive=True)
        yield system
    finally:
        server.terminate()
        server.wait(20)


@needs('moto', 'test')
@needs('s3fs', 'fleet')
def test_recordings_and_results_on_s3(spawn, fleet, expected, bucket, tmp_path):
    child = spawn('evaluate', 'bags', 's3://robots/fleet', '--output', 's3://robots/out',
                  *NETWORK, *TRUTH, '--jobs', '2')
    assert child.wait(900) == 0, child.output
    assert f'{COUNT} recordings measured, {2 * COUNT} frames in' in child.output
    bucket.get('robots/out', str(tmp_path / 'out'), recursive=True)
    found = results(tmp_path / 'out')
    # The addresses in results.jsonl and the digests of the contents are others.
    assert found['fleet.json'] == expected['fleet.json']
    assert found['fleet.html'] == expected['fleet.html']
    child = spawn('evaluate', 'bags', 's3://robots/fleet/robot*/*', '--output',
                  's3://robots/out', *NETWORK, *TRUTH, '--jobs', '1')
    assert child.wait(900) == 0, child.output
    assert f'{COUNT} were measured before' in child.output
    # One damaged object, and one that is other content now.
    first, second = sorted(path for path in bucket.find('robots/fleet') if path.endswith('.mcap')
                           )[:2]
    bucket.pipe_file(first, b'nothing')
    shutil.copytree(fleet, tmp_path / 'copy')
    bucket.put(str(next((tmp_path / 'copy' / 'robot2').rglob('*.mcap'))), second)
    child = spawn('evaluate', 'bags', 's3://robots/fleet', '--output', 's3://robots/out',
                  *NETWORK, *TRUTH, '--jobs', '1')
    assert child.wait(900) == 3, child.output
    assert f'{COUNT - 2} were measured before' in child.output
    assert child.output.count('jrn_evaluate: failed: ') == 1
    assert 's3://robots/fleet' in child.output and '/jrn-' not in child.output
