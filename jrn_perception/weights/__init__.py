# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Weights as typed objects: ``NAME.safetensors`` beside ``NAME.json``, its card.

The card says what the file is: network, label set, input, where it comes from and how good it is.
``load`` believes nothing: sha256, architecture, variant, label set, and each tensor's name and
shape are checked against the code before a value is used.
"""

from jrn_perception.weights.card import (
    Card,
    FORMAT,
    joint_licence,
    LICENCE,
    read_card,
    WeightsError,
    write_card,
)
from jrn_perception.weights.files import (
    check,
    load,
    load_file,
    Loaded,
    RANDOM,
    resolve,
    save,
    sha256,
    SHIPPED,
    shipped,
    write_tensors,
)

__all__ = [
    'Card', 'FORMAT', 'LICENCE', 'Loaded', 'RANDOM', 'SHIPPED', 'WeightsError', 'check',
    'joint_licence', 'load', 'load_file', 'read_card', 'resolve', 'save', 'sha256', 'shipped',
    'write_card', 'write_tensors']
