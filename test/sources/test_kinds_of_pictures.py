# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Pictures as people have them: EXIF in every place, folders with more in them, streams."""

from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
import struct
import threading
import zlib

import cv2
from jrn_perception.frame import Frame
from jrn_perception.recordings.reader import Span
from jrn_perception.sources.exif import read_exif
from jrn_perception.sources.opening import open_source
from jrn_perception.sources.source import Focal
import numpy as np
import pytest

RGB = cv2.GaussianBlur(np.random.default_rng(1).integers(0, 256, (24, 32, 3), np.uint8),
                       (0, 0), 2)
# What OpenCV makes of each orientation in a JPEG.
TURNS = {1: lambda a: a, 2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud,
         5: lambda a: a.swapaxes(0, 1), 6: lambda a: np.rot90(a, -1),
         7: lambda a: np.rot90(a, 2).swapaxes(0, 1), 8: np.rot90}


def exif(orientation=1, focal_35mm=None, size=None, order='>'):
    """Return a TIFF with these tags."""
    inner = [(0xa405, 3, focal_35mm)] if focal_35mm else []
    inner += [(0xa002, 4, size[1]), (0xa003, 4, size[0])] if size else []

    def folder(tags, place):
        entries = b''.join(
            struct.pack(f'{order}HHI', tag, kind, 1)
            + struct.pack(order + ('H' if kind == 3 else 'I'), value).ljust(4, b'\0')
            for tag, kind, value in sorted(tags))
        return struct.pack(f'{order}H', len(tags)) + entries + bytes(4)

    outer = [(0x112, 3, orientation), (0x8769, 4, 8 + 2 + 24 + 4)]
    mark = b'MM' if order == '>' else b'II'
    return (mark + struct.pack(f'{order}HI', 42, 8) + folder(outer, 8) + folder(inner, 38))


def chunk(name, content):
    return (struct.pack('>I', len(content)) + name + content
            + struct.pack('>I', zlib.crc32(name + content)))


def profile(block):
    """Return EXIF as ImageMagick writes it into a text of a PNG."""
    digits = block.hex()
    lines = '\n'.join(digits[i:i + 72] for i in range(0, len(digits), 72))
    return f'\nexif\n{len(block):8}\n{lines}\n'.encode()


def encoded(suffix, parameters=()):
    return cv2.imencode(suffix, RGB[..., ::-1], parameters)[1].tobytes()


def with_exif(place, block):
    """Return the picture in a file format with EXIF at a place."""
    prefixed = b'Exif\0\0' + block
    if place == 'jpeg':
        data = encoded('.jpg', (cv2.IMWRITE_JPEG_QUALITY, 100))
        return (data[:2] + b'\xff\xe1' + struct.pack('>H', len(prefixed) + 2) + prefixed
                + data[2:])
    if place.startswith('webp'):
        data = encoded('.webp', (cv2.IMWRITE_WEBP_QUALITY, 101))
        content = prefixed if place == 'webp prefixed' else block
        content += b'\0' * (len(content) % 2)
        body = b'WEBP' + chunk_vp8x() + data[12:] + b'EXIF' + struct.pack(
            '<I', len(content)) + content
        return b'RIFF' + struct.pack('<I', len(body)) + body
    data, name = encoded('.png'), b'Raw profile type exif\0'
    if place == 'eXIf':
        inner = chunk(b'eXIf', block)
    elif place == 'tEXt':
        inner = chunk(b'tEXt', name + profile(prefixed))
    elif place == 'zTXt':
        inner = chunk(b'zTXt', b'Raw profile type APP1\0\0' + zlib.compress(profile(prefixed)))
    elif place == 'iTXt':
        inner = chunk(b'iTXt', name + b'\0\0\0\0' + profile(prefixed))
    else:
        inner = chunk(b'iTXt', name + b'\1\0en\0\0' + zlib.compress(profile(prefixed)))
    return data[:33] + inner + data[33:]


