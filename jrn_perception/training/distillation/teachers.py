# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Models of somebody else as teachers: see ``modules.dense.Teacher``."""

from __future__ import annotations

from jrn_perception.labels import LabelSet
from jrn_perception.networks.interface import Maps, MEAN, STD
from jrn_perception.networks.layers import resize
from jrn_perception.perception.inputs.interface import SourceError
from jrn_perception.perception.inputs.models import (
    depth_source,
    ModelDepth,
    ModelSemantics,
    semantics_source,
    task_of,
)
import torch
from torch import nn, Tensor


class ModelTeacher(nn.Module):
    """
    A depth model or a semantics model whose predictions are targets.

    It sees the same views as the network. ``focal_length`` (x, y) of these views, in their pixels,
    scales the metres of a depth model that tells its own.
    """

    def __init__(self, model: ModelDepth | ModelSemantics,
                 focal_length: tuple[float, float] | None = None):
        super().__init__()
        self.model, self.focal_length = model, focal_length

    @torch.no_grad()
    def forward(self, image: Tensor, size: tuple[int, int]) -> Maps:
        """Return metres or class probabilities, float32 of (height, width) ``size``."""
        mean, std = (torch.tensor(values, device=image.device).view(3, 1, 1)
                     for values in (MEAN, STD))
        pictures = (255 * (image * std + mean)).round().clamp(0, 255).to(torch.uint8)
        found = [self._map(picture) for picture in pictures.permute(0, 2, 3, 1).cpu()]
        maps = resize(torch.stack(found).to(image.device), size).float()
        return Maps(maps) if isinstance(self.model, ModelDepth) else Maps(semantics=maps)

    def _map(self, picture: Tensor) -> Tensor:
        rgb = picture.contiguous().numpy()
        if isinstance(self.model, ModelDepth):
            scale = self.model.scale(rgb.shape[:2], self.focal_length)
            depth = scale * self.model.depth(rgb, None)
            return torch.from_numpy(depth).float()[None]
        return torch.from_numpy(self.model.probabilities(rgb)).float().permute(2, 0, 1)


def model_teacher(name: str, labels: LabelSet | None,
                  focal_length: tuple[float, float] | None) -> ModelTeacher:
    """
    Return the teacher that is a Hugging Face model, an ONNX file or described by a yaml file.

    ``labels`` is the label set of the network that it teaches, None without semantics. Raises
    SourceError.
    """
    if task_of(name) == 'semantics':
        if labels is None:
            raise SourceError(f'{name}: a model of semantics cannot teach depth alone')
        return ModelTeacher(semantics_source(name, labels, 'auto', 0))
    model = depth_source(name, 'auto', 0)
    if model.needs_measured:
        raise SourceError(f'{name}: depth in the unit {model.unit} has no scale and cannot teach')
    return ModelTeacher(model, focal_length)
