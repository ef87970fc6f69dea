# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Small random models of other authors' classes, saved as their users save them."""

import json
from pathlib import Path

from jrn_perception.labels import ADE20K150
import numpy as np
import pytest
import torch
import yaml

transformers = pytest.importorskip('transformers', reason="needs '.[transformers]'")

# The head of a model card on the hub.
MODEL_CARD = '---\nlicense: apache-2.0\ntags:\n- vision\n---\n\n# A model\n'
PREPROCESSOR = {'do_normalize': True, 'image_mean': [0.5, 0.4, 0.3], 'image_std': [0.2, 0.3, 0.4],
                'size': {'height': 64, 'width': 64}}


def save(model, folder, preprocessor=None, card=MODEL_CARD):
    """Save a model with its preprocessing and its card; return the folder as text."""
    model.save_pretrained(folder)
    (folder / 'preprocessor_config.json').write_text(json.dumps(preprocessor or PREPROCESSOR))
    if card:
        (folder / 'README.md').write_text(card)
    return str(folder)


def segformer(folder, names=ADE20K150.names, **options):
    torch.manual_seed(0)
    config = transformers.SegformerConfig(
        depths=[1] * 4, hidden_sizes=[8] * 4, num_attention_heads=[1] * 4, decoder_hidden_size=8,
        id2label=dict(enumerate(names)), label2id={name: i for i, name in enumerate(names)})
    model = transformers.SegformerForSemanticSegmentation(config)
    # Random heads of such models decide for one class everywhere.
    model.decode_head.classifier.weight.data.normal_(0, 3)
    return save(model, folder, **options)


def glpn(folder, **options):
    torch.manual_seed(0)
    config = transformers.GLPNConfig(
        depths=[1] * 4, hidden_sizes=[8] * 4, num_attention_heads=[1] * 4, decoder_hidden_size=8,
        max_depth=10)
    return save(transformers.GLPNForDepthEstimation(config), folder, **options)


def depth_anything(folder, kind='metric', **options):
    torch.manual_seed(0)
    backbone = transformers.Dinov2Config(
        hidden_size=16, num_hidden_layers=4, num_attention_heads=2, image_size=56, patch_size=14,
        out_indices=[1, 2, 3, 4], apply_layernorm=True, reshape_hidden_states=False)
    config = transformers.DepthAnythingConfig(
        backbone_config=backbone, patch_size=14, reassemble_hidden_size=16,
        neck_hidden_sizes=[8] * 4, fusion_hidden_size=8, head_hidden_size=8,
        depth_estimation_type=kind, **({'max_depth': 20} if kind == 'metric' else {}))
    preprocessor = PREPROCESSOR | {'size': {'height': 56, 'width': 56}, 'ensure_multiple_of': 14}
    model = transformers.DepthAnythingForDepthEstimation(config)
    # A random model of this kind predicts the same everywhere.
    for name, parameter in model.named_parameters():
        if name.startswith(('neck.', 'head.')) and name.endswith('weight'):
            parameter.data.normal_(0, 0.1)
        elif name == 'head.conv3.bias':
            parameter.data.fill_(1)
    return save(model, folder, preprocessor, **options)


class _Depth(torch.nn.Module):
    """One value for each pixel: its weights in ``row``, plus 1."""

    def __init__(self, row):
        super().__init__()
        self.register_buffer('row', torch.tensor(row).view(1, 3, 1, 1))

    def forward(self, picture):
        return 1 + (self.row * picture).sum(1, keepdim=True)


class _Classes(torch.nn.Module):
    """Logits of ``count`` classes from the colours of each pixel."""

    def __init__(self, count):
        super().__init__()
        weights = torch.randn(count, 3, generator=torch.Generator().manual_seed(0))
        self.register_buffer('weights', 4 * weights.view(count, 3, 1, 1))

    def forward(self, picture):
        return torch.nn.functional.conv2d(picture, self.weights)


def _export(module, path, output):
    example = torch.zeros(1, 3, 48, 64)
    torch.onnx.export(module, (example,), str(path), input_names=['picture'], verbose=False,
                      output_names=[output], dynamo=True)


def describe(path, **entries):
    """Write the yaml file of a model; return the path of the model as text."""
    Path(path).with_suffix('.yaml').write_text(yaml.safe_dump(
        {'mean': [0.0, 0.0, 0.0], 'std': [1.0, 1.0, 1.0], 'size': [48, 64]} | entries,
        sort_keys=False))
    return str(path)


def onnx_depth(path, row=(1.0, 1.0, 1.0), **entries):
    _export(_Depth(row), path, 'depth')
    return describe(path, **{'unit': 'metres'} | entries)


def onnx_classes(path, names, **entries):
    _export(_Classes(len(names)), path, 'logits')
    return describe(path, **{'classes': list(names)} | entries)


def picture(height=96, width=128, seed=0):
    """Return RGB whose colours change smoothly and differ everywhere."""
    rows, columns = np.mgrid[:height, :width]
    random = np.random.default_rng(seed)
    waves = [127.5 + 127.5 * np.sin(rows / height * a + columns / width * b + c)
             for a, b, c in random.uniform(1, 6, (3, 3))]
    return np.stack(waves, -1).astype(np.uint8)
