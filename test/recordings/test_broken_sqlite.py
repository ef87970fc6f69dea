# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""SQLite recordings that break off: messages are there up to the page that is missing."""

from contextlib import closing
import shutil
import sqlite3
import tempfile

from jrn_perception.recordings.broken_sqlite import describe
from jrn_perception.recordings.reader import Recording, RecordingError
from jrn_perception.sources import sample
import pytest

pytest.importorskip('rosbags.rosbag2')


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp('whole') / 'bag'
    sample.write_sample(path, 40, size=(96, 128), storage='sqlite3')
    assert describe(path / 'bag.db3') == ''
    return path


def read(path):
    """Return the topics, the records that can be read, and why there are no more."""
    records, reason = [], ''
    with Recording(path) as recording:
        try:
            for record in recording.records():
                records.append(record)
        except RecordingError as error:
            reason = str(error)
        return recording.topics, records, reason


@pytest.mark.parametrize('share', [0.1, 0.5, 0.9])
def test_what_is_before_the_break_is_read(whole, tmp_path, monkeypatch, share):
    expected = read(whole)[1]
    path = shutil.copytree(whole, tmp_path / 'bag')
    file, size = path / 'bag.db3', (whole / 'bag.db3').stat().st_size
    file.write_bytes(file.read_bytes()[:int(share * size)])
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path))
    there = set(tmp_path.iterdir())
    topics, records, reason = read(path)
    # The definitions take a tenth.
    assert (share - 0.12) * len(expected) < len(records) < len(expected)
    assert [record.data for record in records] == [
        record.data for record in expected[:len(records)]]
    assert reason == (
        f'{file}: breaks off at byte {int(share * size)} of {size}: its recorder was killed, or '
        f'this is part of a copy; {len(records)} messages were read before')
    assert set(tmp_path.iterdir()) == there, 'a copy was left behind'
    # The file alone, and a folder that was left without metadata, count what is there.
    (path / 'metadata.yaml').unlink()
    for alone in (path, file):
        topics, again, reason = read(alone)
        assert len(again) == len(records) == sum(topic.count for topic in topics.values())


@pytest.mark.parametrize('beside', ['-wal', '-journal'])
def test_a_recorder_that_was_killed_leaves_files_beside_the_database(
        whole, tmp_path, monkeypatch, beside):
    expected = read(whole)[1]
    live = shutil.copytree(whole, tmp_path / 'live') / 'bag.db3'
    killed = tmp_path / 'killed'
    with closing(sqlite3.connect(live, isolation_level=None)) as database:
        if beside == '-wal':  # The preset "resilient" of `ros2 bag record`.
            database.execute('PRAGMA journal_mode = WAL')
            database.execute('PRAGMA wal_autocheckpoint = 0')
            database.execute('BEGIN')
            database.execute('INSERT INTO messages SELECT NULL, topic_id, timestamp, data '
                             'FROM messages')
            database.execute('COMMIT')
        else:  # Killed in the middle of a change.
            database.execute('PRAGMA cache_size = 1')
            database.execute('BEGIN')
            database.execute("UPDATE messages SET data = x'00'")
        shutil.copytree(live.parent, killed)
    (killed / 'metadata.yaml').unlink()
    before = {file: file.read_bytes() for file in killed.iterdir()}
    assert before[killed / f'bag.db3{beside}']
    copies = tmp_path / 'copies'
    copies.mkdir()
    monkeypatch.setattr(tempfile, 'tempdir', str(copies))
    for path in (killed, killed / 'bag.db3'):
        topics, records, reason = read(path)
        times = 2 if beside == '-wal' else 1
        assert reason == ''
        assert sorted(record.data for record in records) == sorted(
            times * [record.data for record in expected])
        assert sum(topic.count for topic in topics.values()) == times * len(expected)
    assert not list(copies.iterdir()), 'a copy was left behind'
    assert {file: file.read_bytes() for file in killed.iterdir()} == before


@pytest.mark.parametrize('size', [0, 50, 100, 4096])
def test_what_has_nothing_to_read_is_one_line(whole, tmp_path, monkeypatch, size):
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path))
    file = tmp_path / 'cut.db3'
    file.write_bytes((whole / 'bag.db3').read_bytes()[:size])
    with pytest.raises(RecordingError) as caught:
        Recording(file)
    assert str(caught.value).startswith(str(file)) and '\n' not in str(caught.value)
    assert list(tmp_path.iterdir()) == [file]
