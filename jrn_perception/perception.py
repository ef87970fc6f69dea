# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Depth and semantics of a picture in one call, without ROS."""

from __future__ import annotations

from contextlib import nullcontext
from functools import cached_property
import math

import cv2
from jrn_perception import weights
from jrn_perception.labels import LabelSet, UNLABELLED
from jrn_perception.networks.layers import fold_batch_norms
from jrn_perception.networks.maps import Maps, MEAN, STD
import numpy as np
import torch
from torch import nn, Tensor

# Inference sizes are multiples of the coarsest feature map's stride: no row or column is padding.
STRIDE = 32
# Relative; a card rounds to 0.001 pixels.
SAME_CAMERA = 1e-5
# Logits are enlarged as far towards the picture's size as this many values go, before the class is
# decided; the rest of the way decisions are copied. Five classes fit at 640x480. All the way for
# forty takes 10 ms, more than all else around the network, and changes a pixel in forty:
# benchmarks/upsampling.py.
LOGIT_BUDGET = 2 ** 21

PRECISIONS = ('auto', 'fp32', 'fp16', 'bf16')
_DTYPES = {'fp32': torch.float32, 'fp16': torch.float16, 'bf16': torch.bfloat16}


class Prediction:
    """
    What a network says about one picture, at the picture's size.

    Each property is computed when it is first read, so that nobody pays for what nobody wants.
    ``depth``: float32 (H, W), metres along the optical axis. ``labels``: uint8 (H, W), ids of
    ``label_set``. ``confidence``: float32 (H, W), 0..1, the largest class probability, decided at
    the network's resolution and interpolated. ``inputs``: the unrefined prediction that a JRN
    started from. ``depth_scale``: what the network's depth was multiplied by for the camera's
    focal length. What the network does not predict is None.
    """

    def __init__(self, maps: Maps, size: tuple[int, int], label_set: LabelSet | None,
                 depth_scale: float = 1.0):
        self._maps, self._size, self.label_set = maps, size, label_set
        self.depth_scale = depth_scale

    @cached_property
    def depth(self) -> np.ndarray | None:
        if self._maps.depth is None:
            return None
        depth = self.depth_scale * self._maps.depth[0, 0].float()
        return _enlarge(depth.cpu().numpy(), self._size, smooth=True)

    @cached_property
    def labels(self) -> np.ndarray | None:
        if self._maps.semantics is None:
            return None
        logits = self._logits.numpy()
        height, width, count = logits.shape
        scale = math.sqrt(LOGIT_BUDGET / (height * width * count))
        size = (max(height, min(self._size[0], int(height * scale))),
                max(width, min(self._size[1], int(width * scale))))
        # OpenCV and NumPy on (h, w, K) take a tenth of torch's time on (K, h, w) here.
        labels = _enlarge(logits, size, smooth=True).argmax(2).astype(np.uint8)
        return _enlarge(labels, self._size, smooth=False)

    @cached_property
    def confidence(self) -> np.ndarray | None:
        if self._maps.semantics is None:
            return None
        # The softmax of the largest logit, without the other K - 1 quotients.
        largest = (self._logits.amax(2) - self._logits.logsumexp(2)).exp()
        return _enlarge(largest.numpy(), self._size, smooth=True)

    @cached_property
    def inputs(self) -> Prediction | None:
        if self._maps.inputs is None:
            return None
        return Prediction(self._maps.inputs, self._size, self.label_set, self.depth_scale)

    @cached_property
    def normals(self) -> np.ndarray | None:
        """Return surface normals, float32 (H, W, 3) of length 1, where the network has them."""
        if self._maps.normals is None:
            return None
        normals = self._maps.normals[0].permute(1, 2, 0).float().cpu().contiguous().numpy()
        normals = _enlarge(normals, self._size, smooth=True)
        return normals / np.maximum(np.linalg.norm(normals, axis=2, keepdims=True), 1e-6)

    @cached_property
    def influence_depth(self) -> np.ndarray | None:
        """Return metres by which semantics moved the depth, float32 (H, W); see ``Influence``."""
        if self._maps.influence is None:
            return None
        moved = self.depth_scale * self._maps.influence.depth[0, 0].float()
        return _enlarge(moved.cpu().numpy(), self._size, smooth=True)

    @cached_property
    def influence_semantics(self) -> np.ndarray | None:
        """Return the probability that depth added to the class, float32 (H, W), -1..1."""
        if self._maps.influence is None:
            return None
        moved = self._maps.influence.semantics[0, 0].float()
        return _enlarge(moved.cpu().numpy(), self._size, smooth=True)

    @cached_property
    def mean_influence(self) -> tuple[float, float] | None:
        """Return mean absolute metres and mean absolute probability of both influences."""
        if self._maps.influence is None:
            return None
        # Of the enlarged maps, which interpolation between unlike signs has made smaller: the
        # numbers are to be those of what is published.
        depth, semantics = (float(np.abs(moved).mean(dtype=np.float64))
                            for moved in (self.influence_depth, self.influence_semantics))
        return depth, semantics

    @cached_property
    def _logits(self) -> Tensor:
        """Return the logits (h, w, K) on the CPU; a view of a channels_last network's output."""
        return self._maps.semantics[0].permute(1, 2, 0).float().cpu().contiguous()


