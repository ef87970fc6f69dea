# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The names of the cameras that one node serves, and of their topics."""

from __future__ import annotations

import re

# One part of a topic's name.
_TOKEN = re.compile('[A-Za-z][A-Za-z0-9]*(_[A-Za-z0-9]+)*')


def parse_cameras(text: str) -> list[str]:
    """
    Return the names in the parameter ``cameras``; one empty name if the parameter is empty.

    ValueError for a name that occurs twice or cannot be part of a topic's name.
    """
    names = text.replace(',', ' ').split()
    for name in names:
        if not _TOKEN.fullmatch(name):
            raise ValueError(f'cameras: {name!r} cannot be part of a topic; use letters, digits '
                             'and single underscores between them, a letter first')
    if len(names) != len(set(names)):
        raise ValueError(f'cameras: {text!r} names a camera twice')
    return names or ['']


def topic(camera: str, name: str) -> str:
    """Return the relative name of a camera's topic: ``name`` itself for the unnamed camera."""
    return f'{camera}/{name}' if camera else name


def camera_info_topics(image: str, camera_info: str) -> list[str]:
    """
    Return the topics to read camera_info from, the resolved one first.

    If nobody has remapped it, the second is the one beside the topic ``image``, where
    image_transport's convention puts it.
    """
    if camera_info.rpartition('/')[2] != 'image_camera_info':
        return [camera_info]
    return [camera_info, f'{image.rpartition("/")[0]}/camera_info']
