# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Open a source by its name: pictures, folders, videos, cameras, recordings or drawn rooms."""

from __future__ import annotations

import os
from pathlib import Path

from jrn_perception.recordings.files import (
    has_metadata,
    is_recording,
    storage_files,
    SUFFIXES,
)
from jrn_perception.recordings.reader import Span
from jrn_perception.sources import drawn, pictures, video
from jrn_perception.sources.drawn import Scenes
from jrn_perception.sources.pictures import find_pictures, other_files, Pictures
from jrn_perception.sources.recorded import Recorded
from jrn_perception.sources.source import EXPECTED, Report, Resized, Source
from jrn_perception.sources.video import Video
from jrn_perception.sources.webcam import open_address, STREAMS, Webcam


def open_source(spec: str, size: tuple[int, int] | None = None, topic: str = '',
                damaged: Report | None = None, span: Span | None = None,
                noted: Report | None = None) -> Source:
    """
    Return the source that ``spec`` names.

    ``spec`` is a picture; a folder, read in natural order (frame2 before frame10); a video file;
    a camera, ``0`` or ``/dev/video0``, or a stream, ``rtsp://`` or ``http://``; a recording: a
    rosbag2 folder or a .mcap, .db3 or .bag file, where ``topic`` chooses the pictures (default:
    the only topic with pictures) and ``span`` a part; or ``scenes`` or ``scenes:SEED``, an endless
    walk through a drawn room. Frames are resized to ``size`` (height, width) unless ``size`` is
    None. ``damaged`` is called with one line for each picture that cannot be read and is left out;
    without ``damaged`` such a picture raises ValueError during iteration. ``noted`` is called with
    one line for what else a user should know. Raises ValueError, or ImportError if ``rosbags`` is
    missing, with a message of one line.
    """
    name, _, seed = spec.partition(':')
    if name == 'scenes' and (seed.isdigit() or spec == 'scenes'):
        return Scenes(spec, int(seed or 0), size or drawn.SIZE)
    noted = noted or (lambda text: None)
    if spec.startswith(STREAMS):
        source: Source = open_address(spec, damaged)
    else:
        # Path.expanduser raises RuntimeError for an unknown user; this leaves the name as it is.
        path = Path(os.path.expanduser(spec))
        if _is_recorded(path):
            source = Recorded(path, topic, damaged, span, noted)
        else:
            source = _open(spec, path, damaged, noted)
    if topic and not isinstance(source, Recorded):
        raise ValueError(f'{spec}: only a recording has topics, this is none')
    if span and not isinstance(source, Recorded):
        raise ValueError(f'{spec}: only a recording can be read from a start or for a duration')
    return Resized(source, size) if size else source


def _is_recorded(path: Path) -> bool:
    """
    Return whether a path is a recording.

    Pictures in a folder outweigh a stray storage file, and a metadata.yaml without one.
    """
    if not path.is_dir() or not find_pictures(path):
        return is_recording(path)
    return has_metadata(path) and bool(storage_files(path))


def _open(spec: str, path: Path, damaged: Report | None, noted: Report) -> Source:
    if spec.isdigit() or spec.startswith('/dev/video'):
        return Webcam(spec, damaged)
    if not path.exists():
        raise ValueError(f'{spec}: no such file or folder; expected {EXPECTED}')
    if path.is_dir():
        paths = find_pictures(path)
        if not paths:
            raise ValueError(f'{spec}: no pictures in this folder '
                             f'({" ".join(pictures.SUFFIXES)}); expected {EXPECTED}')
        if others := other_files(path):
            noted(f'left out: {spec}: {others}; pictures are {" ".join(pictures.SUFFIXES)}')
        return Pictures(spec, paths, damaged)
    if path.suffix.lower() in pictures.SUFFIXES:
        return Pictures(spec, [path], damaged)
    if path.suffix.lower() in video.SUFFIXES:
        return Video(path, damaged)
    raise ValueError(f'{spec}: neither a picture nor a video by its suffix; expected {EXPECTED}; '
                     f'pictures are {" ".join(pictures.SUFFIXES)}, videos '
                     f'{" ".join(video.SUFFIXES)}, recordings {" ".join(SUFFIXES)}')
