# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Pictures, folders, videos, cameras, recordings and drawn rooms as iterables of ``Frame``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
import re
import time

import cv2
from jrn_perception.frame import Frame
from jrn_perception.messages.images import is_cut_off
from jrn_perception.recordings.reader import is_recording, Recording, RecordingError, Topic
from jrn_perception.rooms.scenes import Scene
import numpy as np

PICTURE_SUFFIXES = ('.bmp', '.jpeg', '.jpg', '.pgm', '.png', '.ppm', '.tif', '.tiff', '.webp')
VIDEO_SUFFIXES = ('.avi', '.m4v', '.mjpeg', '.mkv', '.mov', '.mp4', '.mpeg', '.mpg', '.webm')
EXPECTED = ('a picture, a folder of pictures, a video, a rosbag2 recording, a camera '
            '(0 or /dev/video0) or scenes[:SEED]')
SCENES_RATE = 10.0
SCENES_SIZE = (480, 640)
# Messages by which a recorded topic's rate is judged: whole pictures are read for it.
RATE_SAMPLES = 20

Report = Callable[[str], None]


class Source(ABC):
    """
    Frames from somewhere; each iteration starts anew.

    ``length`` is the number of frames where it is known beforehand (for a video, by its header),
    ``rate`` the frames per second of the source's own clock, None where it has none, ``endless``
    whether only the user ends it, ``frame_id`` the recorded one. ``skipped`` counts the damaged
    frames that were left out.
    """

    length: int | None = None
    rate: float | None = None
    endless = False
    frame_id = ''

    def __init__(self, name: str, damaged: Report | None = None):
        self.name, self._damaged, self.skipped = name, damaged, 0

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames, from the first each time."""

    def _skip(self, text: str) -> None:
        if self._damaged is None:
            raise ValueError(text)
        self.skipped += 1
        self._damaged(text)


class Pictures(Source):
    """
    Picture files, turned as their EXIF orientation says, since people took and look at them.

    (Messages of a camera are not: see ``image_encodings.compressed_to_rgb``.) 16 bits become 8,
    grey becomes RGB, alpha is dropped. Stamps are 0: pictures have no clock.
    """

    def __init__(self, name: str, paths: list[Path], damaged: Report | None = None):
        super().__init__(name, damaged)
        self.paths, self.length = paths, len(paths)

    def __iter__(self) -> Iterator[Frame]:
        for path in self.paths:
            try:
                rgb = read_picture(path)
            except ValueError as error:
                self._skip(str(error))
                continue
            yield Frame(rgb, path.name)


class Video(Source):
    """A video file; stamps are the times in the video."""

    def __init__(self, path: Path, damaged: Report | None = None):
        super().__init__(str(path), damaged)
        self.path = path
        capture = self._open()
        # Streams without a header report rubbish, 0 or less.
        self.rate = capture.get(cv2.CAP_PROP_FPS) or None
        count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.length = count if count > 0 else None
        capture.release()

    def _open(self) -> cv2.VideoCapture:
        capture = cv2.VideoCapture(str(self.path))
        if not capture.isOpened():
            raise ValueError(f'{self.path}: OpenCV cannot read this as a video; expected '
                             f'{EXPECTED}')
        return capture

    def __iter__(self) -> Iterator[Frame]:
        capture = self._open()
        index = 0
        try:
            while True:
                done, bgr = capture.read()
                if not done:
                    break
                stamp = round(1e9 * index / self.rate) if self.rate else 0
                yield Frame(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB),
                            f'{self.path.name}@{index}', stamp)
                index += 1
        finally:
            capture.release()
        if self.length and index < self.length:
            self._skip(f'{self.path}: ends after {index} of the {self.length} frames that its '
                       'header announces')


class Webcam(Source):
    """A camera of this machine; stamps are the computer's clock at reception."""

    endless = True

    def __init__(self, device: str, damaged: Report | None = None):
        super().__init__(device, damaged)
        self.device = int(device) if device.isdigit() else device
        self._open().release()

    def _open(self) -> cv2.VideoCapture:
        capture = cv2.VideoCapture(self.device)
        if not capture.isOpened():
            raise ValueError(f'camera {self.name}: not there, in use, or not permitted (is your '
                             "user in the group 'video'?)")
        return capture

    def __iter__(self) -> Iterator[Frame]:
        capture = self._open()
        index = 0
        try:
            while True:
                done, bgr = capture.read()
                if not done:
                    raise ValueError(f'camera {self.name}: no more pictures after {index}; was '
                                     'it unplugged?')
                yield Frame(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), f'camera-{self.name}@{index}',
                            time.time_ns())
                index += 1
        finally:
            capture.release()


class Scenes(Source):
    """A walk with a camera through a furnished room, drawn, with exact depth and labels."""

    rate, endless = SCENES_RATE, True

    def __init__(self, name: str, seed: int, size: tuple[int, int] = SCENES_SIZE):
        super().__init__(name)
        self.scene, self.size = Scene(seed), size

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        while True:
            yield self.scene.render(index / SCENES_RATE, *self.size)
            index += 1


