# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
The sample recording: a walk through a drawn room, with exact depth and labels.

    python -m jrn_perception.sources.sample sample_bag

10 s at 10 Hz: JPEG pictures of 320x240, camera_info, depth (compressedDepth, millimetres) and
labels (PNG, NYU40 ids with their LabelInfo). The same seed gives the same messages.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
import sys

import cv2
from jrn_perception.labels import NYU40
from jrn_perception.messages.label_info import LABEL_INFO
from jrn_perception.messages.maps import compress_depth
from jrn_perception.recordings.reader import CAMERA_INFO, COMPRESSED
from jrn_perception.recordings.writer import STORAGES, Writer
from jrn_perception.rooms.scenes import Scene

IMAGE_TOPIC = '/camera/image_raw/compressed'
CAMERA_INFO_TOPIC = '/camera/camera_info'
DEPTH_TOPIC = '/camera/depth/image_raw/compressedDepth'
LABEL_TOPIC = '/camera/labels/compressed'
LABEL_INFO_TOPIC = '/camera/label_info'
FRAME_ID = 'camera_optical_frame'
# A date after 2001, so that the stamps do not look like seconds since the start.
START_NS = 1_700_000_000_000_000_000
RATE = 10
FRAMES = 100
SIZE = (240, 320)
QUALITY = 85
SEED = 3


def write_sample(path: Path | str, frames: int = FRAMES, seed: int = SEED,
                 size: tuple[int, int] = SIZE, storage: str = 'mcap',
                 progress: Callable[[int], None] = lambda done: None) -> None:
    """
    Write the sample recording to a new folder.

    ``size`` is (height, width); ``progress`` is called with the number of frames done. Raises
    ValueError if ``path`` exists.
    """
    scene = Scene(seed)
    with Writer(path, storage) as writer:
        for topic, msgtype in ((IMAGE_TOPIC, COMPRESSED), (CAMERA_INFO_TOPIC, CAMERA_INFO),
                               (DEPTH_TOPIC, COMPRESSED), (LABEL_TOPIC, COMPRESSED)):
            writer.add(topic, msgtype)
        writer.add(LABEL_INFO_TOPIC, LABEL_INFO, latched=True)
        writer.write(LABEL_INFO_TOPIC, START_NS,
                     writer.label_info(writer.header(START_NS, FRAME_ID), NYU40))
        for index in range(frames):
            frame = scene.render(index / RATE, *size)
            stamp = START_NS + index * 10**9 // RATE
            header = writer.header(stamp, FRAME_ID)
            _, jpeg = cv2.imencode('.jpg', frame.rgb[..., ::-1],
                                   (cv2.IMWRITE_JPEG_QUALITY, QUALITY))
            _, labels = cv2.imencode('.png', frame.labels, (cv2.IMWRITE_PNG_COMPRESSION, 9))
            for topic, msg in (
                    (CAMERA_INFO_TOPIC, writer.camera_info(header, size, frame.camera_matrix)),
                    (IMAGE_TOPIC, writer.compressed(header, jpeg.tobytes(),
                                                    'rgb8; jpeg compressed bgr8')),
                    (DEPTH_TOPIC, writer.compressed(header, compress_depth(frame.depth),
                                                    '16UC1; compressedDepth png')),
                    (LABEL_TOPIC, writer.compressed(header, labels.tobytes(),
                                                    'mono8; png compressed '))):
                writer.write(topic, stamp, msg)
            progress(index + 1)


def main(arguments: list[str] | None = None) -> int:
    """Write the sample where the command line says; return the exit code."""
    parser = argparse.ArgumentParser('python -m jrn_perception.sources.sample',
                                     description='Write the sample recording.')
    parser.add_argument('output', type=Path, help='new folder')
    parser.add_argument('--seed', type=int, default=SEED, help='of the room; default: %(default)s')
    parser.add_argument('--frames', type=int, default=FRAMES, help='default: %(default)s')
    parser.add_argument('--storage', default=STORAGES[0], choices=STORAGES)
    options = parser.parse_args(arguments)

    def progress(done: int) -> None:
        if sys.stderr.isatty():
            print(f'\r{done} of {options.frames} frames', end='', file=sys.stderr, flush=True)

    try:
        write_sample(options.output, options.frames, options.seed, storage=options.storage,
                     progress=progress)
    except (ImportError, OSError, ValueError) as error:
        print(f'sample: {error}', file=sys.stderr)
        return 2
    size = sum(file.stat().st_size for file in options.output.iterdir()) / 1e6
    print(f'\r{options.output}: {options.frames} frames, {size:.1f} MB')
    return 0


if __name__ == '__main__':
    sys.exit(main())
