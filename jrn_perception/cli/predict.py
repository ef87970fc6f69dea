# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Depth and semantics of pictures, videos and recordings, without ROS: ``jrn_predict``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
import sys
import tempfile

import cv2
from jrn_perception import drawing
from jrn_perception.cli import program
from jrn_perception.cli.source_options import add_focal_length, add_span, open_given
from jrn_perception.frame import Frame
from jrn_perception.messages.images import to_millimetres
from jrn_perception.networks import architectures_with
from jrn_perception.networks.interface import MUTE
from jrn_perception.perception import Prediction, SetUp
from jrn_perception.perception.stream import stream
from jrn_perception.sources.pictures import Pictures
from jrn_perception.sources.source import EXPECTED, Source
import numpy as np

DESCRIPTION = f"""\
Predict depth and semantics of {EXPECTED}.

Write a sheet for each picture, NAME_prediction.png: picture, depth, semantics and overlay, with
scale and legend. Other sources become a video of such sheets.
"""
DEFAULT_RATE = 10.0
CODECS = {'.mp4': 'mp4v', '.avi': 'MJPG'}
SLOWEST, FASTEST = 0.01, {'.mp4': 65535.0, '.avi': 600.0}


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    result = argparse.ArgumentParser('jrn_predict', description=DESCRIPTION,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    result.add_argument('source', help=EXPECTED)
    result.add_argument('--output', type=Path, default=Path('predictions'), metavar='DIR|FILE',
                        help='a folder (default: predictions), or a file: .png for one picture, '
                             '.mp4 or .avi for a video')
    program.add_network(result, choices=architectures_with('depth', 'semantics'))
    result.add_argument('--mute', default='none', choices=MUTE,
                        help='the input of the JRN, or the direction of the attention of '
                             'symbiosis, that is muted; default: %(default)s')
    result.add_argument('--topic', default='', metavar='NAME',
                        help='topic of a recording; default: its only colour topic')
    add_span(result)
    add_focal_length(result)
    result.add_argument('--count', type=int, metavar='N', help='end after N pictures')
    result.add_argument('--raw', action='store_true',
                        help='also write NAME_depth.png (16 bit, millimetres, 0 = invalid) and '
                             'NAME_labels.png (8 bit, class ids, 255 = unlabelled)')
    result.add_argument('--strict', action='store_true',
                        help='end at the first damaged picture instead of leaving it out')
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run ``jrn_predict``; return its exit code.

    Ctrl-C keeps the sheets so far; the code is DONE if only the user can end the source.
    """
    arguments = parser().parse_args(argv)
    return program.run('jrn_predict', lambda: _predict(arguments))


def _predict(arguments: argparse.Namespace) -> int:
    if arguments.count is not None and arguments.count < 1:
        raise ValueError('--count: at least 1')

    def report(text: str) -> None:
        print(f'left out: {text}', file=sys.stderr)

    def note(text: str) -> None:
        print(text, file=sys.stderr)

    source = open_given(arguments, arguments.topic, None if arguments.strict else report, note)
    # Before the network is loaded: the output may be impossible.
    origin, output = source.origin, arguments.output
    pictures = isinstance(origin, Pictures)
    writer = Sheets(output, origin) if pictures else Film(output, source)
    perception = program.load(arguments, mutes=arguments.mute != 'none')
    done, known, interrupted = 0, 0, False
    total = min((n for n in (source.length, arguments.count) if n), default=None)
    try:
        steps = stream(perception, islice(source, arguments.count), lambda frame: frame,
                       set_up=SetUp(arguments.mute))
        for step in program.track(steps, total, Path(source.name).name):
            name = writer.name(step.frame)
            try:
                writer.write(step.frame, step.prediction)
            finally:
                if arguments.raw:
                    write_raw(writer.folder / name, step.prediction)
            done += 1
            known += step.frame.focal_length is not None
    except KeyboardInterrupt:
        interrupted = True
    finally:
        writer.close()
    if pictures and known and arguments.focal_length is None:
        note(f'{known} of {done} pictures have a focal length in EXIF: their depth is corrected '
             'for it')
    if not done and not interrupted:
        raise ValueError(f'{arguments.source}: nothing in it could be read')
    print(f'{done} pictures -> {writer.target}'
          + (f', {source.skipped} damaged ones left out' if source.skipped else '')
          + (', interrupted' if interrupted else ''))
    return program.INTERRUPTED if interrupted and not source.endless else program.DONE


class Sheets:
    """
    PNG files, one for each picture.

    ``target`` is the path that the user is told, a file or a folder; ``folder`` is where the other
    files go. ``Film`` has both, too.
    """

    def __init__(self, output: Path, source: Pictures):
        single = output.suffix.lower() == '.png' and not output.is_dir()
        if single and len(source.paths) > 1:
            raise ValueError(f'--output {output}: one file for {len(source.paths)} pictures; '
                             'name a folder')
        if output.suffix and not single and not output.is_dir():
            raise ValueError(f'--output {output}: pictures go to a folder or to a .png file')
        self.target, self.folder = output, output.parent if single else output
        self.folder.mkdir(parents=True, exist_ok=True)
        self._file = output if single else None
        stems = [path.stem for path in source.paths]
        # So that cat.jpg and cat.png do not become one file.
        self._names = {path.name: path.stem if stems.count(path.stem) == 1
                       else path.name.replace('.', '_') for path in source.paths}

    def name(self, frame: Frame) -> str:
        """Return the picture's name without suffix."""
        return self._names[frame.name]

    def write(self, frame: Frame, prediction: Prediction) -> None:
        """Write the sheet."""
        save(self._file or self.folder / f'{self.name(frame)}_prediction.png',
             drawing.panel(frame.rgb, prediction))

    def close(self) -> None:
        """Do nothing: each file is complete."""


class Film:
    """
    A video of sheets; the first picture sets its size and the depth colours, which do not flicker.

    Sheets of another size are fitted into that size. Each picture is one sheet; the rate is the
    nearest one to the source's that the file can have.
    """

    def __init__(self, output: Path, source: Source):
        self._name = Path(source.name.replace(':', '-')).stem or 'prediction'
        if source.name.startswith('/dev/') or source.name.isdigit():
            self._name = f'camera-{Path(source.name).name}'
        if output.suffix.lower() not in CODECS:
            if output.suffix and not output.is_dir():
                raise ValueError(f'--output {output}: a video goes to a folder or to a .mp4 or '
                                 '.avi file')
            output = output / f'{self._name}_prediction.mp4'
        if output.resolve() == Path(source.name).resolve():
            raise ValueError(f'--output {output}: is the source itself')
        self.target, self.folder = output, output.parent
        self.folder.mkdir(parents=True, exist_ok=True)
        self._rate = film_rate(source.rate or DEFAULT_RATE, output.suffix.lower())
        # Before anything is computed: can such a file be written there?
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            self._create(Path(folder) / output.name, (48, 64)).release()
        self._film: cv2.VideoWriter | None = None
        self._size: tuple[int, int] | None = None
        self._limits: tuple[float, float] | None = None
        self._count = 0

    def name(self, frame: Frame) -> str:
        """Return the name of the next picture without suffix."""
        return f'{self._name}-{self._count:06d}'

    def write(self, frame: Frame, prediction: Prediction) -> None:
        """Append the sheet."""
        if self._limits is None:
            self._limits = drawing.depth_limits(prediction.depth)
        sheet = drawing.panel(frame.rgb, prediction, limits=self._limits)
        if self._film is None:
            self._size = sheet.shape[:2]
            self._film = self._create(self.target, self._size)
        # OpenCV silently drops a picture of another size.
        if sheet.shape[:2] != self._size:
            sheet = fit(sheet, *self._size)
        self._film.write(cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
        self._count += 1

    def close(self) -> None:
        """Complete the file."""
        if self._film is not None:
            self._film.release()

    def _create(self, path: Path, size: tuple[int, int]) -> cv2.VideoWriter:
        codec = cv2.VideoWriter_fourcc(*CODECS[path.suffix.lower()])
        film = cv2.VideoWriter(str(path), codec, self._rate, size[::-1])
        if not film.isOpened():
            raise ValueError(f'{self.target}: OpenCV cannot write this video')
        return film


def film_rate(rate: float, suffix: str) -> float:
    """
    Return the rate in Hz nearest to ``rate`` that a film can have.

    MPEG-4 counts time in fractions of a second with at most 16 bits, and OpenCV makes these
    fractions from decimal places. OpenCV's AVI has up to 600 Hz.
    """
    rate = min(max(rate, SLOWEST), FASTEST[suffix])
    places = next(places for places in (3, 2, 1, 0) if rate * 10 ** places <= FASTEST['.mp4'])
    return round(rate, places)


def fit(sheet: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return a sheet at a size, with black bars where its aspect differs."""
    scale = min(height / sheet.shape[0], width / sheet.shape[1])
    inner = [min(side, max(1, round(scale * own)))
             for side, own in zip((height, width), sheet.shape)]
    top, left = (height - inner[0]) // 2, (width - inner[1]) // 2
    result = np.zeros((height, width, 3), np.uint8)
    result[top:top + inner[0], left:left + inner[1]] = cv2.resize(
        sheet, inner[::-1], interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    return result


def write_raw(path: Path, prediction: Prediction) -> None:
    """
    Write ``path``_depth.png (16 bit, mm) and ``path``_labels.png (class ids).

    Depth outside the network's limits is 0, "invalid".
    """
    save(path.with_name(f'{path.name}_depth.png'), to_millimetres(prediction.valid_depth()))
    save(path.with_name(f'{path.name}_labels.png'), prediction.labels)


def save(path: Path, picture: np.ndarray) -> None:
    """Write RGB or a single channel as PNG; OSError if that fails."""
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR) if picture.ndim == 3 else picture
    _, data = cv2.imencode('.png', bgr)
    path.write_bytes(data.tobytes())


if __name__ == '__main__':
    sys.exit(main())
