# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""What all commands share: exit codes, error lines, ROS's part of a command line, progress."""

import argparse
import os
from pathlib import Path
import re
import subprocess
import sys

from jrn_perception.cli import program
import pytest


@pytest.mark.parametrize('argv, own, ros', [
    ('', '', ''),
    ('bag --speed 2', 'bag --speed 2', ''),
    ('bag --ros-args -r image:=left', 'bag', '-r image:=left'),
    # As launch appends them to a command that has some of its own.
    ('bag --ros-args -p a:=1 --ros-args -p b:=2', 'bag', '-p a:=1 -p b:=2'),
    ('--ros-args -p a:=1 -- bag -- x --ros-args -r b:=c', 'bag -- x', '-p a:=1 -r b:=c'),
])
def test_our_arguments_and_those_of_ros(argv, own, ros):
    assert program.split_ros(argv.split()) == program.Arguments(own.split(), ros.split())


def throw(error):
    raise error


@pytest.mark.parametrize('work, code, line', [
    (lambda: None, 0, ''), (lambda: 3, 3, ''), (lambda: throw(KeyboardInterrupt()), 130, ''),
    (lambda: throw(ValueError('two\n  lines')), 1, 'jrn_x: two lines\n'),
    (lambda: throw(FileNotFoundError('no file')), 1, 'jrn_x: no file\n'),
    (lambda: throw(LookupError('ours')), 1, 'jrn_x: ours\n'),
    (lambda: throw(ModuleNotFoundError('No module', name='kornia')), 1,
     "jrn_x: kornia is missing: pip install '.[train]'\n")])
def test_errors_become_one_line_and_an_exit_code(work, code, line, capsys):
    assert program.run('jrn_x', work, "pip install '.[train]'", (LookupError,)) == code
    assert capsys.readouterr() == ('', line)


def test_an_import_error_that_says_what_to_install_is_kept(capsys):
    def work():
        try:
            raise ModuleNotFoundError('No module', name='h5py')
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError('pip install h5py') from error
    assert program.run('jrn_x', work, 'something else') == 1
    assert capsys.readouterr().err == 'jrn_x: pip install h5py\n'


def test_mistakes_of_the_programmer_keep_their_traceback():
    with pytest.raises(RuntimeError):
        program.run('jrn_x', lambda: throw(RuntimeError()))


def test_the_table_of_exit_codes_is_documented():
    rows = re.findall(r'^\| .+ \|$', program.__doc__, re.M)
    assert '\n'.join(rows) in (Path(__file__).parents[2] / 'docs' / 'commands.md').read_text()
    codes = [int(code) for code in re.findall(r'^\| (\d+) \|', program.__doc__, re.M)]
    assert codes == [program.DONE, program.FAILED, program.USAGE, program.PARTIAL, program.MISSED,
                     program.INTERRUPTED]


def test_progress_is_for_terminals(capfd):
    assert list(program.track([1, 2], title='counting')) == [1, 2]
    assert capfd.readouterr() == ('', '')


@pytest.mark.parametrize('items, total, shown', [
    ('range(3)', None, '3/3'), ('iter("ab")', 2, '2/2'), ('iter((1, 2))', None, '2/')])
def test_a_terminal_gets_a_progress_bar(items, total, shown):
    pytest.importorskip('rich')
    pty = pytest.importorskip('pty')
    ours, theirs = pty.openpty()
    code = ('from jrn_perception.cli.program import track\n'
            f'print(len(list(track({items}, {total}, "counting"))))')
    done = subprocess.run([sys.executable, '-c', code], stderr=theirs, stdout=subprocess.PIPE,
                          text=True, env=os.environ | {'TERM': 'xterm', 'COLUMNS': '100'})
    os.close(theirs)
    text = os.read(ours, 65536).decode()
    os.close(ours)
    assert done.returncode == 0 and done.stdout.strip() == shown[0]
    assert 'counting' in text and shown in text


def test_neither_torch_nor_ros_is_imported_by_what_all_share():
    code = 'import sys, jrn_perception.cli.program as p; sys.exit("torch" in sys.modules)'
    assert subprocess.run([sys.executable, '-c', code],
                          cwd=Path(__file__).parents[2]).returncode == 0


def test_a_place_where_nothing_can_be_written_is_known_early(tmp_path):
    assert program.new_file(str(tmp_path / 'a/b/c.json')) == tmp_path / 'a/b/c.json'
    # The try leaves nothing behind.
    assert list(tmp_path.iterdir()) == []
    (tmp_path / 'file').write_text('kept')
    assert program.new_file(str(tmp_path / 'file')).read_text() == 'kept'
    for place in ('file/c.json', 'file/a/b/c.json'):
        with pytest.raises(argparse.ArgumentTypeError, match=f'{place} cannot be written: '):
            program.new_file(str(tmp_path / place))
    if Path('/proc/self').is_dir():
        with pytest.raises(argparse.ArgumentTypeError, match='/proc/nothing/a.json cannot be'):
            program.new_file('/proc/nothing/a.json')
