# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""MCAP recordings that break off, at every kind of place."""

import shutil

from jrn_perception.recordings.broken_mcap import find_break
from jrn_perception.recordings.reader import IMAGE, Recording, RecordingError
from jrn_perception.recordings.writer import Writer
import numpy as np
import pytest

rosbag2 = pytest.importorskip('rosbags.rosbag2')

START, PERIOD, COUNT = 1_700_000_000_000_000_000, 10**8, 40
TOPICS = ('/left', '/right')


def write(path, compression=None, backwards=False, size=(150, 200)):
    """Write pictures of two cameras: about twelve in a chunk."""
    rng = np.random.default_rng(1)
    writer = Writer(path)
    if compression:
        writer._writer.set_compression(getattr(rosbag2.CompressionMode, compression),
                                       rosbag2.CompressionFormat.ZSTD)
    with writer:
        for topic in TOPICS:
            writer.add(topic, IMAGE)
        for index in range(COUNT):
            stamp = START + index * PERIOD
            rgb = rng.integers(0, 256, (*size, 3), np.uint8)
            # A recorder notes when a message came, and may write it after a later one.
            for place, topic in enumerate(TOPICS):
                late = stamp - place * 1000 if backwards else stamp
                writer.write(topic, late, writer.image(writer.header(late, topic), rgb, 'rgb8'))
    return path


def read(path):
    """Return all records that can be read, and why there are no more."""
    records = []
    with Recording(path) as recording:
        try:
            for record in recording.records():
                records.append((record.topic.name, record.stamp_ns, record.data))
        except RecordingError as error:
            return records, str(error)
    return records, ''


def cut(path, size):
    file = next(path.glob('*.mcap'))
    file.write_bytes(file.read_bytes()[:size])
    return file


@pytest.fixture(scope='module', params=[None, 'STORAGE', 'MESSAGE'])
def whole(request, tmp_path_factory):
    path = write(tmp_path_factory.mktemp('whole') / 'bag', request.param)
    return path, read(path)[0], request.param


@pytest.mark.parametrize('share', [0.3, 0.5, 0.77, 0.95])
def test_what_is_before_the_break_is_read(whole, tmp_path, share):
    source, expected, compression = whole
    path = shutil.copytree(source, tmp_path / 'bag')
    size = int(share * (path / 'bag.mcap').stat().st_size)
    file = cut(path, size)
    records, reason = read(path)
    assert records == expected[:len(records)]
    # All but the message that was cut, or the chunk where it is compressed.
    lost = 14 if compression == 'STORAGE' else 1
    assert len(expected) * share - lost - 1 <= len(records) < len(expected)
    assert reason.startswith(f'{file}: breaks off at byte ')
    assert f' of {size}: its recorder was killed' in reason and '\n' not in reason
    assert reason.endswith(f'; {len(records)} messages were read before')
    if compression != 'MESSAGE':
        # As a killed recorder leaves it, and the file alone.
        (path / 'metadata.yaml').unlink()
        assert read(path) == read(file) == (records, reason)


def test_every_byte_of_a_small_one(tmp_path):
    source = write(tmp_path / 'bag', size=(1, 1))
    data, expected = (source / 'bag.mcap').read_bytes(), read(source)[0]
    seen = set()
    for size in range(0, len(data), 97):
        file = tmp_path / 'cut.mcap'
        file.write_bytes(data[:size])
        try:
            records, reason = read(file)
        except RecordingError as error:
            records, reason = [], str(error)
        assert str(file) in reason or records == expected
        assert records == expected[:len(records)]
        seen.add(len(records))
    assert {0, 2 * COUNT} < seen


def test_only_the_summary_is_missing(whole, tmp_path):
    source, expected, _ = whole
    path = shutil.copytree(source, tmp_path / 'bag')
    file = cut(path, (path / 'bag.mcap').stat().st_size - 20)
    assert find_break(file).complete
    assert read(path) == (expected, '')


def test_zeros_that_a_crash_left(whole, tmp_path):
    source, expected, compression = whole
    path = shutil.copytree(source, tmp_path / 'bag')
    file = path / 'bag.mcap'
    data = file.read_bytes()
    kept = find_break(cut(path, len(data) // 2)).kept
    file.write_bytes(data[:kept] + bytes(len(data) - kept))
    records, reason = read(path)
    assert f'breaks off at byte {kept} of {len(data)}' in reason
    assert records == expected[:len(records)] and len(records) > 20


def test_messages_that_were_written_late(tmp_path):
    path = write(tmp_path / 'bag', backwards=True)
    expected = read(path)[0]
    cut(path, (path / 'bag.mcap').stat().st_size // 2)
    records, reason = read(path)
    assert len(records) >= COUNT - 3 and reason
    assert [stamp for _, stamp, _ in records] == sorted(stamp for _, stamp, _ in records)
    assert set(records) <= set(expected)


def test_nothing_but_a_beginning(tmp_path):
    path = write(tmp_path / 'bag')
    (path / 'metadata.yaml').unlink()
    cut(path, 60)
    with pytest.raises(RecordingError, match='breaks off at byte .*; there are no messages') as e:
        Recording(path)
    assert '\n' not in str(e.value)


def test_several_files_and_no_metadata(tmp_path):
    path = write(tmp_path / 'bag')
    (path / 'metadata.yaml').unlink()
    shutil.copy(path / 'bag.mcap', path / 'bag_1.mcap')
    # One recording in two files.
    records, reason = read(path)
    assert len(records) == 4 * COUNT and reason == ''
    shutil.copy(path / 'bag.mcap', path / 'other.mcap')
    with pytest.raises(RecordingError, match='holds several recordings without metadata.yaml; '
                       'name one of bag.mcap, bag_1.mcap, other.mcap'):
        Recording(path)


def test_a_whole_file_and_another_are_left_alone(tmp_path):
    path = write(tmp_path / 'bag')
    assert find_break(path / 'bag.mcap') is None
    (tmp_path / 'other.mcap').write_bytes(b'no recording at all')
    assert find_break(tmp_path / 'other.mcap') is None
