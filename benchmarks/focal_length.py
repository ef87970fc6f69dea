# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Measure the correction for the camera's focal length on copies of real frames.

A cropped copy is the picture that a camera with a longer lens would have taken. A resized copy
leaves the focal length unchanged in relation to the picture. The program prints the relative error
of depth with and without the correction.

    python benchmarks/focal_length.py DATA [--architecture hydranet] [--frames 40]
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import cv2
from jrn_perception.datasets.nyuv2 import CROP, NYUv2
from jrn_perception.frame import Frame
from jrn_perception.networks import architectures_with
from jrn_perception.perception import Perception
import numpy as np


def cropped(frame: Frame, share: float) -> Frame:
    """Return the middle of the frame: fewer pixels, the same focal length in pixels."""
    height, width = frame.depth.shape
    rows, columns = round(share * height), round(share * width)
    top, left = (height - rows) // 2, (width - columns) // 2
    part = (slice(top, top + rows), slice(left, left + columns))
    return replace(frame, rgb=np.ascontiguousarray(frame.rgb[part]), depth=frame.depth[part])


def resized(frame: Frame, share: float) -> Frame:
    """Return the frame with fewer pixels, and its focal length in these pixels."""
    size = round(share * frame.rgb.shape[1]), round(share * frame.rgb.shape[0])
    return replace(
        frame, rgb=cv2.resize(frame.rgb, size, interpolation=cv2.INTER_AREA),
        depth=cv2.resize(frame.depth, size, interpolation=cv2.INTER_NEAREST_EXACT),
        camera_matrix=np.diag((share, share, 1.)) @ frame.camera_matrix)


COPIES = {
    'as it is': lambda frame: frame,
    'resized to 1/2': lambda frame: resized(frame, 0.5),
    'middle 3/4': lambda frame: cropped(frame, 0.75),
    'middle 1/2': lambda frame: cropped(frame, 0.5),
    'middle 1/2, resized to 1/2': lambda frame: resized(cropped(frame, 0.5), 0.5),
}


def error(perception: Perception, frame: Frame, correct: bool) -> float:
    """Return the mean relative error of the depth of one frame."""
    focal_length = tuple(np.diag(frame.camera_matrix)[:2]) if correct else None
    depth = perception(frame.rgb, focal_length=focal_length).depth
    valid = np.isfinite(frame.depth)
    return float(np.mean(np.abs(depth[valid] - frame.depth[valid]) / frame.depth[valid]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0].strip())
    parser.add_argument('data', type=Path, nargs='?', default='../shared/data',
                        help='folder that holds nyuv2/ (default: %(default)s)')
    parser.add_argument('--architecture', default='hydranet',
                        choices=architectures_with('depth', 'semantics'))
    parser.add_argument('--frames', type=int, default=40,
                        help='frames to measure on (default: %(default)s)')
    arguments = parser.parse_args()
    if not (Path(arguments.data) / 'nyuv2').is_dir():
        print(f'no NYU frames in {arguments.data}: nothing to measure on')
        return
    perception = Perception.load(arguments.architecture)
    frames = NYUv2(Path(arguments.data) / 'nyuv2', 'val')
    indices = np.linspace(0, len(frames) - 1, arguments.frames, dtype=int)
    picked = [frames[index] for index in indices]
    for frame in picked:
        trusted = np.full_like(frame.depth, np.nan)
        trusted[CROP] = frame.depth[CROP]
        frame.depth[:] = trusted
    print(f'{arguments.architecture}, {len(picked)} frames: mean relative error of depth\n')
    print('| copy | as predicted | corrected | ratio |\n| --- | ---: | ---: | ---: |')
    for name, copy in COPIES.items():
        plain, corrected = (np.mean([error(perception, copy(frame), correct) for frame in picked])
                            for correct in (False, True))
        print(f'| {name} | {plain:.3f} | {corrected:.3f} | {corrected / plain:.2f} |')


if __name__ == '__main__':
    main()
