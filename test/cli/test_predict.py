# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""``jrn_predict`` on real files, with the random weights that are the same everywhere."""

from dataclasses import replace
import os
import subprocess
import sys

import cv2
from depth_limits import limit_depth
from jrn_perception import drawing, weights
from jrn_perception.cli import predict
from jrn_perception.perception import Perception
from jrn_perception.recordings.reader import Recording
from jrn_perception.sources import sample
import numpy as np
import pytest

RANDOM = ['--weights', 'random', '--device', 'cpu', '--architecture', 'hydranet']


def picture(seed, height=48, width=64):
    rng = np.random.default_rng(seed)
    return cv2.GaussianBlur(rng.integers(0, 256, (height, width, 3), np.uint8), (0, 0), 3)


def save(path, rgb):
    assert cv2.imwrite(str(path), rgb[..., ::-1])
    return path


def load(path):
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def video(path, count, sizes=((48, 64),)):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), 5, sizes[0][::-1])
    for index in range(count):
        writer.write(picture(index))
    writer.release()
    return path


def read_film(path):
    film, sheets = cv2.VideoCapture(str(path)), []
    while (read := film.read())[0]:
        sheets.append(read[1])
    return sheets


@pytest.fixture(scope='module')
def perception():
    return Perception.load('hydranet', weights_file='random', device='cpu')


def run(capsys, *arguments):
    code = predict.main([str(argument) for argument in arguments] + RANDOM)
    return code, capsys.readouterr()


def test_a_folder_of_pictures(tmp_path, capsys, perception):
    folder = tmp_path / 'in'
    folder.mkdir()
    rgbs = {name: picture(seed) for seed, name in enumerate(('a.png', 'b.png', 'b.ppm'))}
    for name, rgb in rgbs.items():
        save(folder / name, rgb)
    (folder / 'c.png').write_bytes(b'damaged')
    out = tmp_path / 'deep' / 'out'
    code, printed = run(capsys, folder, '--output', out, '--raw')
    assert code == 0
    assert printed.out == f'3 pictures -> {out}, 1 damaged ones left out\n'
    assert printed.err.startswith(f'left out: {folder}/c.png: no picture that OpenCV can decode')
    names = {'a.png': 'a', 'b.png': 'b_png', 'b.ppm': 'b_ppm'}
    assert {path.name for path in out.iterdir()} == {
        f'{name}_{kind}.png' for name in names.values()
        for kind in ('prediction', 'depth', 'labels')}
    for file, name in names.items():
        prediction = perception(rgbs[file])
        sheet = drawing.panel(rgbs[file], prediction)
        np.testing.assert_array_equal(load(out / f'{name}_prediction.png')[..., ::-1], sheet)
        depth = load(out / f'{name}_depth.png')
        assert depth.dtype == np.uint16
        assert np.abs(depth / 1000 - prediction.depth).max() <= 0.00051
        np.testing.assert_array_equal(load(out / f'{name}_labels.png'), prediction.labels)


def test_one_picture_to_one_file(tmp_path, capsys):
    path = save(tmp_path / 'a.png', picture(0))
    before = path.read_bytes()
    code, printed = run(capsys, path, '--output', tmp_path / 'sheet.png')
    assert (code, printed.out) == (0, f'1 pictures -> {tmp_path}/sheet.png\n')
    assert {file.name for file in tmp_path.iterdir()} == {'a.png', 'sheet.png'}
    # Into its own folder: a new name, and the picture stays what it was.
    assert run(capsys, path, '--output', tmp_path)[0] == 0
    assert (tmp_path / 'a_prediction.png').is_file()
    assert path.read_bytes() == before


@pytest.mark.parametrize('output, expected', [
    ('out', 'out/film_prediction.mp4'), ('out/sheets.mp4', 'out/sheets.mp4'),
    ('sheets.avi', 'sheets.avi')])
