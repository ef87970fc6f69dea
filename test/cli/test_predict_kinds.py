# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""``jrn_predict`` on sources as people have them."""

from dataclasses import replace

import cv2
from jrn_perception import weights
from jrn_perception.cli import predict
from jrn_perception.recordings.reader import CAMERA_INFO, IMAGE
from jrn_perception.recordings.writer import Writer
import numpy as np
import pytest

pytest.importorskip('rosbags')

START = 1_700_000_000_000_000_000
MATRIX = np.array(((60.0, 0, 32), (0, 60, 24), (0, 0, 1)))
RGB = cv2.GaussianBlur(np.random.default_rng(3).integers(0, 256, (48, 64, 3), np.uint8),
                       (0, 0), 3)


@pytest.fixture(scope='module')
def network(tmp_path_factory):
    """Return a small network that knows the focal length of its training camera."""
    loaded = weights.load('hydranet', weights='random')
    card = replace(loaded.card, input_size=(32, 32), focal_length=(35., 35.),
                   depth_range=(0.001, 1000.))
    file = tmp_path_factory.mktemp('network') / 'mine.safetensors'
    weights.save(loaded.network, card, file)
    return file


def record(path, stamps, sizes=((48, 64),), change=lambda info: None, infos=True):
    with Writer(path) as writer:
        writer.add('/cam/image', IMAGE)
        if infos:
            writer.add('/cam/camera_info', CAMERA_INFO)
        for index, stamp in enumerate(stamps):
            header = writer.header(stamp, 'optical')
            if infos:
                info = writer.camera_info(header, (48, 64), MATRIX)
                change(info)
                writer.write('/cam/camera_info', stamp, info)
            height, width = sizes[index % len(sizes)]
            rgb = cv2.resize(RGB, (width, height))
            writer.write('/cam/image', stamp, writer.image(header, rgb, 'rgb8'))
    return path


def run(capsys, network, *arguments):
    code = predict.main([*map(str, arguments), '--weights', str(network), '--device', 'cpu',
                         '--architecture', 'hydranet'])
    return code, capsys.readouterr()


def read_film(path):
    film, sheets = cv2.VideoCapture(str(path)), []
    while (read := film.read())[0]:
        sheets.append(read[1])
    return film.get(cv2.CAP_PROP_FPS), sheets


def depth(folder, name):
    return cv2.imread(str(folder / f'{name}_depth.png'), cv2.IMREAD_UNCHANGED).astype(float)


# --- rates that a film cannot have --------------------------------------------------------------

@pytest.mark.parametrize('rate, held', [
    (66.701, 66.7), (14992207e-9 ** -1, 66.7), (1000.14, 1000.1), (29.97, 29.97), (1e9, 65535),
    (7e-5, 0.01), (59.94005994, 59.94), (10, 10)])
def test_the_rate_of_a_film(rate, held):
    assert predict.film_rate(rate, '.mp4') == pytest.approx(held, abs=1e-9)
    assert predict.film_rate(rate, '.avi') == pytest.approx(min(held, 600), abs=1e-9)


@pytest.mark.parametrize('suffix', ['.mp4', '.avi'])
@pytest.mark.parametrize('stamps, rate', [
    ([index * 14_992_207 for index in range(4)], 66.7),
    ([round(index * 1e9 / 1000.14) for index in range(4)], 1000.1),
    # Bursts of ten, one each second: the mean rate.
    ([second * 10**9 + index for second in range(3) for index in range(10)], 19),
    ([0, 0, 0, 0], 10)])
def test_every_picture_is_in_the_film_and_nothing_is_lost(tmp_path, capsys, network, suffix,
                                                          stamps, rate):
    path = record(tmp_path / 'bag', [START + stamp for stamp in stamps])
    out = tmp_path / f'film{suffix}'
    code, printed = run(capsys, network, path, '--output', out, '--raw')
    assert (code, printed.out) == (0, f'{len(stamps)} pictures -> {out}\n')
    found, sheets = read_film(out)
    if suffix == '.avi':
        rate = min(rate, 600)
    assert found == pytest.approx(rate, rel=0.06) and len(sheets) == len(stamps)
    assert len(list(tmp_path.glob('bag-*_depth.png'))) == len(stamps)


