# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Models of the Hugging Face library ``transformers``, from a folder or from the hub.

Only json files, safetensors and the model card are read: no code and no pickles of the model's
repository ever run. The library's own image processors need torchvision, so the picture is resized
and normalised here, by the numbers of the model's ``preprocessor_config.json``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
import hashlib
import json
from pathlib import Path
from typing import Any

from jrn_perception.networks.interface import MEAN, STD
from jrn_perception.perception.backends.torch import select_device
from jrn_perception.perception.inputs.description import Description
from jrn_perception.perception.inputs.interface import Origin, SourceError
from jrn_perception.perception.inputs.onnx import normalised
from jrn_perception.perception.preprocessing import input_size_for
import numpy as np
from safetensors import SafetensorError
import torch
import yaml

# What is fetched from the hub, and read.
PATTERNS = ['*.json', '*.safetensors', 'README.md']
PREPROCESSOR = 'preprocessor_config.json'
# The last part of a class's name in config.json -> the task, and the class that loads it.
TASKS = {
    'ForDepthEstimation': ('depth', 'AutoModelForDepthEstimation'),
    'ForSemanticSegmentation': ('semantics', 'AutoModelForSemanticSegmentation'),
    'ForUniversalSegmentation': ('semantics', 'AutoModelForUniversalSegmentation')}


class TransformersModel:
    """
    A model for ``task``, depth or semantics, in fp32 on ``device`` (auto, cpu, cuda or cuda:N).

    ``classes`` are the names of its channels, ``config`` its own configuration. Raises SourceError
    for a model that is not there, has another task, or has no safetensors.
    """

    def __init__(self, description: Description, task: str, device: str = 'auto'):
        library = _library()
        self.folder = folder_of(description.model)
        self._names(description.model, task)
        self.description = self._complete(description)
        loader = getattr(library, self._loader)
        try:
            with _quiet(library):
                model, loading = loader.from_pretrained(
                    str(self.folder), use_safetensors=True, trust_remote_code=False,
                    local_files_only=True, output_loading_info=True)
        except (OSError, ValueError, ImportError, RuntimeError, KeyError, SafetensorError
                ) as error:
            raise SourceError(f'{description.model}: transformers {library.__version__} cannot '
                              f'load it: {_one_line(error)}') from error
        # The library would draw them at random.
        for fault in ('missing_keys', 'mismatched_keys'):
            if loading[fault]:
                raise SourceError(f'{description.model}: its safetensors lack '
                                  f'{len(loading[fault])} weights of the model, for example '
                                  f'{min(map(str, loading[fault]))}')
        self.device = select_device(device)
        self._model = model.to(self.device).eval()
        self.config = model.config
        self.classes = tuple(str(self.config.id2label[index])
                             for index in sorted(self.config.id2label))
        self.origin = Origin(description.model, description.licence or licence_of(self.folder),
                             self._digest())

    def _names(self, name: str, task: str) -> None:
        """Find the class of the model; SourceError if its task differs."""
        self._config = _read_json(self.folder / 'config.json')
        kind, found, self._loader = class_of(self._config)
        if found != task:
            raise SourceError(
                f'{name}: is a {kind}, a model of {found or "another task"}; '
                f'expected a class whose name ends in '
                f'{" or ".join(key for key, (its, _) in TASKS.items() if its == task)}')
        if not list(self.folder.glob('*.safetensors')):
            raise SourceError(f'{name}: has no safetensors; weights as pickles (*.bin) are not '
                              'read, because loading them can run code: convert them')

    def _complete(self, description: Description) -> Description:
        """Return the description with the numbers of the model's own files where it has none."""
        if description.output or description.layout != 'nchw':
            raise SourceError(f'{description.model}: output and layout are entries for ONNX '
                              'files: remove them')
        path = self.folder / PREPROCESSOR
        if not path.is_file() and None in (description.mean, description.std):
            raise SourceError(f'{description.model}: has no {PREPROCESSOR}; describe it in a yaml '
                              'file with model, mean and std')
        own = _read_json(path) if path.is_file() else {}
        step = description.multiple_of
        if step is None:
            step = own.get('ensure_multiple_of') or own.get('size_divisor') or self._patch()
        normalises = own.get('do_normalize', 'image_mean' in own)
        return replace(
            description,
            mean=description.mean or tuple(own.get('image_mean') or MEAN if normalises
                                           else (0., 0., 0.)),
            std=description.std or tuple(own.get('image_std') or STD if normalises
                                         else (1., 1., 1.)),
            size=description.size or _size(own.get('size')), multiple_of=step)

    def _patch(self) -> int:
        """Return the length of a vision transformer's patch, otherwise 32."""
        backbone = self._config.get('backbone_config') or {}
        return backbone.get('patch_size') or self._config.get('patch_size') or 32

    def _digest(self) -> str:
        digest = hashlib.sha256()
        for path in sorted(self.folder.glob('*.safetensors')):
            digest.update(path.read_bytes())
        return digest.hexdigest()

    @torch.inference_mode()
    def run(self, rgb: np.ndarray) -> np.ndarray:
        """Return depth (h, w) or class probabilities (h, w, K) for uint8 RGB (H, W, 3)."""
        height, width = rgb.shape[:2]
        size = self.description.size or (height, width)
        if self.description.multiple_of:
            size = input_size_for(size, height, width, self.description.multiple_of)
        picture = normalised(rgb, size, self.description)
        output = self._model(pixel_values=torch.from_numpy(picture).permute(2, 0, 1)[None].to(
            self.device))
        return self._map(output).float().cpu().numpy()

    def _map(self, output: Any) -> torch.Tensor:
        if 'predicted_depth' in output:
            return output.predicted_depth.squeeze()
        if 'logits' in output:
            return output.logits[0].softmax(0).permute(1, 2, 0)
        # Cheng et al., "Masked-attention Mask Transformer", CVPR 2022: masks by their classes.
        classes = output.class_queries_logits[0].softmax(-1)[:, :-1]
        masks = output.masks_queries_logits[0].sigmoid()
        joint = torch.einsum('qk,qhw->hwk', classes, masks)
        return joint / joint.sum(-1, keepdim=True).clamp(min=1e-6)


