# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
The joint refinement network (JRN) and the modular pipeline around it.

"Analyzing Modular CNN Architectures for Joint Depth Prediction and Semantic Segmentation", ICRA
2017 (arXiv:1702.08009). Fig. 2: three scale branches at 1/8, 1/4 and 1/2 of the image, joined by
concatenation; Fig. 3: the branch. The paper fixes the inputs (absolute depth in metres, class
probabilities), the 20 channels per modality, the fusion, the C channels of the branch, ReLU after
each convolution and direct prediction. Each choice that it leaves open is a field of
``JRNOptions``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from jrn_perception.networks.geometry import CHANNELS, geometry
from jrn_perception.networks.interface import Influence, Maps, MUTE, MUTE_VALUES
from jrn_perception.networks.layers import convolve_exactly, resize
import torch
from torch import nn, Tensor
from torch.nn import functional

MODALITY_CHANNELS = 20
SCALES = (8, 4, 2)


def _choice(*choices: Any) -> Any:
    """Return a dataclass field whose default is the first of its ``choices``."""
    return field(default=choices[0], metadata={'choices': choices})


@dataclass(frozen=True)
class JRNOptions:
    """
    The choices that the paper leaves open; each default is the reading closest to its text.

    ``downsampling`` of the two inputs: ``area`` or ``bilinear`` (antialiased). ``output_stride``:
    the branches meet at 1/2 of the image, the finest branch's resolution, or at 1/4, which is then
    also the finest branch's resolution. ``upsampling`` of the coarser branches. ``head_kernel``:
    the kernel size of the two output convolutions. ``depth_activation``: the activation of the
    depth output. ``squeeze``: C channels in the whole ``branch``, or only in the convolution after
    the ``fusion``, followed by 60. ``residual``: predict corrections of the inputs (metres; log
    probabilities) instead of the outputs themselves. ``semantics_input``: class probabilities or
    one-hot decisions. ``depth_input``: metres or their natural logarithm. Two more inputs of the
    depth branch: ``validity``, which part of a pixel's depth a sensor has measured, and
    ``geometry``, surface normals and the height over the floor (``networks.geometry``).
    """

    downsampling: str = _choice('area', 'bilinear')
    output_stride: int = _choice(2, 4)
    upsampling: str = _choice('bilinear', 'nearest')
    head_kernel: int = _choice(3, 1)
    depth_activation: str = _choice('none', 'relu')
    squeeze: str = _choice('branch', 'fusion')
    residual: bool = _choice(False, True)
    semantics_input: str = _choice('probabilities', 'one_hot')
    depth_input: str = _choice('metres', 'log')
    validity: bool = _choice(False, True)
    geometry: bool = _choice(False, True)

    def __post_init__(self) -> None:
        for option in fields(self):
            value, choices = getattr(self, option.name), option.metadata['choices']
            if value not in choices:
                raise ValueError(f'JRN option {option.name}={value!r}: choose from '
                                 f'{", ".join(map(str, choices))}')


def _conv(inputs: int, outputs: int, kernel: int = 3) -> nn.Conv2d:
    conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)
    nn.init.kaiming_normal_(conv.weight, nonlinearity='relu')
    nn.init.zeros_(conv.bias)
    return conv