def test_raw_results_outlive_a_film_that_fails(tmp_path, capsys, network, monkeypatch):
    path = record(tmp_path / 'bag', [START, START + 10**8])

    def fail(self, *_):
        raise ValueError('the disk is full')

    monkeypatch.setattr(predict.Film, 'write', fail)
    code, printed = run(capsys, network, path, '--output', tmp_path / 'out', '--raw')
    assert code == 1 and 'the disk is full' in printed.err
    assert depth(tmp_path / 'out', 'bag-000000').any()


def test_an_output_that_cannot_be_written_is_said_before_the_network_runs(
        tmp_path, capsys, network, monkeypatch):
    monkeypatch.setattr(predict.program, 'load', None)
    path = record(tmp_path / 'bag', [START])
    (tmp_path / 'file').write_text('')
    code, printed = run(capsys, network, path, '--output', tmp_path / 'file' / 'out')
    assert code == 1 and 'file' in printed.err


def test_a_telephone_varies_its_rate(tmp_path, monkeypatch):
    # OpenCV writes no such video: the times are those that it would read.
    from jrn_perception.sources.opening import open_source
    path = tmp_path / 'film.avi'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), 10, (64, 48))
    for _ in range(4):
        writer.write(RGB)
    writer.release()
    places, real = iter([12.0, 45.0, 145.5, 145.5]), cv2.VideoCapture

    class Capture:

        def __init__(self, path):
            self._capture = real(path)

        def get(self, key):
            return next(places) if key == cv2.CAP_PROP_POS_MSEC else self._capture.get(key)

        def __getattr__(self, name):
            return getattr(self._capture, name)

    monkeypatch.setattr(cv2, 'VideoCapture', Capture)
    assert [frame.stamp_ns for frame in open_source(str(path))] == [
        0, 33_000_000, 133_500_000, 233_500_000]


# --- calibrations -------------------------------------------------------------------------------

def binned(info):
    info.height, info.width, info.binning_x, info.binning_y = 96, 128, 2, 2
    info.k = info.k * 2


def region(info):
    info.height, info.width = 480, 640
    info.roi.height, info.roi.width, info.roi.x_offset, info.roi.y_offset = 48, 64, 100, 40


def no_number(info):
    info.k[0] = np.nan


def other_size(info):
    info.height = 480


@pytest.mark.parametrize('change', [binned, region, lambda info: None])
def test_every_way_to_write_a_camera_gives_the_same_depth(tmp_path, capsys, network, change):
    path = record(tmp_path / 'bag', [START], change=change)
    code, printed = run(capsys, network, path, '--output', tmp_path, '--raw')
    assert code == 0 and printed.err == ''
    plain = record(tmp_path / 'plain', [START], infos=False)
    assert run(capsys, network, plain, '--output', tmp_path, '--raw', '--focal-length', '60'
               )[1].err == ''
    np.testing.assert_array_equal(depth(tmp_path, 'bag-000000'), depth(tmp_path, 'plain-000000'))
    assert run(capsys, network, plain, '--output', tmp_path / 'as-trained', '--raw')[0] == 0
    # 32/64 of the width is the network's: 30 pixels, where the training camera had 35.
    ratio = depth(tmp_path, 'bag-000000') / depth(tmp_path / 'as-trained', 'plain-000000')
    assert np.median(ratio) == pytest.approx(30 / 35, rel=0.35)
    assert (depth(tmp_path, 'bag-000000') != depth(tmp_path / 'as-trained', 'plain-000000')).any()


@pytest.mark.parametrize('change, infos, reason', [
    (no_number, True, '/cam/camera_info: camera_info has no focal length (K is 0): the camera is '
                      'not calibrated'),
    (other_size, True, '/cam/camera_info: camera_info is for 64x480, the image is 64x48'),
    (None, False, 'no camera_info beside /cam/image')])
