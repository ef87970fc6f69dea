# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Joint depth prediction and semantic segmentation from one camera.

``Perception``, ``Prediction`` and ``list_networks`` are imported when they are first used, so that
``import jrn_perception`` itself needs nothing.
"""

from importlib import import_module
from typing import Any, TYPE_CHECKING

if TYPE_CHECKING:
    from jrn_perception.networks import list_networks
    from jrn_perception.perception import Perception, Prediction

__version__ = '0.1.0'
__all__ = ['Perception', 'Prediction', '__version__', 'list_networks']

_MODULES = {'Perception': 'perception', 'Prediction': 'perception', 'list_networks': 'networks'}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(import_module(f'{__name__}.{_MODULES[name]}'), name)
