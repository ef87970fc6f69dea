# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""A network of a few weights and frames of a few pixels, for tests of training."""

from jrn_perception.frame import Frame
from jrn_perception.networks.interface import Maps
from jrn_perception.training.recipes import Recipe
from jrn_perception.training.views import Augmentation, Views
import numpy as np
import torch
from torch import nn

SIZE = (16, 24)
CLASSES = 4
RECIPE = Recipe(('hydranet', 'nyu40'), epochs=1, batch_size=2, input_size=SIZE, crop=SIZE,
                colour_jitter=0., mix_share=0., loss_stride=1, encoder_rate=1e-2,
                decoder_rate=2e-2)


class Tiny(nn.Module):
    """An encoder and two heads, of one convolution each, at the size of the picture."""

    def __init__(self, seed=0, tasks=('depth', 'semantics')):
        super().__init__()
        torch.manual_seed(seed)
        self.encoder = nn.Conv2d(3, 8, 3, padding=1)
        outputs = {'depth': 1, 'semantics': CLASSES}
        self.heads = nn.ModuleDict({task: nn.Conv2d(8, outputs[task], 1) for task in tasks})

    def forward(self, image):
        features = self.encoder(image).relu()
        return Maps(**{task: head(features) for task, head in self.heads.items()})


def frame(seed=0, depth=True, labels=True):
    generator = np.random.default_rng(seed)
    return Frame(generator.integers(0, 256, (*SIZE, 3), np.uint8),
                 depth=generator.uniform(1, 5, SIZE).astype(np.float32) if depth else None,
                 labels=generator.integers(0, CLASSES, SIZE, np.uint8) if labels else None)


# Frames with one annotation, the other, both and none.
MIXED = (frame(0, labels=False), frame(1, depth=False), frame(2), frame(3, False, False))


def samples(frames, augment=True):
    return Views(frames, SIZE, Augmentation(SIZE, zoom=(0.9, 1.2)) if augment else None)


def batch_of(*frames):
    found = [samples([f], augment=False)[0] for f in frames]
    return {name: torch.stack([sample[name] for sample in found]) for name in found[0]}
