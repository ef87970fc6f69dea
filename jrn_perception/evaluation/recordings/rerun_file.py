# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Pictures and their results in a file of the viewer Rerun."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jrn_perception.labels import LabelSet, UNLABELLED
from jrn_perception.messages.camera_info import Intrinsics
from jrn_perception.messages.images import to_millimetres
from jrn_perception.messages.lens import rays
import numpy as np

INSTALL = "a Rerun file needs rerun-sdk: pip install '.[rerun]'"
TIMELINE = 'stamp'
# Points of every fourth row and column: Rerun itself draws a dense cloud of the depth image.
STRIDE = 4


@dataclass(frozen=True)
class Shown:
    """
    A picture and its results.

    ``stamp_ns`` is the stamp of the picture's header. ``rgb`` is uint8 (H, W, 3), ``depth``
    float32 (H, W) in metres, NaN = invalid, ``labels`` uint8 (H, W), 255 = unlabelled. ``depth``
    or ``labels`` is None if the network does not have this output. ``camera`` is None without a
    calibration; then there are no points.
    """

    stamp_ns: int
    rgb: np.ndarray
    depth: np.ndarray | None
    labels: np.ndarray | None
    camera: Intrinsics | None


class RerunFile:
    """
    A new .rrd file; a context manager.

    ``camera`` is the pinhole camera, ``camera/image`` the picture, ``camera/depth`` depth with its
    unit (metres, or millimetres for the ``encoding`` 16UC1), coloured over the metres ``colours``,
    ``camera/semantics`` the class ids, and ``points`` the cloud in the optical frame. The classes
    have the names and colours of ``label_set``. The timeline ``stamp`` has the pictures' stamps.
    ``frames`` counts the pictures, ``clouds`` the ones with points. Raises ImportError if the
    extra is missing.
    """

    def __init__(self, path: Path, label_set: LabelSet | None, encoding: str,
                 colours: tuple[float, float]):
        try:
            import rerun
        except ImportError as error:
            raise ImportError(INSTALL) from error
        self._rerun: Any = rerun
        self.path = path
        self._millimetres, self._colours = encoding == '16UC1', colours
        self._label_set = label_set
        self._camera: tuple[Intrinsics | None, tuple[int, int]] | None = None
        self.frames = self.clouds = 0

    def __enter__(self) -> RerunFile:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._stream = self._rerun.RecordingStream('jrn_perception')
        self._stream.save(self.path)
        if self._label_set is not None:
            names = zip(self._label_set.names, self._label_set.colours)
            classes = [self._rerun.AnnotationInfo(index, name, colour)
                       for index, (name, colour) in enumerate(names)]
            classes.append(self._rerun.AnnotationInfo(UNLABELLED, 'unlabelled', (0, 0, 0, 0)))
            self._stream.log('/', self._rerun.AnnotationContext(classes), static=True)
        return self

    def __exit__(self, *exception: Any) -> None:
        self._stream.disconnect()

    def add(self, shown: Shown) -> None:
        """Append a picture with its results."""
        rerun, log = self._rerun, self._stream.log
        self._stream.set_time(TIMELINE, timestamp=np.datetime64(shown.stamp_ns, 'ns'))
        self._add_camera(shown.camera, shown.rgb.shape[:2])
        log('camera/image', rerun.Image(shown.rgb))
        if shown.depth is not None:
            depth, unit = shown.depth, 1.0
            if self._millimetres:
                depth, unit = to_millimetres(depth), 1000.0
            log('camera/depth', rerun.DepthImage(
                depth, meter=unit, colormap='turbo', depth_range=np.multiply(self._colours, unit)))
        if shown.labels is not None:
            log('camera/semantics', rerun.SegmentationImage(shown.labels))
        if shown.depth is not None and shown.camera is not None:
            log('points', self._points(shown, shown.depth, shown.camera))
            self.clouds += 1
        self.frames += 1

    def _add_camera(self, camera: Intrinsics | None, size: tuple[int, int]) -> None:
        """Write the calibration if it has changed."""
        if (camera, size) == self._camera:
            return
        if camera is not None:
            self._stream.log('camera', self._rerun.Pinhole(
                image_from_camera=camera.matrix, resolution=size[::-1],
                camera_xyz=self._rerun.ViewCoordinates.RDF))
        elif self._camera is not None:
            # A calibration that no longer holds, and its points.
            self._stream.log('camera', self._rerun.Clear(recursive=False))
            self._stream.log('points', self._rerun.Clear(recursive=False))
        self._camera = camera, size

    def _points(self, shown: Shown, depth: np.ndarray, camera: Intrinsics) -> Any:
        x, y = rays(camera, depth.shape, STRIDE)
        z = depth[::STRIDE, ::STRIDE]
        points = np.stack(np.broadcast_arrays(x * z, y * z, z), -1)
        valid = np.isfinite(points).all(2)
        colours = {'colors': shown.rgb[::STRIDE, ::STRIDE][valid]}
        if shown.labels is not None:
            colours = {'class_ids': shown.labels[::STRIDE, ::STRIDE][valid]}
        return self._rerun.Points3D(points[valid], **colours)
