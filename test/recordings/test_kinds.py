# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Recordings as people have them: of ROS 1, converted, trimmed, renamed, split, damaged."""

import shutil
import sqlite3
import struct

from jrn_perception.recordings.reader import CAMERA_INFO, IMAGE, Recording, RecordingError, Span
from jrn_perception.recordings.writer import Writer
import numpy as np
import pytest

rosbag1 = pytest.importorskip('rosbags.rosbag1')
rosbag2 = pytest.importorskip('rosbags.rosbag2')
typesys = pytest.importorskip('rosbags.typesys')

START, PERIOD, COUNT = 1_700_000_000_000_000_000, 10**8, 12
MATRIX = np.array(((30.0, 0, 16), (0, 31, 12), (0, 0, 1)))
RNG = np.random.default_rng(2)
PICTURES = [RNG.integers(0, 256, (24, 32, 3), np.uint8) for _ in range(COUNT)]
STAMPS = [START + index * PERIOD for index in range(COUNT)]


def write(path, storage='sqlite3', indices=range(COUNT), damaged=(), data=b'\0\1\0\0'):
    """Write pictures with their calibration; the messages at ``damaged`` are ``data``."""
    with Writer(path, storage) as writer:
        writer.add('/cam/image', IMAGE)
        writer.add('/cam/camera_info', CAMERA_INFO)
        for index in indices:
            header = writer.header(STAMPS[index], 'optical')
            writer.write('/cam/camera_info', STAMPS[index],
                         writer.camera_info(header, (24, 32), MATRIX))
            if index in damaged:
                writer.write_copy('/cam/image', STAMPS[index], data)
            else:
                writer.write('/cam/image', STAMPS[index],
                             writer.image(header, PICTURES[index], 'rgb8'))
    return path


def read(path, **options):
    """Return the frames, why there are no more, what is said, and the recording's notes."""
    frames, said = [], []
    with Recording(path, **options) as recording:
        try:
            for frame in recording.frames(damaged=said.append, noted=said.append):
                frames.append(frame)
        except RecordingError as error:
            return frames, str(error), said, recording.notes
        return frames, '', said, recording.notes


def check(frames, indices=range(COUNT)):
    assert [frame.stamp_ns for frame in frames] == [STAMPS[index] for index in indices]
    for frame, index in zip(frames, indices):
        np.testing.assert_array_equal(frame.rgb, PICTURES[index])
        np.testing.assert_array_equal(frame.camera_matrix, MATRIX)


# --- ROS 1 --------------------------------------------------------------------------------------