def test_a_video(tmp_path, capsys, output, expected):
    path = video(tmp_path / 'film.avi', 4)
    code, printed = run(capsys, path, '--output', tmp_path / output, '--count', 3, '--raw')
    assert (code, printed.out) == (0, f'3 pictures -> {tmp_path / expected}\n')
    film = cv2.VideoCapture(str(tmp_path / expected))
    assert film.get(cv2.CAP_PROP_FPS) == 5
    frames = []
    while (read := film.read())[0]:
        frames.append(read[1])
    assert len(frames) == 3
    assert frames[0].shape == drawing.panel(
        picture(0), Perception.load('hydranet', weights_file='random')(picture(0))).shape
    raw = sorted(file.name for file in (tmp_path / expected).parent.glob('*.png'))
    assert raw == [f'film-00000{i}_{kind}.png' for i in range(3) for kind in ('depth', 'labels')]


def test_scenes_and_the_jrn_with_a_muted_input(tmp_path, capsys):
    arguments = ['scenes:2', '--output', str(tmp_path), '--count', '1', '--weights', 'random',
                 '--device', 'cpu', '--variant', 'cat5', '--raw']
    depths = []
    for mute in ('none', 'semantics'):
        assert predict.main([*arguments, '--mute', mute]) == 0
        assert (tmp_path / 'scenes-2_prediction.mp4').stat().st_size
        depths.append(load(tmp_path / 'scenes-2-000000_depth.png'))
    assert (depths[0] != depths[1]).any()


def test_depth_of_a_recording_is_that_of_its_camera(tmp_path):
    pytest.importorskip('rosbags')
    sample.write_sample(tmp_path / 'bag', 2, size=(48, 64))
    loaded = weights.load('hydranet', weights='random')
    # Much of the depth is outside of this range, on both sides.
    card = replace(loaded.card, input_size=(64, 96), focal_length=(35., 35.),
                   depth_range=(1., 1.5))
    file = tmp_path / 'mine.safetensors'
    weights.save(loaded.network, card, file)
    assert predict.main([str(tmp_path / 'bag'), '--output', str(tmp_path), '--raw', '--device',
                         'cpu', '--architecture', 'hydranet', '--weights', str(file),
                         '--backend', 'torch']) == 0
    perception = Perception.load('hydranet', weights_file=str(file), device='cpu',
                                 backend='torch')
    with Recording(tmp_path / 'bag') as recording:
        for index, frame in enumerate(recording.frames()):
            (x, _, _), (_, y, _), _ = frame.camera_matrix
            prediction = perception(frame.rgb, focal_length=(x, y))
            low, high = np.multiply(prediction.depth_scale, perception.card.depth_range)
            assert 2 < low < high < prediction.depth.max() and prediction.depth.min() < low
            expected = np.nan_to_num(limit_depth(prediction.depth, low, high))
            depth = load(tmp_path / f'bag-{index:06d}_depth.png')
            np.testing.assert_array_equal(depth > 0, expected > 0)
            assert np.abs(depth / 1000 - expected).max() <= 0.00051
    assert index == 1


def test_a_depth_camera_that_pictures_do_not_have_is_refused(tmp_path, capsys):
    path = save(tmp_path / 'a.png', picture(0))
    assert predict.main([str(path), '--output', str(tmp_path), '--weights', 'random', '--variant',
                         'cat1', '--device', 'cpu', '--depth-source', 'sensor']) == 1
    assert "depth_source 'sensor' reads a depth camera, which these pictures do not have" in (
        capsys.readouterr().err)


def test_ctrl_c_keeps_what_is_done(tmp_path, capsys, monkeypatch):
    path = video(tmp_path / 'film.avi', 10)
    calls = []

    def raw(*_):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(predict, 'write_raw', raw)
    code, printed = run(capsys, path, '--output', tmp_path / 'out.mp4', '--raw')
    assert code == 130
    assert printed.out == f'3 pictures -> {tmp_path}/out.mp4, interrupted\n'
    film = cv2.VideoCapture(str(tmp_path / 'out.mp4'))
    assert film.get(cv2.CAP_PROP_FRAME_COUNT) == 4
    calls.clear()
    code, _ = run(capsys, 'scenes', '--output', tmp_path / 'out.mp4', '--raw')
    assert code == 0


