# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Depth and semantics of a picture in one call, without ROS."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

from jrn_perception import weights
from jrn_perception.labels import fold_matrix, LabelSet
from jrn_perception.perception.backends.choice import Options
from jrn_perception.perception.backends.interface import ArrayMaps, SetUp
from jrn_perception.perception.inputs.interface import NETWORK, SourceError, Sources
from jrn_perception.perception.inputs.joined import Seen
from jrn_perception.perception.inputs.measured import check_registered
from jrn_perception.perception.loading import in_torch, open_network, Opened
from jrn_perception.perception.prediction import Prediction
from jrn_perception.perception.preprocessing import (
    focal_ratio,
    input_size_for,
    multiple,
    resize_picture,
)
import numpy as np


class Perception:
    """
    A network that is ready for pictures: ``perception(rgb) -> Prediction``.

    ``Perception.load('jrn', 'sum60')`` takes the weights that come with the package. ``card``
    tells what is loaded, ``label_set`` what the labels mean, ``can_mute`` whether the influence of
    one modality on the other can be muted.
    """

    # The part of the rows and columns that the input has in place of all.
    _share = 1.0
    # Sums the probabilities of finer classes, None for the network's own.
    _fold: np.ndarray | None = None

    def __init__(self, loaded: weights.Loaded, device: str = 'auto', precision: str = 'auto',
                 height: int = 0, width: int = 0):
        self._begin(Opened(loaded.card, loaded.source,
                           in_torch(loaded, Options(device, precision))), height, width)

    def _begin(self, opened: Opened, height: int, width: int) -> None:
        self.card, self.source, self.backend = opened.card, opened.source, opened.backend
        self.label_set = opened.card.label_set
        # Which backends were not used, and why, for the log of the caller.
        self.warnings = opened.warnings
        # Other sources of a JRN's inputs than its own networks.
        self.inputs = opened.inputs
        if height < 0 or width < 0:
            raise ValueError(f'inference size {height}x{width}: 0 (the trained size) or positive')
        self._requested = height, width

    @classmethod
    def load(cls, architecture: str = '', variant: str = '', *, weights_file: str = '',
             device: str = 'auto', precision: str = 'auto', height: int = 0,
             width: int = 0, backend: str = 'auto', threads: int = 0,
             depth_source: str = NETWORK, semantics_source: str = NETWORK) -> Perception:
        """
        Return a ``Perception`` with the shipped weights or those of ``weights_file``.

        Without ``architecture``, ``variant`` or the card of ``weights_file`` chooses the network,
        and without all three it is HydraNet.
        ``device``: auto, cpu, cuda or cuda:N; ``precision``: auto, fp32, fp16 or bf16; ``height``
        and ``width`` of the network's input: 0 for the size of training, keeping the picture's
        aspect. ``backend``: auto, torch, onnxruntime or openvino; auto is openvino, onnxruntime
        or torch on a CPU, the first that is installed, and torch on CUDA and for random weights.
        onnxruntime and openvino export weights once, into the user's cache. ``threads`` of the
        CPU: 0 for the physical cores. ``depth_source`` and ``semantics_source`` of a JRN's inputs,
        or of architecture ``external``: network, a Hugging Face name or folder, an ONNX file, a
        yaml file that describes one of them, and for depth sensor. Raises ValueError, WeightsError
        and SourceError among them, that says what to do.
        """
        perception = cls.__new__(cls)
        perception._begin(open_network(architecture, variant, weights_file, Options(
            device, precision, backend, threads, (height, width),
            Sources(depth_source, semantics_source))), height, width)
        return perception

    def with_temperature(self, temperature: float) -> Perception:
        """Return the same network, not loaded again, with another temperature in its card."""
        other = copy.copy(self)
        other.card = replace(self.card, temperature=temperature)
        return other

    def smaller(self, share: float) -> Perception:
        """Return the same network, not loaded again, with a ``share`` of its rows and columns."""
        other = copy.copy(self)
        other._share = share * self._share
        return other

    def folded(self, label_set: LabelSet) -> Perception:
        """
        Return the same network, not loaded again, that predicts the classes of ``label_set``.

        See ``Prediction.folded``. ValueError if no map leads to these classes.
        """
        assert self.label_set is not None
        if label_set.names == self.label_set.names:
            return self
        other = copy.copy(self)
        other._fold, other.label_set = fold_matrix(self.label_set, label_set), label_set
        # It was fitted to the confidence of the finer classes.
        other.card = replace(self.card, depth_deviation=None)
        return other

    @property
    def device(self) -> Any:
        return self.backend.device

    @property
    def precision(self) -> str:
        return self.backend.precision

    @property
    def backend_name(self) -> str:
        """Return name and version of the runtime."""
        return f'{self.backend.name} {self.backend.version}'

    @property
    def reads_measured(self) -> bool:
        """Return whether measured depth changes the result."""
        return self.inputs is not None and self.inputs.reads_measured

    def refuse_sensor(self) -> None:
        """Raise SourceError if a source reads a depth camera: the caller has pictures alone."""
        if self.reads_measured:
            assert self.inputs is not None
            raise SourceError(f'depth_source {self.inputs.sources.depth!r} reads a depth camera, '
                              'which these pictures do not have; jrn_node reads one on '
                              'sensor_depth, and jrn_evaluate dataset --simulate-sensor has one')

    @property
    def corrects_focal_length(self) -> bool:
        """Return whether the focal length of a camera changes its depth."""
        if self.inputs is not None and self.inputs.depth_model is not None:
            return self.inputs.depth_model.focal_length is not None
        return self.card.focal_length is not None

    @property
    def can_mute(self) -> bool:
        return self.backend.can_mute

    @property
    def refines(self) -> bool:
        """Return whether the network, a JRN, refines predictions that its maps also hold."""
        return bool(self.card.spec.inputs)

    def __call__(self, rgb: np.ndarray, mute: str = 'none', mute_value: str = 'zero',
                 focal_length: tuple[float, float] | None = None,
                 measured: np.ndarray | None = None) -> Prediction:
        """
        Return the prediction for uint8 RGB (H, W, 3) of any size.

        ``focal_length`` (x, y) of the camera, in pixels of the picture, makes the depth metric for
        cameras other than that of training (see ``depth_scale``). ``mute`` replaces one input of a
        JRN, or what one task of a symbiosis network tells the other: none, depth, semantics;
        ``mute_value`` is the replacement: zero, mean, noise. ``measured`` are metres of a depth
        camera with the same view, NaN or 0 in holes, for the sources that use them. Raises
        ValueError for another array, or for muting a network that has no such input.
        """
        picture = self.preprocess(rgb)
        maps = self.infer(picture[None], SetUp(mute, mute_value),
                          self.sourced(rgb, picture, measured, focal_length))
        return self.postprocess(maps, rgb.shape[:2], focal_length)

    def preprocess(self, rgb: np.ndarray) -> np.ndarray:
        """
        Return uint8 RGB (H, W, 3) as the network gets it: its size (h, w, 3), its channel order.

        ValueError for another array.
        """
        if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.size == 0:
            raise ValueError(f'a picture is uint8 (H, W, 3), got {rgb.dtype} {rgb.shape}')
        return resize_picture(rgb, self.inference_size(*rgb.shape[:2]), self.card.preprocessing)

    def sourced(self, rgb: np.ndarray, picture: np.ndarray, measured: np.ndarray | None = None,
                focal_length: tuple[float, float] | None = None) -> ArrayMaps | None:
        """
        Return the inputs of ``infer`` for one picture from other sources than the JRN's networks.

        None if its networks are the sources. ``picture`` is the preprocessed ``rgb``; for
        ``measured`` and ``focal_length`` see ``__call__``. Raises SourceError for depth that is
        not registered to the picture, and Unmeasured if a source needs more of it.
        """
        if self.inputs is None:
            return None
        if measured is not None:
            check_registered(measured, rgb.shape[:2])
            measured = measured / np.float32(self.depth_scale(rgb.shape[:2], focal_length))
        return self.inputs.maps(Seen(rgb, picture, measured))

    def infer(self, pictures: np.ndarray, set_up: SetUp | None = None,
              inputs: ArrayMaps | None = None) -> ArrayMaps:
        """
        Return the network's maps for preprocessed pictures (B, h, w, 3).

        For a JRN ``set_up`` chooses what is muted, and ``inputs``, the ``inputs`` of its maps for
        the same pictures, spare its single-task networks a second run. ValueError for muting a
        network that has no such input.
        """
        set_up = set_up or SetUp()
        if not self.can_mute and (set_up.mute != 'none' or set_up.influence):
            if self.card.spec.can_mute:
                raise ValueError(f'mute {set_up.mute!r}: an exported {self.card.architecture} '
                                 'cannot be muted; choose the backend torch')
            raise ValueError(f'mute {set_up.mute!r}: {self.card.architecture} has no such input; '
                             'only a jrn has, and symbiosis between its tasks')
        if self.inputs is not None and inputs is None:
            raise ValueError('the inputs of the sources are missing: see Perception.sourced')
        return self.backend.run(pictures, set_up, inputs)

    def postprocess(self, maps: ArrayMaps, size: tuple[int, int],
                    focal_length: tuple[float, float] | None = None, index: int = 0
                    ) -> Prediction:
        """Return the prediction for picture ``index`` of a batch, of ``size`` (height, width)."""
        own = self.label_set if self._fold is None else self.card.label_set
        prediction = Prediction(maps.at(index), size, own, self.depth_scale(size, focal_length),
                                self.card.depth_range, self.card.temperature,
                                self.card.depth_deviation)
        if self._fold is None:
            return prediction
        assert self.label_set is not None
        return prediction.folded(self._fold, self.label_set)

    def depth_scale(self, size: tuple[int, int],
                    focal_length: tuple[float, float] | None = None) -> float:
        """
        Return what turns the network's depth into metres for a picture (height, width).

        The network has learned how large things are in pixels at a distance, under one focal
        length. Under another, counted in pixels of the network's input, the same picture shows
        things that are farther away in proportion. Where the focal length (x, y) of the camera or
        of training is not known, the camera is taken for that of training: what remains is the
        ratio of the input's size to the size of training. A depth source of somebody else has a
        focal length of its own; if it does not tell one, its metres are taken as they are.
        """
        if self.inputs is not None and self.inputs.depth_model is not None:
            return self.inputs.depth_scale(size, focal_length)
        height, width = self.inference_size(*size)
        trained = self.card.focal_length
        if focal_length is None or trained is None:
            return focal_ratio((width, height), self._usual_size(*size)[::-1])
        return focal_ratio((focal_length[0] * width / size[1], focal_length[1] * height / size[0]),
                           trained)

    def warm_up(self) -> None:
        """Run one picture, so that later ones need no allocations and a misfit shows now."""
        rgb = np.zeros((*self.card.input_size, 3), np.uint8)
        picture = self.preprocess(rgb)
        inputs = None if self.inputs is None else self.inputs.warm_up(picture)
        self.postprocess(self.infer(picture[None], None, inputs), rgb.shape[:2])

    def gpu_memory_mb(self) -> float:
        """Return the megabytes that tensors hold on the GPU; 0 on a CPU."""
        return self.backend.memory_mb()

    def inference_size(self, height: int, width: int) -> tuple[int, int]:
        """
        Return the (height, width) that a picture of this size is resized to.

        By default as many pixels as in training, in the picture's aspect: constant cost.
        """
        full = self._full_size(height, width)
        if self._share == 1:
            return full
        step = self.card.preprocessing.multiple_of
        return multiple(self._share * full[0], step), multiple(self._share * full[1], step)

    def _full_size(self, height: int, width: int) -> tuple[int, int]:
        wanted_height, wanted_width = self._requested
        if wanted_height and wanted_width:
            return wanted_height, wanted_width
        step = self.card.preprocessing.multiple_of
        if wanted_height:
            return wanted_height, multiple(wanted_height * width / height, step)
        if wanted_width:
            return multiple(wanted_width * height / width, step), wanted_width
        return self._usual_size(height, width)

    def _usual_size(self, height: int, width: int) -> tuple[int, int]:
        return input_size_for(self.card.input_size, height, width,
                              self.card.preprocessing.multiple_of)
