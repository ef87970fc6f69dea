# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Depth and semantics of a picture in one call, without ROS."""

from __future__ import annotations

from contextlib import nullcontext

from jrn_perception import weights
from jrn_perception.networks.interface import Maps, MEAN, STD
from jrn_perception.networks.layers import fold_batch_norms
from jrn_perception.perception.backends.torch import DTYPES, select_device, select_precision
from jrn_perception.perception.prediction import Prediction
from jrn_perception.perception.preprocessing import (
    focal_ratio,
    input_size_for,
    multiple_of_stride,
    resize_picture,
)
import numpy as np
import torch
from torch import nn, Tensor


class Perception:
    """
    A network that is ready for pictures: ``perception(rgb) -> Prediction``.

    ``Perception.load('jrn', 'sum60')`` takes the weights that come with the package. ``card``
    tells what is loaded, ``label_set`` what the labels mean.
    """

    def __init__(self, loaded: weights.Loaded, device: str = 'auto', precision: str = 'auto',
                 height: int = 0, width: int = 0):
        self.card, self.source = loaded.card, loaded.source
        self.label_set = loaded.card.label_set
        self.device = select_device(device)
        wanted = loaded.card.precision if precision == 'auto' else precision
        self.precision = select_precision(wanted, self.device)
        if height < 0 or width < 0:
            raise ValueError(f'inference size {height}x{width}: 0 (the trained size) or positive')
        self._requested = height, width
        network = fold_batch_norms(loaded.network)
        self._network: nn.Module = network.to(self.device, memory_format=torch.channels_last)
        # Whether there are modalities at its input that can be muted.
        self.mutable = bool(loaded.card.spec.inputs)
        self._mean = torch.tensor(MEAN, device=self.device).view(3, 1, 1) * 255
        self._std = torch.tensor(STD, device=self.device).view(3, 1, 1) * 255

    @classmethod
    def load(cls, architecture: str = 'jrn', variant: str = '', *, weights_file: str = '',
             device: str = 'auto', precision: str = 'auto', height: int = 0,
             width: int = 0) -> Perception:
        """
        Return a ``Perception`` with the shipped weights or those of ``weights_file``.

        ``device``: auto, cpu, cuda or cuda:N; ``precision``: auto, fp32, fp16 or bf16; ``height``
        and ``width`` of the network's input: 0 for the size of training, keeping the picture's
        aspect. Raises ValueError, WeightsError among them, that says what to do.
        """
        return cls(weights.load(architecture, variant, weights_file), device, precision, height,
                   width)

    def __call__(self, rgb: np.ndarray, mute: str = 'none', mute_value: str = 'zero',
                 focal_length: tuple[float, float] | None = None) -> Prediction:
        """
        Return the prediction for uint8 RGB (H, W, 3) of any size.

        ``focal_length`` (x, y) of the camera, in pixels of the picture, makes the depth metric for
        cameras other than that of training (see ``depth_scale``).
        ``mute`` replaces one input of a JRN: none, depth, semantics; ``mute_value`` by what: zero,
        mean, noise. Raises ValueError for another array, or to mute what has no such input.
        """
        if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.size == 0:
            raise ValueError(f'a picture is uint8 (H, W, 3), got {rgb.dtype} {rgb.shape}')
        return self.postprocess(self.infer(self.preprocess(rgb), mute, mute_value), rgb.shape[:2],
                                focal_length)

    def preprocess(self, rgb: np.ndarray) -> Tensor:
        """Return the network's input (1, 3, h, w) on its device."""
        height, width = self.inference_size(*rgb.shape[:2])
        small = resize_picture(rgb, (height, width))
        # (h, w, 3) seen as (1, 3, h, w) is what channels_last means: nothing is moved.
        image = torch.from_numpy(small).to(self.device).permute(2, 0, 1)[None]
        return (image - self._mean) / self._std

    @torch.inference_mode()
    def infer(self, image: Tensor, mute: str = 'none', mute_value: str = 'zero',
              influence: bool = False) -> Maps:
        """
        Return the network's maps for a preprocessed picture; waits for a GPU to finish.

        With ``influence`` a JRN refines in the three set-ups of the influence test at once.
        """
        arguments = {}
        if self.mutable:
            arguments = {'mute': mute, 'mute_value': mute_value, 'influence': influence}
        elif mute != 'none' or influence:
            raise ValueError(f'mute {mute!r}: {self.card.architecture} has no such input; only a '
                             'jrn has')
        with self._autocast():
            maps = self._network(image, **arguments)
        if self.device.type == 'cuda':
            torch.cuda.synchronize(self.device)
        return maps

    def postprocess(self, maps: Maps, size: tuple[int, int],
                    focal_length: tuple[float, float] | None = None) -> Prediction:
        """Return the prediction for a picture of ``size`` (height, width)."""
        scale = 1.0 if focal_length is None else self.depth_scale(size, focal_length)
        return Prediction(maps, tuple(size), self.label_set, scale)

    def depth_scale(self, size: tuple[int, int], focal_length: tuple[float, float]) -> float:
        """
        Return what turns the network's depth into metres for a camera of this focal length.

        The network has learned how large things are in pixels at a distance, under one focal
        length. Under another, counted in pixels of the network's input, the same picture is of
        things farther away in proportion. 1 where the weights do not tell theirs.
        """
        trained = self.card.focal_length
        if trained is None:
            return 1.0
        height, width = self.inference_size(*size)
        return focal_ratio((focal_length[0] * width / size[1], focal_length[1] * height / size[0]),
                           trained)

    def warm_up(self) -> None:
        """Run one picture: later ones do not wait for allocations, and a misfit shows here."""
        self(np.zeros((*self.card.input_size, 3), np.uint8))

    def gpu_memory_mb(self) -> float:
        """Return the megabytes that tensors hold on the GPU; 0 on a CPU."""
        if self.device.type != 'cuda':
            return 0.0
        return torch.cuda.memory_allocated(self.device) / 2 ** 20

    def inference_size(self, height: int, width: int) -> tuple[int, int]:
        """
        Return the (height, width) that a picture of this size is resized to.

        By default as many pixels as in training, in the picture's aspect: constant cost.
        """
        wanted_height, wanted_width = self._requested
        if wanted_height and wanted_width:
            return wanted_height, wanted_width
        if wanted_height:
            return wanted_height, multiple_of_stride(wanted_height * width / height)
        if wanted_width:
            return multiple_of_stride(wanted_width * height / width), wanted_width
        return input_size_for(self.card.input_size, height, width)

    def _autocast(self):
        if self.precision == 'fp32':
            return nullcontext()
        return torch.autocast(self.device.type, DTYPES[self.precision])
