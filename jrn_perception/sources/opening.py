# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Open a source by its name: pictures, folders, videos, cameras, recordings or drawn rooms."""

from __future__ import annotations

import os
from pathlib import Path

from jrn_perception.recordings.reader import is_recording
from jrn_perception.sources import drawn, pictures, video
from jrn_perception.sources.drawn import Scenes
from jrn_perception.sources.pictures import find_pictures, Pictures
from jrn_perception.sources.recorded import Recorded
from jrn_perception.sources.source import EXPECTED, Report, Resized, Source
from jrn_perception.sources.video import Video
from jrn_perception.sources.webcam import Webcam


def open_source(spec: str, size: tuple[int, int] | None = None, topic: str = '',
                damaged: Report | None = None) -> Source:
    """
    Return the source that ``spec`` names.

    ``spec`` is a picture; a folder, read in natural order (frame2 before frame10); a video file;
    a camera, ``0`` or ``/dev/video0``; a rosbag2 folder or its .mcap or .db3 file, where ``topic``
    chooses the pictures (default: the only topic with pictures); or ``scenes`` or
    ``scenes:SEED``, an endless walk through a drawn room. Frames are resized to ``size`` (height,
    width) unless ``size`` is None. ``damaged`` is called with one line for each picture that
    cannot be read and is left out; without ``damaged`` such a picture raises ValueError during
    iteration. Raises ValueError, or ImportError if ``rosbags`` is missing, with a message of one
    line.
    """
    name, _, seed = spec.partition(':')
    if name == 'scenes' and (seed.isdigit() or spec == 'scenes'):
        return Scenes(spec, int(seed or 0), size or drawn.SIZE)
    source = _open(spec, topic, damaged)
    if topic and not isinstance(source, Recorded):
        raise ValueError(f'{spec}: only a recording has topics, this is none')
    return Resized(source, size) if size else source


def _open(spec: str, topic: str, damaged: Report | None) -> Source:
    # Path.expanduser raises RuntimeError for an unknown user; this leaves the name as it is.
    path = Path(os.path.expanduser(spec))
    if spec.isdigit() or spec.startswith('/dev/video'):
        return Webcam(spec, damaged)
    if not path.exists():
        raise ValueError(f'{spec}: no such file or folder; expected {EXPECTED}')
    if is_recording(path):
        return Recorded(path, topic, damaged)
    if path.is_dir():
        paths = find_pictures(path)
        if not paths:
            raise ValueError(f'{spec}: no pictures in this folder '
                             f'({" ".join(pictures.SUFFIXES)}); expected {EXPECTED}')
        return Pictures(spec, paths, damaged)
    if path.suffix.lower() in pictures.SUFFIXES:
        return Pictures(spec, [path], damaged)
    if path.suffix.lower() in video.SUFFIXES:
        return Video(path, damaged)
    raise ValueError(f'{spec}: neither a picture nor a video by its suffix; expected {EXPECTED}')
