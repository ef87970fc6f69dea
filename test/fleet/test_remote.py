# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Digests, copies and results, local and in another file system."""

import os
import shutil

from jrn_perception.fleet import remote
from jrn_perception.fleet.remote import digest, file_system, local_copy, Store
import pytest


@pytest.fixture
def bag(tmp_path):
    folder = tmp_path / 'bag'
    folder.mkdir()
    (folder / 'metadata.yaml').write_text('x')
    (folder / 'bag_0.mcap').write_bytes(bytes(range(256)) * 10)
    return folder


@pytest.fixture
def memory():
    fsspec = pytest.importorskip('fsspec', reason="needs fsspec: pip install '.[fleet]'")
    system = fsspec.filesystem('memory')
    yield system
    system.rm('/store', recursive=True)


def test_a_digest_is_of_the_content_not_of_place_or_time(bag, tmp_path, monkeypatch):
    before = digest(str(bag))
    copy = shutil.copytree(bag, tmp_path / 'other' / 'name')
    os.utime(copy / 'metadata.yaml', (0, 0))
    monkeypatch.setattr(remote, 'BLOCK', 7)
    assert digest(str(copy)) == before
    content = bytearray((copy / 'bag_0.mcap').read_bytes())
    content[-1] ^= 1
    (copy / 'bag_0.mcap').write_bytes(content)
    assert digest(str(copy)) != before
    (bag / 'bag_0.mcap').rename(bag / 'bag_1.mcap')
    assert digest(str(bag)) != before
    with pytest.raises(FileNotFoundError, match='nowhere: no such file or folder'):
        digest(str(tmp_path / 'nowhere'))


def test_a_remote_recording_is_copied_and_the_copy_deleted(bag, memory):
    memory.put(str(bag), '/store/bag', recursive=True)
    before = digest('memory:///store/bag')
    with local_copy('memory:///store/bag') as path:
        assert path.name == 'bag'
        assert {file.name: file.read_bytes() for file in path.iterdir()} == {
            file.name: file.read_bytes() for file in bag.iterdir()}
    assert not path.exists()
    with local_copy('memory:///store/bag/bag_0.mcap') as path:
        assert path.read_bytes() == (bag / 'bag_0.mcap').read_bytes()
    with pytest.raises(ValueError, match='^memory:///store/bag: damaged$'):
        with local_copy('memory:///store/bag') as path:
            raise OSError(f'{path}: damaged')
    assert digest('memory:///store/bag') == before
    memory.pipe_file('/store/bag/metadata.yaml', b'y')
    assert digest('memory:///store/bag') != before
    with local_copy(str(bag)) as path:
        assert path == bag  # A local one is not copied.


@pytest.mark.parametrize('kind', ['local', 'remote'])
def test_a_result_is_absent_or_whole(kind, tmp_path, request):
    address = str(tmp_path / 'out')
    if kind == 'remote':
        request.getfixturevalue('memory').pipe_file('/store/x', b'')
        address = 'memory:///store/out/'
    store = Store(address)
    assert store.read('recordings/a.json') is None and not store.exists('recordings/a.json')
    store.write('recordings/a.json', b'1')
    store.write('recordings/a.json', b'22')
    assert store.read('recordings/a.json') == b'22' and store.exists('recordings/a.json')
    assert Store(address).read('recordings/a.json') == b'22'
    if kind == 'local':
        folder = tmp_path / 'out' / 'recordings'
        assert [file.name for file in folder.iterdir()] == ['a.json']
        (tmp_path / 'plain').touch()
        assert (folder / 'a.json').stat().st_mode == (tmp_path / 'plain').stat().st_mode


def test_a_write_that_fails_leaves_nothing(tmp_path, monkeypatch):
    store = Store(str(tmp_path))
    monkeypatch.setattr(os, 'replace', lambda *names: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        store.write('a', b'1')
    assert not list(tmp_path.iterdir())


def test_what_is_missing_is_named():
    pytest.importorskip('fsspec', reason="needs fsspec: pip install '.[fleet]'")
    with pytest.raises(ValueError, match='nothing'):
        file_system('nothing://x')
