# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Weights as typed objects: ``NAME.safetensors`` beside ``NAME.json``, its card.

The card describes the file: network, label set, input, origin and accuracy. ``load`` checks the
sha256, architecture, variant, label set, and each tensor's name and shape against the code before
it uses a value.
"""

from jrn_perception.weights.card import (
    Card,
    FORMAT,
    joint_licence,
    LICENCE,
    Preprocessing,
    read_card,
    WeightsError,
    write_card,
)
from jrn_perception.weights.files import (
    check,
    for_sensor,
    load,
    load_file,
    Loaded,
    network_of,
    RANDOM,
    resolve,
    save,
    sha256,
    SHIPPED,
    shipped,
    with_graph,
    write_tensors,
)

__all__ = [
    'Card', 'FORMAT', 'LICENCE', 'Loaded', 'Preprocessing', 'RANDOM', 'SHIPPED', 'WeightsError',
    'check', 'for_sensor', 'joint_licence', 'load', 'load_file', 'network_of', 'read_card',
    'resolve', 'save', 'sha256', 'shipped', 'with_graph', 'write_card', 'write_tensors']
