# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""From the classes of a model of somebody else to a label set of this package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jrn_perception import labels
from jrn_perception.labels import ADE20K_COUNTERPARTS, LABEL_SETS, LabelSet, NYU40
from jrn_perception.perception.inputs.interface import SourceError
import numpy as np


@dataclass(frozen=True)
class ClassMap:
    """
    A 0/1 matrix (n, K) that sums the probabilities of K classes to n others.

    ``missing`` names the others that none of the classes is part of.
    """

    matrix: np.ndarray
    missing: tuple[str, ...]

    def __call__(self, probabilities: np.ndarray) -> np.ndarray:
        """
        Return (..., n) probabilities that sum to 1 for (..., K).

        The probability of classes without a counterpart is shared among the others in proportion;
        where nothing is left, all are equally likely.
        """
        summed = probabilities @ self.matrix.T
        total = summed.sum(-1, keepdims=True)
        equal = np.float32(1 / len(self.matrix))
        return np.where(total > 1e-6, summed / np.maximum(total, 1e-6), equal)


def class_map(names: Sequence[str], counterparts: Mapping[str, str], target: LabelSet
              ) -> ClassMap:
    """
    Return the map from classes with these names to ``target``.

    The names of a label set of this package, such as the 150 of ADE20K, have its map. Otherwise
    ``counterparts`` tells a class of NYU-40 for a name. Without an entry, a name that NYU-40 or
    ADE20K has is taken for the same thing. Raises SourceError if no class has a counterpart.
    """
    plain = [simple(name) for name in names]
    matrix = _of_known_set(plain, target) if not counterparts else None
    if matrix is None:
        ids = np.array([_nyu40_id(name, counterparts.get(given, ''))
                        for name, given in zip(plain, names)])
        to_target = labels.fold_matrix(NYU40, target)
        matrix = np.zeros((len(target), len(names)), np.float32)
        known = ids >= 0
        matrix[:, known] = to_target[:, ids[known]]
    if not matrix.any():
        shown = ', '.join(names[:3])
        raise SourceError(
            f'none of its {len(names)} classes ({shown}, ...) has a counterpart in '
            f'{target.name}: describe it in a yaml file whose entry classes maps its names to '
            'classes of NYU-40')
    return ClassMap(matrix, tuple(
        name for name, row in zip(target.names, matrix) if not row.any()))


def simple(name: str) -> str:
    """Return the first of the synonyms in a name: 'floor, flooring' is 'floor'."""
    return name.replace(';', ',').split(',')[0].strip().lower()


def _of_known_set(names: list[str], target: LabelSet) -> np.ndarray | None:
    for label_set in LABEL_SETS.values():
        if list(label_set.names) == names and (
                label_set == target or (label_set.name, target.name) in labels.FOLDS):
            return labels.fold_matrix(label_set, target)
    return None


def _nyu40_id(name: str, counterpart: str) -> int:
    """Return the id of a class in NYU40, -1 if it has no counterpart."""
    if counterpart:
        if counterpart not in NYU40.names:
            raise SourceError(f'classes: {counterpart!r}, for {name!r}, is none of NYU-40: '
                              f'{", ".join(NYU40.names)}')
        return NYU40.names.index(counterpart)
    if name in NYU40.names:
        return NYU40.names.index(name)
    for found, others in ADE20K_COUNTERPARTS.items():
        if name in others:
            return NYU40.names.index(found)
    return -1