def chunk_vp8x():
    size = (RGB.shape[1] - 1).to_bytes(3, 'little') + (RGB.shape[0] - 1).to_bytes(3, 'little')
    return b'VP8X' + struct.pack('<I', 10) + b'\x08\0\0\0' + size


PLACES = ('jpeg', 'webp', 'webp prefixed', 'eXIf', 'tEXt', 'zTXt', 'iTXt', 'iTXt compressed')


@pytest.mark.parametrize('place', PLACES)
@pytest.mark.parametrize('order', '<>')
def test_pictures_are_turned_upright(tmp_path, place, order):
    suffix = {'jpeg': '.jpg', 'webp': '.webp', 'webp prefixed': '.webp'}.get(place, '.png')
    path = tmp_path / f'a{suffix}'
    path.write_bytes(with_exif(place, exif(order=order)))
    lying = next(iter(open_source(str(path)))).rgb
    assert np.abs(lying.astype(int) - RGB).max() < 12
    for orientation, turn in TURNS.items():
        path.write_bytes(with_exif(place, exif(orientation, order=order)))
        frame = next(iter(open_source(str(path))))
        np.testing.assert_array_equal(frame.rgb, turn(lying))
        assert frame.camera_matrix is None


@pytest.mark.parametrize('place', PLACES)
def test_the_focal_length_in_exif(tmp_path, place):
    path = tmp_path / ('a.png' if 'X' in place else f'a.{place.split()[0]}')
    path.write_bytes(with_exif(place, exif(6, 28, (24, 32))))
    matrix = next(iter(open_source(str(path)))).camera_matrix
    # 43.27 mm is the diagonal of the film, 40 pixels that of the picture; it stands upright.
    focal = 28 / np.hypot(36, 24) * 40
    np.testing.assert_allclose(matrix, ((focal, 0, 11.5), (0, focal, 15.5), (0, 0, 1)))
    # A picture that was cropped afterwards.
    path.write_bytes(with_exif(place, exif(1, 28, (3000, 3000))))
    assert next(iter(open_source(str(path)))).camera_matrix is None


@pytest.mark.parametrize('data', [
    b'', b'MM', b'MM\0*\0\0\0\x08', b'MM\0*\xff\xff\xff\xff', exif(9), b'\xff\xd8\xff\xe1',
    b'RIFF\0\0\0\0WEBPEXIF\xff\xff\xff\xff', b'\x89PNG\r\n\x1a\n' + chunk(b'eXIf', b'II'),
    b'\x89PNG\r\n\x1a\n' + chunk(b'zTXt', b'Raw profile type exif\0\0no zlib'),
    b'\x89PNG\r\n\x1a\n' + chunk(b'tEXt', b'Raw profile type exif\0\nexif\n3\nxyz')])
def test_damaged_exif_is_no_exif(data):
    assert read_exif(data) == read_exif(b'nothing')


# --- folders ------------------------------------------------------------------------------------

def test_a_folder_of_pictures_is_judged_by_its_content(tmp_path):
    for name in ('b.png', 'a.png'):
        (tmp_path / name).write_bytes(encoded('.png'))
    (tmp_path / 'metadata.yaml').write_text('licence: CC0\n')
    (tmp_path / 'stray.db3').write_bytes(b'')
    (tmp_path / 'c.HEIC').write_bytes(b'')
    (tmp_path / 'd.heic').write_bytes(b'')
    (tmp_path / 'README').write_text('')
    noted = []
    source = open_source(str(tmp_path), noted=noted.append)
    assert [frame.name for frame in source] == ['a.png', 'b.png']
    assert noted == [f'left out: {tmp_path}: 1 .db3, 2 .heic, 1 .yaml, 1 no suffix; pictures are '
                     '.bmp .jpeg .jpg .pgm .png .ppm .tif .tiff .webp']


def test_pictures_beside_the_metadata_of_a_recording_that_has_gone(tmp_path):
    (tmp_path / 'metadata.yaml').write_text('rosbag2_bagfile_information:\n  version: 5\n')
    with pytest.raises(ValueError, match='holds no storage file'):
        open_source(str(tmp_path))
    (tmp_path / 'a.png').write_bytes(encoded('.png'))
    assert open_source(str(tmp_path)).length == 1