class Branch(nn.Module):
    """One scale (Fig. 3): 20 channels per modality, fusion ``op``, three convolutions."""

    def __init__(self, fusion: str, channels: int, outputs: int, num_classes: int,
                 depth_channels: int = 1):
        super().__init__()
        self.fusion = fusion
        self.depth = _conv(depth_channels, MODALITY_CHANNELS)
        self.semantics = _conv(num_classes, MODALITY_CHANNELS)
        fused = MODALITY_CHANNELS * (2 if fusion == 'cat' else 1)
        self.convolutions = nn.ModuleList(
            (_conv(fused, channels), _conv(channels, outputs), _conv(outputs, outputs)))
        for convolution in self.convolutions:
            # The inputs of these layers are never negative. After a ReLU, a single filter with a
            # negative sum gives a constant 0 and never learns. Changing its sign gives a filter
            # that was equally likely to be drawn.
            if convolution.out_channels == 1:
                convolution.weight.data *= convolution.weight.data.sum().sign()

    def forward(self, depth: Tensor, semantics: Tensor) -> Tensor:
        depth = functional.relu(self.depth(depth))
        semantics = functional.relu(self.semantics(semantics))
        x = torch.cat((depth, semantics), 1) if self.fusion == 'cat' else depth + semantics
        for convolution in self.convolutions:
            x = functional.relu(convolution(x))
        return x


