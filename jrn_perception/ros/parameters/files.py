# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Which parameters a node takes from a file that is meant for the whole robot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml


@dataclass
class Origins:
    """
    The names of the given parameters, sorted by the nodes that the user gives them to.

    ``own``: parameters that are meant for this node: ``-p`` and the sections with its name.
    ``shared``: parameters of the sections with a wildcard, such as ``/**``, which nodes of several
    kinds read.
    """

    own: set[str] = field(default_factory=set)
    shared: set[str] = field(default_factory=set)

    @property
    def foreign(self) -> set[str]:
        """Return the names that may be meant for other nodes only."""
        return self.shared - self.own


def origins(arguments: Sequence[str], name: str) -> Origins:
    """
    Return where the parameters in the ROS ``arguments`` of a process come from.

    ``name`` is the node's, with its namespace. Files that cannot be read are left out: rclpy has
    refused them before.
    """
    result = Origins()
    for flag, text in zip(arguments, arguments[1:]):
        if flag in ('-p', '--param'):
            result.own.add(text.partition(':=')[0].rpartition(':')[2])
        elif flag == '--params-file':
            for section, names in _sections(text):
                if '*' in section:
                    result.shared |= names
                elif section.rpartition('/')[2] == name.rpartition('/')[2]:
                    result.own |= names
    return result


def _sections(path: str) -> Iterator[tuple[str, set[str]]]:
    """Yield name and parameters of each node's section in a file."""
    try:
        content = yaml.safe_load(Path(path).read_text())
    except (OSError, ValueError, yaml.YAMLError):
        return
    yield from _nodes(content, '')


def _nodes(content: Any, prefix: str) -> Iterator[tuple[str, set[str]]]:
    if not isinstance(content, Mapping):
        return
    for key, value in content.items():
        if key == 'ros__parameters':
            yield prefix, set(_names(value, ''))
        else:
            yield from _nodes(value, f'{prefix}/{str(key).strip("/")}')


def _names(content: Any, prefix: str) -> Iterator[str]:
    """Yield the names of the parameters, nested ones joined by dots as ROS does."""
    for key, value in content.items() if isinstance(content, Mapping) else ():
        name = f'{prefix}{key}'
        if isinstance(value, Mapping):
            yield from _names(value, f'{name}.')
        else:
            yield name
