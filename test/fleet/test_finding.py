# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Folders, globs, manifests and URLs become the addresses of recordings."""

from jrn_perception.fleet.finding import find, group, names, Shard
import pytest

FILES = ('a/metadata.yaml', 'a/a_0.mcap', 'a/a_1.mcap', 'deep/b/metadata.yaml', 'deep/b/b.db3',
         'loose/one.mcap', 'loose/two.mcap', 'loose/notes.txt', 'split/rec_0.mcap',
         'split/rec_1.mcap', 'single/rec_0.db3', 'old/ros1.bag', 'zstd/metadata.yaml',
         'zstd/z_0.db3.zstd', 'other/metadata.yaml', 'other/readme.md')
FOUND = ['a', 'deep/b', 'loose/one.mcap', 'loose/two.mcap', 'old/ros1.bag', 'single/rec_0.db3',
         'split', 'zstd']


@pytest.fixture
def root(tmp_path):
    for name in FILES:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


@pytest.fixture
def memory():
    """Return the same tree in a file system that is not local."""
    fsspec = pytest.importorskip('fsspec', reason="needs fsspec: pip install '.[fleet]'")
    system = fsspec.filesystem('memory')
    for name in FILES:
        system.pipe_file(f'/fleet/{name}', b'')
    yield 'memory://fleet'
    system.rm('/fleet', recursive=True)


def test_a_folder_has_the_recordings_below_it(root):
    assert find([str(root)]) == [f'{root}/{name}' for name in FOUND]


def test_a_url_has_the_same_recordings(memory):
    assert find([memory]) == [f'memory:///fleet/{name}' for name in FOUND]
    assert find([f'{memory}/loose/*.mcap']) == [
        f'memory:///fleet/loose/{name}.mcap' for name in ('one', 'two')]
    with pytest.raises(FileNotFoundError, match='memory://fleet/nothing: no such file or folder'):
        find([f'{memory}/nothing'])


@pytest.mark.parametrize('source, found', [
    ('a', ['a']), ('loose/one.mcap', ['loose/one.mcap']), ('*/*.mcap', [
        'a', 'loose/one.mcap', 'loose/two.mcap', 'split']),
    ('**/*.db3', ['deep/b/b.db3', 'single/rec_0.db3']), ('lo*', [
        'loose/one.mcap', 'loose/two.mcap']),
    # A file that is named is taken alone, though it is one of several.
    ('split/rec_1.mcap', ['split/rec_1.mcap'])])
def test_globs_and_single_recordings(root, source, found):
    assert find([f'{root}/{source}']) == [f'{root}/{name}' for name in found]


def test_each_recording_once_in_the_order_of_the_sources(root):
    assert find([f'{root}/split', f'{root}/a', f'{root}/*']) == [
        f'{root}/{name}' for name in ('split', 'a', *[
            name for name in FOUND if name not in ('split', 'a')])]


def test_a_manifest_is_relative_to_itself_and_keeps_missing_recordings(root):
    manifest = root / 'fleet.txt'
    manifest.write_bytes('\ufeff# robots\r\nloose/*.mcap\r\n\r\nmissing/bag\r\n a \r\n'.encode())
    assert find([str(manifest)]) == [f'{root}/{name}' for name in (
        'loose/one.mcap', 'loose/two.mcap', 'missing/bag', 'a')]


@pytest.mark.parametrize('name, content, text', [
    ('none', None, 'none: no such file or folder'), ('other', None, 'other: no recordings'),
    ('no*', None, r'no\*: no such file or folder'), ('m.txt', b'# nothing', 'names no recordings'),
    ('m.txt', b'\xff\xfea', 'm.txt: is not UTF-8 text')])
def test_sources_without_recordings_are_named(root, name, content, text):
    if content is not None:
        (root / name).write_bytes(content)
    with pytest.raises((FileNotFoundError, ValueError), match=text):
        find([f'{root}/{name}'])


def test_files_with_numbers_are_one_recording_only_if_they_have_one_name():
    assert group(['/f/x_0.mcap', '/f/y_1.mcap']) == ['/f/x_0.mcap', '/f/y_1.mcap']
    assert group(['/f/x_0.mcap', '/f/x_1.mcap']) == ['/f']


@pytest.mark.parametrize('addresses, expected', [
    (['/data/r1/bag', '/data/r2/bag'], ['r1/bag', 'r2/bag']),
    (['/data/r1/bag'], ['bag']), (['s3://b/x', 's3://b/x/y'], ['x', 'x/y']),
    (['/a/x', 's3://a/x'], ['/a/x', 's3://a/x'])])
def test_names_are_short_and_unique(addresses, expected):
    assert names(addresses) == expected


def test_shards_divide_a_fleet():
    addresses = list('abcdefg')
    shards = [Shard.parse(f'{index}/3').of(addresses) for index in range(3)]
    assert shards == [['a', 'd', 'g'], ['b', 'e'], ['c', 'f']]
    for text in ('3/3', '-1/3', '1', 'a/b', '0/0'):
        with pytest.raises(ValueError, match='expected I/N'):
            Shard.parse(text)
