# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
The meaning of the ids in a label map: from vision_msgs/LabelInfo or json to a label set.

This file contains the definitions of both messages, because ``rosbags`` does not have vision_msgs
and recordings from distributions before Iron contain no definitions.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
import json
from pathlib import Path
from typing import Any, TYPE_CHECKING

from jrn_perception.labels import FOLDS, LABEL_SETS, LabelSet, UNLABELLED
import numpy as np

if TYPE_CHECKING:
    from rosbags.typesys.store import Typestore

LABEL_INFO = 'vision_msgs/msg/LabelInfo'
VISION_CLASS = 'vision_msgs/msg/VisionClass'
DEFINITIONS = {
    VISION_CLASS: 'uint16 class_id\nstring class_name\n',
    LABEL_INFO: 'std_msgs/Header header\nvision_msgs/VisionClass[] class_map\n'
                'float32 threshold\n',
}
# Names for "no class": a label set without them is not incomplete.
NO_CLASS = ('background', 'ignore', 'unknown', 'unlabeled', 'unlabelled', 'void')


def typestore() -> Typestore:
    """Return a new type store of ``rosbags`` with ROS 2's common types and the two above."""
    from rosbags.typesys import get_types_from_msg, get_typestore, Stores

    store = get_typestore(Stores.LATEST)
    for name, text in DEFINITIONS.items():
        store.register(get_types_from_msg(text, name))
    return store


def names_of(data: bytes) -> dict[int, str]:
    """Return the names by id of a serialised LabelInfo; ValueError if it cannot be read."""
    try:
        msg: Any = typestore().deserialize_cdr(data, LABEL_INFO)
    # For CDR data that is cut off, the generated code raises errors of many types.
    except Exception as error:  # noqa: B902
        raise ValueError(f'a {LABEL_INFO} cannot be decoded: {error}') from error
    return {item.class_id: item.class_name for item in msg.class_map}


def read_names(path: Path) -> dict[int, str]:
    """Return the names by id of a json file ``{"0": "wall", ...}``; ValueError names the file."""
    try:
        content = json.loads(path.read_text(encoding='utf-8-sig'))
        if not all(isinstance(name, str) for name in content.values()):
            raise ValueError('a name is not a text')
        names = {int(key): name for key, name in content.items()}
        if not names or not all(0 <= key <= UNLABELLED for key in names):
            raise ValueError('ids are 0 to 255')
    except OSError as error:
        raise ValueError(f'{path}: {error.strerror}') from error
    except (AttributeError, ValueError) as error:
        raise ValueError(f'{path}: expected json like {{"0": "wall", "1": "floor"}} ({error})'
                         ) from error
    return names


@dataclass(frozen=True)
class Ids:
    """
    The map from the ids of a recording to the ids of a label set.

    ``table`` is uint8 (256,): the index is the recorded id, the value the id in ``labels``, 255 if
    the set does not have the class. ``missing`` are the recorded names that the set does not have.
    """

    labels: LabelSet
    table: np.ndarray
    missing: tuple[str, ...]


def match(names: dict[int, str], wanted: Iterable[LabelSet]) -> Ids:
    """
    Return the map to the label set that has most of ``names``.

    If several sets have equally many, the first wins in this order: ``wanted``, sets that fold
    into a wanted one, all others. Upper case and underscores make no difference. Raises ValueError
    if no set has any of the names.
    """
    wanted = list(dict.fromkeys(wanted))
    finer = [LABEL_SETS[source] for source, target in FOLDS
             if target in [labels.name for labels in wanted]]
    candidates = list({labels.name: labels for labels in (
        *wanted, *finer, *LABEL_SETS.values())}.values())
    known = {key: _plain(name) for key, name in names.items()
             if key != UNLABELLED and _plain(name) not in NO_CLASS}
    plain = [[_plain(name) for name in labels.names] for labels in candidates]
    counts = [sum(name in names for name in known.values()) for names in plain]
    if not any(counts):
        raise ValueError(f'classes {", ".join(names.values()) or "(none)"}: no label set has any '
                         f'of them; there are {", ".join(LABEL_SETS)}')
    best = counts.index(max(counts))
    own = plain[best]
    table = np.full(256, UNLABELLED, np.uint8)
    for key, name in known.items():
        if key < 256 and name in own:
            table[key] = own.index(name)
    missing = [name for name in known.values() if name not in own]
    return Ids(candidates[best], table, tuple(dict.fromkeys(missing)))


def _plain(name: str) -> str:
    return name.strip().lower().replace('_', ' ')