def test_an_unknown_suffix_and_a_pointer_of_git_lfs(tmp_path):
    (tmp_path / 'a.heic').write_bytes(b'')
    with pytest.raises(ValueError, match=r'pictures are .bmp .* .webp, videos .avi .* .webm, '
                       r'recordings .mcap .db3 .bag$'):
        open_source(str(tmp_path / 'a.heic'))
    for name in ('a.png', 'a.mp4'):
        (tmp_path / name).write_text('version https://git-lfs.github.com/spec/v1\nsize 5\n')
        with pytest.raises(ValueError, match=f'{name}: .*a pointer of Git LFS, not the'):
            list(open_source(str(tmp_path / name)))
    (tmp_path / 'a.png').write_bytes(encoded('.png'))
    with pytest.raises(ValueError, match='only a recording can be read from a start'):
        open_source(str(tmp_path / 'a.png'), span=Span(1))


def test_a_focal_length_refers_to_the_pictures_before_they_are_resized(tmp_path):
    (tmp_path / 'a.png').write_bytes(encoded('.png'))
    frame, = Focal(open_source(str(tmp_path / 'a.png')), (40, 44), (48, 64))
    assert frame.rgb.shape == (48, 64, 3)
    np.testing.assert_allclose(frame.camera_matrix, ((80, 0, 31.5), (0, 88, 23.5), (0, 0, 1)))
    source = Focal(open_source(str(tmp_path / 'a.png')), (40, 44))
    assert source.origin.paths == [tmp_path / 'a.png'] and source.length == 1
    assert [type(frame) for frame in source] == [Frame]


# --- videos and streams -------------------------------------------------------------------------

@contextmanager
def served(handler):
    server = ThreadingHTTPServer(('127.0.0.1', 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f'http://user:secret@127.0.0.1:{server.server_port}'
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Mjpeg(BaseHTTPRequestHandler):
    """A network camera: JPEG pictures one after the other."""

    def do_GET(self):
        self.send_response(200)
        self.send_header('Content-Type', 'multipart/x-mixed-replace; boundary=next')
        self.end_headers()
        picture = encoded('.jpg')
        try:
            for _ in range(40):
                self.wfile.write(b'--next\r\nContent-Type: image/jpeg\r\nContent-Length: '
                                 + str(len(picture)).encode() + b'\r\n\r\n' + picture + b'\r\n')
        except OSError:
            pass  # The reader has enough.

    def log_message(self, *_):
        pass


def test_a_camera_of_the_network():
    with served(Mjpeg) as address:
        source = open_source(f'{address}/stream.mjpg')
        assert source.endless and 'secret' not in source.name
        frames = iter(source)
        for index in range(5):
            frame = next(frames)
            assert np.abs(frame.rgb.astype(int) - RGB).mean() < 6
            assert frame.stamp_ns > 10**18 and frame.name.endswith(f'stream.mjpg@{index}')
        with pytest.raises(ValueError, match='the stream has ended') as caught:
            list(frames)
        assert 'secret' not in str(caught.value)


def test_a_video_of_the_network(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    writer = cv2.VideoWriter('film.avi', cv2.VideoWriter_fourcc(*'MJPG'), 5, (32, 24))
    for _ in range(3):
        writer.write(RGB[..., ::-1].copy())
    writer.release()

    class Files(SimpleHTTPRequestHandler):

        def log_message(self, *_):
            pass

    with served(Files) as address:
        source = open_source(f'{address}/film.avi')
        assert (source.endless, source.length, source.rate) == (False, 3, 5)
        assert [frame.stamp_ns for frame in source] == [0, 200_000_000, 400_000_000]


@pytest.mark.parametrize('address', ['rtsp://u:secret@127.0.0.1:9/x', 'http://127.0.0.1:9/x'])
def test_an_address_that_nobody_serves(address):
    with pytest.raises(ValueError, match='//127.0.0.1:9/x: OpenCV cannot open this stream'):
        open_source(address)