class Recorded(Source):
    """The pictures of one image topic of a rosbag2 recording; stamps are those of the headers."""

    def __init__(self, path: Path, topic: str = '', damaged: Report | None = None):
        super().__init__(str(path), damaged)
        self.path = path
        with Recording(path) as recording:
            found = recording.image_topic(topic)
            self.topic, self.length = found.name, found.count
            self.frame_id = recording.frame_id(found.name)
            self.rate = _rate(recording, found)

    def __iter__(self) -> Iterator[Frame]:
        with Recording(self.path) as recording:
            yield from recording.frames(self.topic, self._skip if self._damaged else None)


def _rate(recording: Recording, topic: Topic) -> float | None:
    """Return the Hz of a topic's beginning; it may have begun late, and paused since."""
    stamps: list[int] = []
    with suppress(RecordingError):  # Where it breaks off before that.
        stamps.extend(record.stamp_ns for record in islice(recording.records([topic.name]),
                                                           RATE_SAMPLES))
    periods = np.diff(stamps)
    period = np.median(periods) if len(periods) else 0
    return 1e9 / period if period > 0 else None


class Resized(Source):
    """The frames of another source at another size, with all that is known about them."""

    def __init__(self, source: Source, size: tuple[int, int]):
        super().__init__(source.name)
        self.source, self.size = source, size
        self.length, self.rate, self.endless = source.length, source.rate, source.endless
        self.frame_id = source.frame_id

    def __iter__(self) -> Iterator[Frame]:
        for frame in self.source:
            self.skipped = self.source.skipped
            yield resize_frame(frame, *self.size)
        self.skipped = self.source.skipped


def open_source(spec: str, size: tuple[int, int] | None = None, topic: str = '',
                damaged: Report | None = None) -> Source:
    """
    Return what ``spec`` names.

    A picture; a folder, whose pictures come in natural order (frame2 before frame10); a video
    file; a camera, ``0`` or ``/dev/video0``; a rosbag2 folder or its .mcap or .db3 file, of which
    ``topic`` is taken, or the only one with pictures; ``scenes`` or ``scenes:SEED``, which is
    drawn by our renderer and never ends. Frames are resized to ``size`` (height, width) unless it
    is None. ``damaged`` is told in one line about each picture that cannot be read, which is then
    left out; without it a damaged picture is an error, raised while iterating. Raises ValueError
    (or, where ``rosbags`` is missing, ImportError) with one line.
    """
    name, _, seed = spec.partition(':')
    if name == 'scenes' and (seed.isdigit() or spec == 'scenes'):
        return Scenes(spec, int(seed or 0), size or SCENES_SIZE)
    source = _open(spec, topic, damaged)
    if topic and not isinstance(source, Recorded):
        raise ValueError(f'{spec}: only a recording has topics, this is none')
    return Resized(source, size) if size else source


def _open(spec: str, topic: str, damaged: Report | None) -> Source:
    path = Path(spec).expanduser()
    if spec.isdigit() or spec.startswith('/dev/video'):
        return Webcam(spec, damaged)
    if not path.exists():
        raise ValueError(f'{spec}: no such file or folder; expected {EXPECTED}')
    if is_recording(path):
        return Recorded(path, topic, damaged)
    if path.is_dir():
        paths = sorted((file for file in path.iterdir() if file.is_file()
                        and file.suffix.lower() in PICTURE_SUFFIXES
                        and not file.name.startswith('.')), key=_natural)
        if not paths:
            raise ValueError(f'{spec}: no pictures in this folder '
                             f'({" ".join(PICTURE_SUFFIXES)}); expected {EXPECTED}')
        return Pictures(spec, paths, damaged)
    if path.suffix.lower() in PICTURE_SUFFIXES:
        return Pictures(spec, [path], damaged)
    if path.suffix.lower() in VIDEO_SUFFIXES:
        return Video(path, damaged)
    raise ValueError(f'{spec}: neither a picture nor a video by its suffix; expected {EXPECTED}')


def read_picture(path: Path) -> np.ndarray:
    """Return a picture file as RGB, uint8 (H, W, 3), upright; ValueError names the file."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(f'{path}: {error.strerror}') from error
    if is_cut_off(data):
        raise ValueError(f'{path}: cut off after {len(data)} bytes')
    try:
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        bgr = None
    if bgr is None:
        raise ValueError(f'{path}: no picture that OpenCV can decode, {len(data)} bytes')
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def resize_frame(frame: Frame, height: int, width: int) -> Frame:
    """
    Return the frame at another size: the picture filtered, depth and labels by nearest pixel.

    The camera matrix is scaled about the picture's corner, half a pixel before the first centre.
    """
    old_height, old_width = frame.rgb.shape[:2]
    if (old_height, old_width) == (height, width):
        return frame
    down, across = height / old_height, width / old_width
    smooth = cv2.INTER_AREA if down * across < 1 else cv2.INTER_LINEAR

    def nearest(array: np.ndarray | None) -> np.ndarray | None:
        if array is None:
            return None
        return cv2.resize(array, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)

    matrix = frame.camera_matrix
    if matrix is not None:
        scale = np.array(((across, 0, (across - 1) / 2), (0, down, (down - 1) / 2), (0, 0, 1)))
        matrix = scale @ matrix
    return replace(frame, rgb=cv2.resize(frame.rgb, (width, height), interpolation=smooth),
                   depth=nearest(frame.depth), labels=nearest(frame.labels),
                   camera_matrix=matrix)


def _natural(path: Path) -> list[tuple[int, str]]:
    return [(int(part), '') if part.isdigit() else (-1, part)
            for part in re.split(r'([0-9]+)', path.name)]