def write_ros1(path, compression=None, latching=None):
    store = typesys.get_typestore(typesys.Stores.ROS1_NOETIC)
    types = store.types
    writer = rosbag1.Writer(path)
    if compression:
        writer.set_compression(writer.CompressionFormat[compression])
    # A chunk for each picture or two.
    writer.chunk_threshold = 3000
    text = 'std_msgs/msg/Header'
    with writer:
        topics = [writer.add_connection(f'/cam/{name}', kind, typestore=store, latching=latching)
                  for name, kind in (('image', IMAGE), ('camera_info', CAMERA_INFO))]
        own = writer.add_connection('/own', 'my_msgs/msg/Mine', msgdef='time at\nstring text\n',
                                    md5sum='369d3a95d9ede2234f55a9fe67aa678d')
        for index, stamp in enumerate(STAMPS):
            time = types['builtin_interfaces/msg/Time'](stamp // 10**9, stamp % 10**9)
            header = types[text](1000 + index, time, 'optical')
            region = types['sensor_msgs/msg/RegionOfInterest'](0, 0, 0, 0, False)
            image = types[IMAGE](header, 24, 32, 'rgb8', 0, 96, PICTURES[index].reshape(-1))
            info = types[CAMERA_INFO](
                header, 24, 32, 'plumb_bob', np.zeros(5), MATRIX.reshape(-1),
                np.eye(3).reshape(-1), np.zeros(12), 0, 0, region)
            for topic, msg in zip(topics, (image, info)):
                writer.write(topic, stamp, store.serialize_ros1(msg, topic.msgtype))
            writer.write(own, stamp, struct.pack('<III', 5, 6, 2) + b'hi')
    return path


@pytest.mark.parametrize('compression', [None, 'BZ2', 'LZ4'])
def test_a_bag_of_ros_1(tmp_path, compression):
    path = write_ros1(tmp_path / 'run.bag', compression)
    frames, reason, said, notes = read(path)
    check(frames)
    assert (reason, said, notes) == ('', [], [])
    with Recording(path) as recording:
        assert recording.frame_id('/cam/image') == 'optical'
        assert (recording.start_ns, recording.duration_ns) == (START, 11 * PERIOD)
        assert {topic.name: (topic.count, topic.foreign) for topic in recording.topics.values()
                } == {'/cam/image': (12, False), '/cam/camera_info': (12, False),
                      '/own': (12, True)}
        info = recording.decode(recording.first(recording.topic('/cam/camera_info')))
        assert list(info.k) == list(MATRIX.reshape(-1))
        own = recording.decode(recording.first(recording.topic('/own')))
        assert (own.at.sec, own.at.nanosec, own.text) == (5, 6, 'hi')
    # A folder with one file is that file.
    (tmp_path / 'folder').mkdir()
    shutil.move(path, tmp_path / 'folder')
    check(read(tmp_path / 'folder')[0])


def test_latched_topics_of_ros_1(tmp_path):
    for latching in (None, 1):
        with Recording(write_ros1(tmp_path / f'{latching}.bag', latching=latching)) as recording:
            assert recording.topic('/cam/image').latched is bool(latching)


@pytest.mark.parametrize('compression', [None, 'BZ2'])
@pytest.mark.parametrize('share', [0.3, 0.6, 0.95])
def test_a_bag_of_ros_1_that_breaks_off(tmp_path, compression, share):
    path = write_ros1(tmp_path / 'run.bag', compression)
    data = path.read_bytes()
    path.write_bytes(data[:int(share * len(data))])
    frames, reason, said, _ = read(path)
    check(frames, range(len(frames)))
    assert share * COUNT - 5 < len(frames) <= COUNT and len(frames)
    assert reason.startswith(f'{path}: breaks off at byte ') and '\n' not in reason


def test_a_copy_of_a_bag_of_ros_1_and_the_results_are_of_ros_2(tmp_path):
    source = write_ros1(tmp_path / 'run.bag')
    with Recording(source) as recording, Writer(tmp_path / 'copy') as writer:
        assert writer.add_copy(recording, list(recording.topics)) == []
        for record in recording.records():
            writer.write_copy(record.topic.name, record.stamp_ns, record.data)
    frames, reason, *_ = read(tmp_path / 'copy')
    check(frames)
    assert reason == ''


def test_a_bag_that_was_converted_with_its_definitions(tmp_path):
    from rosbags.convert.converter import convert
    convert([write_ros1(tmp_path / 'run.bag')], tmp_path / 'new', dst_storage='sqlite3',
            dst_version=8, compress=None, compress_mode='', default_typestore=None, typestore=None,
            exclude_topics=[], include_topics=[], exclude_msgtypes=[], include_msgtypes=[])
    with Recording(tmp_path / 'new') as recording:
        assert 'float64[9] K' in recording.connection('/cam/camera_info').msgdef.data
    check(read(tmp_path / 'new')[0])


# --- topics without messages, types -------------------------------------------------------------

def execute(path, statement):
    with sqlite3.connect(next(path.glob('*.db3'))) as database:
        database.execute(statement)
    database.close()


@pytest.mark.parametrize('kind', ['camera_info', 'image'])
def test_a_trimmed_recording(tmp_path, kind):
    path = write(tmp_path / 'bag')
    execute(path, 'DELETE FROM messages WHERE topic_id = '
                  f"(SELECT id FROM topics WHERE name = '/cam/{kind}')")
    note = f'/cam/{kind}: metadata.yaml announces 12 messages, there are 0'
    if kind == 'image':
        assert read(path)[1] == f'{path}: no image topic among /cam/camera_info; {note}'
        return
    frames, reason, said, notes = read(path)
    assert (len(frames), reason, notes) == (COUNT, '', [note])
    assert said == ['no focal length: no camera_info beside /cam/image']
    assert frames[0].camera_matrix is None


def records_of(data):
    """Yield the (code, content) of the records of an MCAP file."""
    place = 8
    while place < len(data) - 8:
        code, length = struct.unpack_from('<BQ', data, place)
        yield code, data[place + 9:place + 9 + length]
        place += 9 + length


@pytest.mark.parametrize('parts', ['message index', 'statistics', 'both', 'channels', 'summary'])
def test_an_mcap_file_whose_writer_left_out_a_part_of_the_index(tmp_path, parts):
    path = write(tmp_path / 'bag', 'mcap')
    file = path / 'bag.mcap'
    old = list(records_of(file.read_bytes()))
    new, summary, chunks = b'\x89MCAP0\r\n', 0, []
    dropped = {'message index': {7}, 'statistics': {11}, 'both': {7, 11}, 'channels': {4},
               'summary': set()}[parts]
    for code, content in old:
        if code == 2:
            content = struct.pack('<QQI', summary if parts != 'summary' else 0, 0, 0)
        if code == 8 and 7 in dropped:
            start = struct.pack('<Q', chunks.pop(0))
            offsets, = struct.unpack_from('<I', content, 32)
            content = (content[:16] + start + content[24:32] + bytes(4) + bytes(8)
                       + content[36 + offsets + 8:])
        # The channels are in the chunks as well.
        if code in dropped and (code != 4 or summary) or code == 14:
            continue
        if parts == 'summary' and summary and code != 2:
            continue
        if code == 6:
            chunks.append(len(new))
        new += struct.pack('<BQ', code, len(content)) + content
        if code == 15:
            summary = len(new)
    file.write_bytes(new + b'\x89MCAP0\r\n')
    for source in (path, file):
        frames, reason, said, notes = read(source)
        check(frames)
        assert (reason, said, notes) == ('', [], [])
        with Recording(source) as recording:
            assert [topic.count for topic in recording.topics.values()] == [12, 12]


@pytest.mark.parametrize('old, new', [('/msg/', '/'), ('/', '::')])
@pytest.mark.parametrize('metadata', [True, False])
def test_types_in_another_writing(tmp_path, old, new, metadata):
    path = write(tmp_path / 'bag')
    execute(path, f"UPDATE topics SET type = replace(type, '{old}', '{new}')")
    yaml = path / 'metadata.yaml'
    if metadata:
        yaml.write_text(yaml.read_text().replace(f'sensor_msgs{old}', f'sensor_msgs{new}'))
    else:
        yaml.unlink()
    check(read(path)[0])


# --- files --------------------------------------------------------------------------------------

def split(path, storage, parts=3):
    """Write a recording in several files, as a recorder that changes the file; return them."""
    each, files = COUNT // parts, []
    path.mkdir()
    for part in range(parts):
        folder = write(path.parent / f'part{part}', storage,
                       range(part * each, (part + 1) * each))
        file = next(file for file in folder.iterdir() if file.suffix != '.yaml')
        files.append(path / f'bag_{part}{file.suffix}')
        shutil.move(file, files[-1])
    return files


STORAGES = pytest.mark.parametrize('storage', ['sqlite3', 'mcap'])


@STORAGES
def test_a_split_recording_without_metadata(tmp_path, storage):
    path = tmp_path / 'bag'
    first, second, third = split(path, storage)
    frames, reason, said, _ = read(path)
    check(frames)
    assert (reason, said) == ('', [])
    # A recorder that was killed when it had created the next file.
    empty = path / f'bag_3{first.suffix}'
    empty.touch()
    frames, reason, *_ = read(path)
    check(frames)
    assert reason == (f'{empty}: damaged or no rosbag2 recording: it is empty; 24 messages were '
                      'read before')
    empty.unlink()
    # A file that breaks off does not end the others.
    second.write_bytes(second.read_bytes()[:second.stat().st_size // 2])
    frames, reason, *_ = read(path)
    assert [frame.stamp_ns for frame in frames][:4] == STAMPS[:4]
    assert [frame.stamp_ns for frame in frames][-4:] == STAMPS[8:]
    assert reason.startswith(f'{second}: breaks off at byte')
    second.unlink()
    frames, reason, *_ = read(path)
    check(frames, [*range(4), *range(8, 12)])
    assert reason == f'{path}: file 1 of 3 files is missing; 16 messages were read before'


@STORAGES
def test_a_missing_file_that_metadata_names(tmp_path, storage):
    path = tmp_path / 'bag'
    first, second, third = split(path, storage)
    names = '\n'.join(f'  - bag/{file.name}' for file in (first, second, third))
    (path / 'metadata.yaml').write_text(
        f'rosbag2_bagfile_information:\n  version: 5\n  storage_identifier: ""\n'
        f'  compression_format: ""\n  compression_mode: ""\n  relative_file_paths:\n{names}\n')
    check(read(path)[0])
    second.unlink()
    frames, reason, *_ = read(path)
    check(frames, [*range(4), *range(8, 12)])
    assert reason == (f'{path}: {second.name} of 3 files is missing; 16 messages were read before')


@STORAGES
@pytest.mark.parametrize('text', ['', 'rosbag2_bagfile_information:\n  version: [', None])
def test_metadata_that_a_killed_recorder_left(tmp_path, storage, text):
    path = write(tmp_path / 'bag', storage)
    metadata = path / 'metadata.yaml'
    whole = metadata.read_text()
    metadata.write_text(whole.replace(storage, '""', 1) if text is None else text)
    check(read(path)[0])


def test_a_renamed_file(tmp_path):
    path = write(tmp_path / 'bag')
    (path / 'bag.db3').rename(path / 'kitchen.db3')
    check(read(path)[0])


@STORAGES
@pytest.mark.parametrize('mode', ['FILE', 'MESSAGE'])
def test_zstd_without_metadata(tmp_path, storage, mode):
    plain = write(tmp_path / 'plain', storage)
    writer = rosbag2.Writer(tmp_path / 'bag', version=8,
                            storage_plugin=rosbag2.StoragePlugin[storage.upper()])
    writer.set_compression(rosbag2.CompressionMode[mode], rosbag2.CompressionFormat.ZSTD)
    with Recording(plain) as recording, writer:
        topics = {name: writer.add_connection(
            name, topic.msgtype, typestore=recording.store(topic.msgtype))
            for name, topic in recording.topics.items()}
        for record in recording.records():
            writer.write(topics[record.topic.name], record.stamp_ns, record.data)
    check(read(tmp_path / 'bag')[0])
    (tmp_path / 'bag' / 'metadata.yaml').unlink()
    file = next((tmp_path / 'bag').iterdir())
    for source in (tmp_path / 'bag', file):
        check(read(source)[0])
    assert file.name.endswith('.zstd') is (mode == 'FILE')


def test_a_compressed_file_that_breaks_off(tmp_path):
    from rosbags.rosbag2.reader import zstd
    path = tmp_path / 'bag'
    with Writer(path) as writer:
        writer.add('/cam/image', IMAGE)
        for stamp in STAMPS:
            noise = RNG.integers(0, 256, (200, 300, 3), np.uint8)
            writer.write('/cam/image', stamp,
                         writer.image(writer.header(stamp, ''), noise, 'rgb8'))
    plain = next(file for file in path.iterdir() if file.suffix != '.yaml')
    data = zstd.compress(plain.read_bytes())
    file = tmp_path / f'{plain.name}.zstd'
    file.write_bytes(data)
    assert len(read(file)[0]) == COUNT
    file.write_bytes(data[:len(data) * 2 // 3])
    frames, reason, *_ = read(file)
    assert 5 <= len(frames) <= 8
    assert reason.startswith(f'{file}: breaks off at byte {len(data) * 2 // 3}: its recorder')


def test_a_pointer_of_git_lfs(tmp_path):
    path = tmp_path / 'run.mcap'
    path.write_text('version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n')
    with pytest.raises(RecordingError, match='run.mcap: is a pointer of Git LFS'):
        Recording(path)


# --- damaged messages, parts --------------------------------------------------------------------

@STORAGES
@pytest.mark.parametrize('damaged', [(0,), (5,), (11,), (0, 1, 6)])
@pytest.mark.parametrize('data', [b'\0\1\0\0', b'', b'\0\1\0\0' + bytes(20), bytes(60)])
def test_damaged_messages_are_left_out_wherever_they_stand(tmp_path, storage, damaged, data):
    path = write(tmp_path / 'bag', storage, damaged=damaged, data=data)
    frames, reason, said, _ = read(path)
    check(frames, [index for index in range(COUNT) if index not in damaged])
    assert reason == '' and len(said) == len(damaged)
    assert all(text.startswith('/cam/image at ') for text in said)


def test_damaged_calibrations_are_left_out_and_counted(tmp_path):
    path = write(tmp_path / 'bag')
    execute(path, "UPDATE messages SET data = x'00010000' WHERE topic_id = "
                  "(SELECT id FROM topics WHERE name = '/cam/camera_info') "
                  f'AND timestamp IN ({STAMPS[0]}, {STAMPS[7]})')
    frames, reason, said, _ = read(path)
    check(frames)
    assert reason == '' and len(said) == 1
    assert said[0].startswith('2 messages of camera_info were left out, the first: ')


@STORAGES
def test_a_part_of_a_recording(tmp_path, storage):
    path = write(tmp_path / 'bag', storage)
    check(read(path, span=Span(0.3, 0.4))[0], range(3, 7))
    check(read(path, span=Span(0.95))[0], range(10, 12))
    check(read(path, span=Span(duration_s=0.15))[0], range(2))
    # A calibration that came once, before the part, still counts.
    if storage == 'sqlite3':
        execute(path, 'DELETE FROM messages WHERE timestamp > '
                      f"{START} AND topic_id = (SELECT id FROM topics WHERE name LIKE '%info')")
        check(read(path, span=Span(0.3, 0.4))[0], range(3, 7))
    with pytest.raises(RecordingError, match='a start 2 s after the first message is after its '
                       'end, 1.1 s'):
        Recording(path, Span(2))
    with pytest.raises(ValueError, match='duration 0 s'):
        Span(duration_s=0)


def test_a_folder_of_something_else_holds_no_recording(tmp_path):
    (tmp_path / 'metadata.yaml').write_text('licence: CC0\n')
    with pytest.raises(RecordingError, match=r'holds no storage file \(.mcap .db3 .bag\)$'):
        Recording(tmp_path)