def resize_picture(rgb: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """
    Return (H, W, 3) at (height, width) ``size``, as networks get it, in training and at work.

    How sharp that is moves what they say of depth by a few per cent.
    """
    shrinks = size[0] * size[1] < rgb.shape[0] * rgb.shape[1]
    return cv2.resize(rgb, size[::-1],
                      interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def input_size_for(trained: tuple[int, int], height: int, width: int) -> tuple[int, int]:
    """
    Return the (height, width) of a network's input for a picture of this size.

    As many pixels as ``trained`` (height, width), in the picture's aspect: constant cost.
    """
    scale = math.sqrt(trained[0] * trained[1] / (height * width))
    return _multiple(scale * height), _multiple(scale * width)


def focal_ratio(of: tuple[float, float], to: tuple[float, float]) -> float:
    """
    Return how much longer one focal length (x, y) is than another, in pixels of the same input.

    Under the longer one the same picture is of things farther away in proportion. 1 for the camera
    of training, whose focal length a card has rounded.
    """
    ratio = math.sqrt(of[0] * of[1] / (to[0] * to[1]))
    return 1.0 if abs(ratio - 1) < SAME_CAMERA else ratio


def limit_depth(depth: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return a copy of ``depth`` with NaN, "invalid" (REP 118), outside ``low``..``high``."""
    return np.where((depth >= low) & (depth <= high), depth, np.float32(math.nan))


def limit_labels(prediction: Prediction, threshold: float) -> np.ndarray:
    """Return the labels with 255 where the confidence is below ``threshold``."""
    if threshold <= 0:
        return prediction.labels
    return np.where(prediction.confidence >= threshold, prediction.labels, np.uint8(UNLABELLED))


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
        self.precision = select_precision(precision, self.device)
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
            return wanted_height, _multiple(wanted_height * width / height)
        if wanted_width:
            return _multiple(wanted_width * height / width), wanted_width
        return input_size_for(self.card.input_size, height, width)

    def _autocast(self):
        if self.precision == 'fp32':
            return nullcontext()
        return torch.autocast(self.device.type, _DTYPES[self.precision])


def select_device(name: str) -> torch.device:
    """
    Return the device for ``auto`` (CUDA if there is one, else the CPU), cpu, cuda or cuda:N.

    Raises ValueError for a device that is not there: an explicit wish is never replaced.
    """
    if name == 'auto':
        return torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ('cpu', 'cuda'):
        raise ValueError(f'device {name!r}: choose from auto, cpu, cuda, cuda:N')
    count = torch.cuda.device_count()
    if device.type == 'cuda' and (device.index or 0) >= count:
        raise ValueError(f'device {name!r} is not there: torch {torch.__version__} sees {count} '
                         'CUDA devices; use device:=auto or cpu, or install a CUDA build of torch')
    return device


def select_precision(name: str, device: torch.device) -> str:
    """Return fp32, fp16 or bf16; ``auto`` is fp16 on CUDA and fp32 on a CPU. ValueError."""
    if name not in PRECISIONS:
        raise ValueError(f'precision {name!r}: choose from {", ".join(PRECISIONS)}')
    if name == 'auto':
        return 'fp16' if device.type == 'cuda' else 'fp32'
    if name == 'fp16' and device.type == 'cpu':
        raise ValueError("precision 'fp16' needs a CUDA device; on a CPU choose fp32 or bf16")
    return name


def knows_bfloat16(device: torch.device) -> bool:
    """Return whether bfloat16 is faster than float32 there: CPUs that emulate it are slower."""
    return device.type == 'cuda' or torch.cpu._is_avx512_bf16_supported()


def _multiple(length: float) -> int:
    return max(STRIDE, STRIDE * round(length / STRIDE))


def _enlarge(array: np.ndarray, size: tuple[int, int], smooth: bool) -> np.ndarray:
    interpolation = cv2.INTER_LINEAR if smooth else cv2.INTER_NEAREST_EXACT
    return cv2.resize(array, size[::-1], interpolation=interpolation)