class JointRefinementNetwork(nn.Module):
    """
    Refine a depth map and a semantic map by each other.

    ``fusion`` is ``cat`` or ``sum``, ``channels`` the C of the variant's name (Cat60, Sum60,
    Cat10, Cat5, Cat1). The statistics of the values that replace a muted input (``mean`` and
    ``noise``) are buffers, set by training: depth's mean and standard deviation and the mean
    probability of each class.
    """

    def __init__(self, fusion: str, channels: int, num_classes: int = 5,
                 options: JRNOptions | None = None):
        super().__init__()
        if fusion not in ('cat', 'sum'):
            raise ValueError(f'fusion {fusion!r}: choose from cat, sum')
        self.options = options = options or JRNOptions()
        outputs = 60 if options.squeeze == 'fusion' else channels
        self.branches = nn.ModuleList(
            Branch(fusion, channels, outputs, num_classes,
                   1 + options.validity + CHANNELS * options.geometry) for _ in SCALES)
        joined = outputs * len(SCALES)
        self.fuse = _conv(joined, joined)
        self.predict_depth = _conv(joined, 1, options.head_kernel)
        self.predict_semantics = _conv(joined, num_classes, options.head_kernel)
        if options.residual:
            # The first corrections are zero: training starts at the accuracy of the inputs.
            nn.init.zeros_(self.predict_depth.weight)
            nn.init.zeros_(self.predict_semantics.weight)
        self.register_buffer('depth_mean', torch.tensor(2.7))
        self.register_buffer('depth_std', torch.tensor(1.3))
        self.register_buffer('class_mean', torch.full((num_classes,), 1 / num_classes))
        if options.geometry:
            # In pixels of the image, of the camera that the depth is for; set by training.
            self.register_buffer('focal_length', torch.tensor((311., 311.)))

    @property
    def output_stride(self) -> int:
        return self.options.output_stride

    def forward(self, depth: Tensor, probabilities: Tensor, size: tuple[int, int],
                mute: str = 'none', mute_value: str = 'zero',
                validity: Tensor | None = None) -> Maps:
        """
        Return refined depth (metres) and logits at 1/``output_stride`` of the image.

        ``depth`` (B, 1, h, w) in metres and ``probabilities`` (B, K, h, w) may have any
        resolution; ``size`` is the (height, width) of the image. The branches run at 1/8, 1/4 and
        1/2 of it. ``mute`` names the input to replace before any computation (Sec. III-C, the
        influence test), ``mute_value`` its replacement: ``zero``, its ``mean`` over the training
        set, or seeded ``noise``. ``validity`` (B, 1, h, w), 0..1, counts under the option of this
        name: which part of a pixel's depth was measured, none if it is not given or depth is
        muted. Raises ValueError for other names.
        """
        depth, probabilities = self.muted(depth, probabilities, mute, mute_value)
        stride = self.options.output_stride
        target = _scaled(size, stride)
        seen_depth = depth.clamp(min=0.1).log() if self.options.depth_input == 'log' else depth
        if self.options.validity:
            measured = torch.zeros_like(depth) if validity is None or mute == 'depth' else (
                resize(validity, depth.shape[-2:]).to(depth.dtype))
            seen_depth = torch.cat((seen_depth, measured), 1)
        if self.options.geometry:
            seen_depth = torch.cat((seen_depth, geometry(depth, self.focal_length, size)), 1)
        seen_semantics = probabilities
        # Muted semantics are not a decision for a class.
        if self.options.semantics_input == 'one_hot' and mute != 'semantics':
            seen_semantics = functional.one_hot(
                probabilities.argmax(1), probabilities.shape[1]).movedim(-1, 1).to(depth.dtype)
        features = []
        for scale, branch in zip(SCALES, self.branches):
            local = _scaled(size, max(scale, stride))
            x = branch(self._shrink(seen_depth, local), self._shrink(seen_semantics, local))
            features.append(self._grow(x, target))
        x = functional.relu(self.fuse(torch.cat(features, 1)))
        new_depth = convolve_exactly(self.predict_depth, x)
        logits = convolve_exactly(self.predict_semantics, x)
        if self.options.residual:
            new_depth = new_depth + self._shrink(depth, target)
            logits = logits + self._shrink(probabilities, target).clamp(min=1e-4).log()
        if self.options.depth_activation == 'relu':
            new_depth = functional.relu(new_depth)
        return Maps(new_depth, logits)

    def muted(self, depth: Tensor, probabilities: Tensor, mute: str,
              value: str) -> tuple[Tensor, Tensor]:
        """Return both inputs after replacing the input ``mute``; ValueError for other names."""
        if mute not in MUTE:
            raise ValueError(f'mute {mute!r}: choose from {", ".join(MUTE)}')
        if value not in MUTE_VALUES:
            raise ValueError(f'mute_value {value!r}: choose from {", ".join(MUTE_VALUES)}')
        if mute == 'depth':
            depth = {'zero': torch.zeros_like, 'mean': self._mean_depth,
                     'noise': self._noisy_depth}[value](depth)
        elif mute == 'semantics':
            probabilities = {'zero': torch.zeros_like, 'mean': self._mean_semantics,
                             'noise': self._noisy_semantics}[value](probabilities)
        return depth, probabilities

    def _mean_depth(self, depth: Tensor) -> Tensor:
        return self.depth_mean.to(depth.dtype).expand_as(depth)

    def _mean_semantics(self, probabilities: Tensor) -> Tensor:
        mean = self.class_mean.to(probabilities.dtype)
        return mean.view(1, -1, 1, 1).expand_as(probabilities)

    def _noisy_depth(self, depth: Tensor) -> Tensor:
        """Return independent pixels with the training set's mean and spread, none below 0 m."""
        return (self.depth_mean + self.depth_std * _noise(depth)).clamp(min=0).to(depth.dtype)

    def _noisy_semantics(self, probabilities: Tensor) -> Tensor:
        """Return an independent class distribution per pixel: the softmax of normal logits."""
        return _noise(probabilities).softmax(1).to(probabilities.dtype)

    def _shrink(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        if size[0] >= x.shape[-2] or self.options.downsampling == 'bilinear':
            if tuple(x.shape[-2:]) == size:
                return x
            return functional.interpolate(x, size=size, mode='bilinear', align_corners=False,
                                          antialias=size[0] < x.shape[-2])
        return functional.adaptive_avg_pool2d(x, size)

    def _grow(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        if self.options.upsampling == 'nearest':
            return functional.interpolate(x, size=size, mode='nearest-exact')
        return resize(x, size)


def _scaled(size: tuple[int, int], stride: int) -> tuple[int, int]:
    return -(-size[0] // stride), -(-size[1] // stride)


def _noise(like: Tensor) -> Tensor:
    """Return normal noise that depends on the shape alone, so that muted runs are repeatable."""
    generator = torch.Generator(like.device).manual_seed(0)
    return torch.randn(like.shape, generator=generator, device=like.device)


def _given(inputs: Maps) -> tuple[Tensor, Tensor]:
    """Return metres and class probabilities of unrefined maps."""
    assert inputs.depth is not None and inputs.semantics is not None
    return inputs.depth, inputs.semantics.exp()


class ModularNetwork(nn.Module):
    """
    Two single-task networks and the JRN that refines their predictions.

    ``fold`` (K, n), a 0/1 matrix, sums the n classes of the semantic network to the JRN's K.
    ``forward`` takes RGB (B, 3, H, W) normalised with the ImageNet mean and standard deviation
    and returns the refined ``Maps``. Their ``inputs`` are the unrefined maps, folded, as logits.
    With ``influence`` they also hold how far each modality moves the other's output.
    """

    def __init__(self, depth: nn.Module, semantics: nn.Module, refine: JointRefinementNetwork,
                 fold: Tensor):
        super().__init__()
        self.depth, self.semantics, self.refine = depth, semantics, refine
        self.register_buffer('fold', fold.float(), persistent=False)

    @property
    def output_stride(self) -> int:
        return self.refine.output_stride

    def predict_inputs(self, image: Tensor) -> Maps:
        """
        Return the unrefined maps: metres, and folded log probabilities in place of logits.

        A network that serves both tasks runs once.
        """
        semantics = self.semantics(image)
        depth = semantics if self.depth is self.semantics else self.depth(image)
        probabilities = semantics.semantics.float().softmax(1)
        # In float16, which autocast may use, the bound would be 0 and its logarithm infinite.
        folded = functional.conv2d(probabilities, self.fold[:, :, None, None]).float()
        return Maps(depth.depth, folded.clamp(min=1e-8).log())

    def forward(self, image: Tensor, mute: str = 'none', mute_value: str = 'zero',
                influence: bool = False, inputs: Maps | None = None) -> Maps:
        """
        Return the refined maps of (B, 3, H, W) images; ``mute`` is as in the JRN's ``forward``.

        Given ``inputs``, which ``predict_inputs`` returned for these images, the single-task
        networks do not run and only the size of ``image`` counts. So several JRNs, or one under
        several set-ups, share one run of the single-task networks.
        """
        if inputs is None:
            inputs = self.predict_inputs(image)
        size = tuple(image.shape[-2:])
        if influence:
            return self._all_setups(inputs, size, mute, mute_value)._replace(inputs=inputs)
        refined = self.refine(*_given(inputs), size, mute, mute_value, inputs.validity)
        return refined._replace(inputs=inputs)

    def _all_setups(self, inputs: Maps, size: tuple[int, int], mute: str, mute_value: str) -> Maps:
        """Refine in all set-ups of Fig. 4 as one batch; return ``mute``'s maps and influence."""
        given = _given(inputs)
        if self.refine.options.semantics_input == 'one_hot':
            # In a common batch muted semantics would count as decisions for a class.
            each = [self.refine(*given, size, setup, mute_value, inputs.validity)
                    for setup in MUTE]
            depths, logits = [maps.depth for maps in each], [maps.semantics for maps in each]
        else:
            pairs = [self.refine.muted(*given, setup, mute_value) for setup in MUTE]
            validity = None
            if inputs.validity is not None:
                validity = torch.cat([inputs.validity * (setup != 'depth') for setup in MUTE])
            maps = self.refine(*(torch.cat(part) for part in zip(*pairs)), size,
                               validity=validity)
            depths, logits = maps.depth.chunk(len(MUTE)), maps.semantics.chunk(len(MUTE))
        both, without_depth, without_semantics = range(len(MUTE))
        decided = logits[both].argmax(1, keepdim=True)
        probability = [x.softmax(1).gather(1, decided) for x in logits]
        chosen = MUTE.index(mute)
        return Maps(depths[chosen], logits[chosen], influence=Influence(
            depths[both] - depths[without_semantics],
            probability[both] - probability[without_depth]))
