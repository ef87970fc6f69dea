# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""SQLite recordings that break off: messages are there up to the page that is missing."""

import shutil
import tempfile

from jrn_perception.data import sample
from jrn_perception.data.cut_sqlite import describe
from jrn_perception.data.recording import Recording, RecordingError
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


@pytest.mark.parametrize('size', [0, 50, 100, 4096])
def test_what_has_nothing_to_read_is_one_line(whole, tmp_path, monkeypatch, size):
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path))
    file = tmp_path / 'cut.db3'
    file.write_bytes((whole / 'bag.db3').read_bytes()[:size])
    with pytest.raises(RecordingError) as caught:
        Recording(file)
    assert str(caught.value).startswith(str(file)) and '\n' not in str(caught.value)
    assert list(tmp_path.iterdir()) == [file]