def test_a_camera_that_is_not_known_is_said_once(tmp_path, capsys, network, change, infos,
                                                 reason):
    path = record(tmp_path / 'bag', [START, START + 10**8], change=change, infos=infos)
    code, printed = run(capsys, network, path, '--output', tmp_path, '--raw')
    assert code == 0 and depth(tmp_path, 'bag-000000').any()
    assert printed.err == f'no focal length: {reason}\n'


def test_sizes_change_in_mid_stream(tmp_path, capsys, network):
    stamps = [START + index * 10**8 for index in range(4)]
    path = record(tmp_path / 'bag', stamps, [(48, 64), (24, 64), (48, 64), (72, 40)])
    code, printed = run(capsys, network, path, '--output', tmp_path, '--raw')
    assert (code, printed.out) == (0, f'4 pictures -> {tmp_path}/bag_prediction.mp4\n')
    assert len(read_film(tmp_path / 'bag_prediction.mp4')[1]) == 4
    assert [depth(tmp_path, f'bag-{index:06d}').shape for index in range(4)] == [
        (48, 64), (24, 64), (48, 64), (72, 40)]


def test_an_incomplete_recording_is_read_up_to_the_damage(tmp_path, capsys, network):
    path = record(tmp_path / 'bag', [START + index * 10**8 for index in range(4)])
    (path / 'metadata.yaml').unlink()
    (path / 'bag.mcap').rename(path / 'bag_0.mcap')
    (path / 'bag_1.mcap').touch()
    code, printed = run(capsys, network, path, '--output', tmp_path)
    assert code == 0
    assert printed.out == (f'4 pictures -> {tmp_path}/bag_prediction.mp4, 1 damaged ones left '
                           'out\n')
    assert printed.err == (f'left out: {path}/bag_1.mcap: damaged or no rosbag2 recording: it is '
                           'empty; 8 messages were read before\n')
    code, printed = run(capsys, network, path, '--output', tmp_path, '--strict')
    assert code == 1 and 'it is empty; 8 messages were read before' in printed.err


# --- parts and focal lengths --------------------------------------------------------------------

def test_a_part_of_a_recording(tmp_path, capsys, network):
    path = record(tmp_path / 'bag', [START + index * 10**8 for index in range(6)])
    code, printed = run(capsys, network, path, '--output', tmp_path, '--start', '0.2',
                        '--duration', '0.3')
    assert (code, printed.out) == (0, f'3 pictures -> {tmp_path}/bag_prediction.mp4\n')
    picture = tmp_path / 'a.png'
    cv2.imwrite(str(picture), RGB)
    code, printed = run(capsys, network, picture, '--start', '1')
    assert code == 1 and 'only a recording can be read from a start' in printed.err
    code, printed = run(capsys, network, path, '--start', '9')
    assert code == 1 and 'is after its end, 0.5 s' in printed.err


def test_the_focal_length_of_a_picture(tmp_path, capsys, network):
    cv2.imwrite(str(tmp_path / 'a.png'), RGB)
    folder = {name: tmp_path / name for name in ('none', 'short', 'long')}
    for name, options in (('none', ()), ('short', ('--focal-length', '60')),
                          ('long', ('--focal-length', '120,120'))):
        assert run(capsys, network, tmp_path / 'a.png', '--output', folder[name], '--raw',
                   *options)[0] == 0
    short, long = (depth(folder[name], 'a') for name in ('short', 'long'))
    # Whole millimetres.
    np.testing.assert_allclose(long, 2 * short, atol=1.01)
    for text in ('0', 'x', '1,2,3', '-5', 'nan'):
        with pytest.raises(SystemExit):
            predict.main([str(tmp_path / 'a.png'), f'--focal-length={text}'])
        assert 'is no focal length in pixels' in capsys.readouterr().err