def test_a_terminal_gets_a_progress_bar(tmp_path):
    pytest.importorskip('rich')
    pty = pytest.importorskip('pty')
    path = video(tmp_path / 'film.avi', 3)
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, '-m', 'jrn_perception.cli.predict', str(path), '--output', str(tmp_path),
         *RANDOM], stderr=theirs, stdout=subprocess.PIPE,
        env={**os.environ, 'TERM': 'xterm', 'COLUMNS': '100'})
    os.close(theirs)
    text = b''
    while True:
        try:
            chunk = os.read(ours, 4096)
        except OSError:  # The other side is closed.
            break
        if not chunk:
            break
        text += chunk
    os.close(ours)
    output, _ = child.communicate()
    assert child.returncode == 0
    assert b'3/3' in text
    assert output.decode() == f'3 pictures -> {tmp_path}/film_prediction.mp4\n'


@pytest.mark.parametrize('arguments, reason', [
    (['nothing'], 'nothing: no such file or folder'),
    (['a.png', '--weights', 'nothing.safetensors'], 'nothing.safetensors: no such weights file'),
    (['a.png', '--variant', 'nyu41'], "unknown variant 'nyu41' of hydranet"),
    (['a.png', '--mute', 'depth'], "mute 'depth': hydranet has no such input"),
    (['a.png', '--device', 'cuda:77'], "device 'cuda:77' is not there"),
    (['a.png', '--device', 'abacus'], "device 'abacus': choose from"),
    (['a.png', '--precision', 'fp16'], "precision 'fp16' needs a CUDA device"),
    (['a.png', '--count', '0'], '--count: at least 1'),
    (['a.png', '--output', 'sheet.mp4'], 'pictures go to a folder or to a .png file'),
    (['a.png', '--output', 'film.avi'], 'pictures go to a folder or to a .png file'),
    (['.', '--output', 'sheet.png'], 'one file for 2 pictures; name a folder'),
    (['film.avi', '--output', 'sheet.png'], 'a video goes to a folder or to a .mp4 or .avi file'),
    (['film.avi', '--output', 'film.avi'], 'film.avi: is the source itself'),
    (['bad.png'], 'bad.png: nothing in it could be read'),
    (['.', '--strict'], 'bad.png: no picture that OpenCV can decode, 0 bytes'),
])
def test_refusals(tmp_path, capsys, monkeypatch, arguments, reason):
    monkeypatch.chdir(tmp_path)
    save(tmp_path / 'a.png', picture(0))
    (tmp_path / 'bad.png').write_bytes(b'')
    film = video(tmp_path / 'film.avi', 2).read_bytes()
    defaults = ['--weights', 'random', '--device', 'cpu', '--architecture', 'hydranet']
    assert predict.main([arguments[0], *defaults, *arguments[1:]]) == 1
    lines = [line for line in capsys.readouterr().err.splitlines()
             if not line.startswith('left out: ')]
    assert len(lines) == 1
    assert lines[0].startswith('jrn_predict: ')
    assert reason in lines[0]
    assert (tmp_path / 'film.avi').read_bytes() == film


def test_a_film_has_one_size(tmp_path, perception):
    source = type('Source', (), {'name': 'bag', 'rate': None})
    film = predict.Film(tmp_path, source)
    frames = [predict.Frame(picture(0)), predict.Frame(picture(0, 30, 64), 'second')]
    for frame in frames:
        film.write(frame, perception(frame.rgb))
    film.close()
    first, second = (sheet.astype(int) for sheet in read_film(film.target))
    assert first.shape == second.shape == drawing.panel(
        frames[0].rgb, perception(frames[0].rgb)).shape
    # The second sheet is lower, so that bars are above and below.
    assert second[0].max() < 16 and second[-1].max() < 16
    assert second[second.shape[0] // 2].max() > 99