def class_of(config: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return a model's class, its task and what loads it; '' for a class of another task."""
    kind = (config.get('architectures') or ['no class'])[0]
    suffix = next((suffix for suffix in TASKS if kind.endswith(suffix)), '')
    return kind, *TASKS.get(suffix, ('', ''))


def task_of(name: str) -> str:
    """Return depth or semantics, '' for another task; SourceError if there is no such model."""
    return class_of(_read_json(folder_of(name) / 'config.json'))[1]


def depth_unit(model: TransformersModel) -> str:
    """Return the unit of a depth model by its configuration; SourceError if it does not tell."""
    config = model.config
    kind = getattr(config, 'depth_estimation_type', None)
    if kind == 'metric':
        return 'metres'
    if kind == 'relative':
        return 'disparity'
    if config.model_type in ('glpn', 'zoedepth'):
        return 'metres'
    raise SourceError(f'{model.origin.name}: a {config.model_type} does not tell whether its '
                      'depth is in metres: describe it in a yaml file with model and unit '
                      '(metres, inverse, relative or disparity)')


def _library() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise SourceError('a Hugging Face model needs the package transformers: pip install '
                          "'.[transformers]'") from error
    return transformers


def folder_of(name: str) -> Path:
    """Return the folder of a model: itself, or the copy of the hub's; SourceError."""
    path = Path(name)
    if path.is_dir():
        if not (path / 'config.json').is_file():
            raise SourceError(f'{name}: has no config.json; expected a folder of save_pretrained')
        return path
    if path.exists() or name.startswith(('.', '/', '~')) or name.count('/') != 1:
        raise SourceError(f'{name}: no such folder, and a name on the hub is OWNER/NAME')
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled
    try:
        return Path(huggingface_hub.snapshot_download(name, allow_patterns=PATTERNS))
    except HfHubHTTPError as error:
        raise SourceError(f'{name}: the hub refuses it: {_one_line(error)}') from error
    except HFValidationError as error:
        raise SourceError(f'{name}: {_one_line(error)}') from error
    except (OSError, OfflineModeIsEnabled) as error:
        raise SourceError(f'{name}: not in the cache, and the hub cannot be reached: download it '
                          f'elsewhere and name its folder ({_one_line(error)})') from error


def licence_of(folder: Path) -> str:
    """Return the licence that the head of a model card names, '' if there is none."""
    card = folder / 'README.md'
    if not card.is_file():
        return ''
    parts = card.read_text(errors='replace').split('---\n')
    try:
        head = yaml.safe_load(parts[1]) if len(parts) > 2 and not parts[0].strip() else None
    except yaml.YAMLError:
        return ''
    if not isinstance(head, dict):
        return ''
    return str(head.get('license_name') or head.get('license') or '')


def _size(size: Any) -> tuple[int, int] | None:
    """Return (height, width) of an image processor's size; a shortest edge is a square."""
    if isinstance(size, int):
        return size, size
    if not isinstance(size, dict):
        return None
    if 'height' in size and 'width' in size:
        return size['height'], size['width']
    edge = size.get('shortest_edge')
    return (edge, edge) if edge else None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise SourceError(f'{path}: {_one_line(error)}') from error
    if not isinstance(content, dict):
        raise SourceError(f'{path}: not a mapping of entries')
    return content


def _one_line(error: Exception) -> str:
    return ' '.join(str(error).split()) or type(error).__name__


@contextmanager
def _quiet(library: Any) -> Iterator[None]:
    """Keep the library's progress bars and reports off the terminal."""
    level = library.logging.get_verbosity()
    bars = library.utils.logging.is_progress_bar_enabled()
    library.logging.set_verbosity_error()
    library.logging.disable_progress_bar()
    try:
        yield
    finally:
        library.logging.set_verbosity(level)
        if bars:
            library.logging.enable_progress_bar()
