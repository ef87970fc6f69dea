# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Trained weights: written, then measured as they were written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from jrn_perception import weights
from jrn_perception.evaluation.measures.bootstrap import pooled
from jrn_perception.evaluation.measures.comparison import evaluate, Protocol
from jrn_perception.evaluation.measures.frames import open_as_trained
from jrn_perception.evaluation.measures.metrics import Crop, METRICS
from jrn_perception.frame import Frame
import numpy as np
from torch import nn


def write_measured(network: nn.Module, card: weights.Card, path: Path, frames: Sequence[Frame],
                   crop: Crop | None) -> None:
    """Write the weights, measure the written file on ``frames``, and print file and metrics."""
    written = weights.save(network, card, path)
    print(f'{path}: {path.stat().st_size / 1e6:.1f} MB, sha256 {written.sha256[:12]}…')
    written = replace(written, metrics=measure(path, written, frames, crop))
    weights.write_card(written, path)
    for name, value in written.metrics['output'].items():
        print(f'  {name} {value:g}')


def measure(path: Path, card: weights.Card, frames: Sequence[Frame],
            crop: Crop | None) -> dict[str, Any]:
    """Return the ``metrics`` of a card: pooled inside the crop, for a JRN's inputs as well."""
    perception, frames = open_as_trained(path, card, frames)
    evaluation = evaluate(perception, frames, Protocol(crop=crop))
    tables = {'output': evaluation.output}
    if evaluation.completion is not None:
        tables['holes'] = evaluation.completion.output
        tables |= {f'holes, {name}': table
                   for name, table in evaluation.completion.baselines.items()}
    if evaluation.inputs is not None:
        tables['inputs'] = evaluation.inputs
    tables = {name: table for name, table in tables.items() if len(table)}
    found = {name: {metric: round(float(pooled(table, metric)(np.ones((1, len(table))))[0]), 4)
                    for metric in METRICS} for name, table in tables.items()}
    return {'images': len(frames), 'labels': card.labels, 'averaging': 'pooled', **{
        name: {metric: value for metric, value in values.items() if np.isfinite(value)}
        for name, values in found.items()}}
