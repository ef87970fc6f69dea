# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Rooms that our renderer draws."""

from __future__ import annotations

from collections.abc import Iterator

from jrn_perception.frame import Frame
from jrn_perception.rooms.scenes import Scene
from jrn_perception.sources.source import Source

RATE = 10.0
SIZE = (480, 640)


class Scenes(Source):
    """A walk with a camera through a drawn, furnished room, with exact depth and labels."""

    rate, endless = RATE, True

    def __init__(self, name: str, seed: int, size: tuple[int, int] = SIZE):
        super().__init__(name)
        self.scene, self.size = Scene(seed), size

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        while True:
            yield self.scene.render(index / RATE, *self.size)
            index += 1
