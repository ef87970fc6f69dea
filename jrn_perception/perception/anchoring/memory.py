# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Anchors of past pictures that still hold, because the picture has not changed around them."""

from __future__ import annotations

from jrn_perception.perception.anchoring.anchors import Anchors
import numpy as np

# At most so many anchors are remembered, each in a square of its own.
COUNT = 150
# Predicted log depth at an anchor that has changed by more than this says that something moved
# there; if its median over the anchors has changed by more than the second number, the camera did.
CHANGE = 0.06
MOTION = 0.03
# So much of depth an anchor becomes less sure for each second of its age.
AGEING = 0.02


class Memory:
    """
    The anchors of the last ``seconds``, on whole pixels of one picture size (height, width).

    An anchor is forgotten when it is too old, and when predicted depth has changed under it. The
    oldest anchor of a square stays, so that the field through the anchors does not change without
    need.
    """

    def __init__(self, seconds: float):
        self._seconds = seconds
        self.forget()

    def forget(self) -> None:
        """Forget all anchors."""
        self._anchors = Anchors.none()
        self._predicted = self._stamps = np.zeros(0)

    def recall(self, depth: np.ndarray, now: float, room: int) -> Anchors:
        """
        Return the at most ``room`` newest anchors that hold for the picture of stamp ``now``.

        ``depth`` (H, W) is its predicted depth, metres.
        """
        with np.errstate(divide='ignore', invalid='ignore'):
            change = np.abs(np.log(depth[self._pixels()]) - self._predicted)
        known = np.isfinite(change)
        if known.any() and np.median(change[known]) > MOTION:
            self.forget()
            return self._anchors
        self._choose(known & (np.where(known, change, 0) <= CHANGE)
                     & (now - self._stamps < self._seconds))
        age = (now - self._stamps)[:room].astype(np.float32)
        newest = self._anchors.chosen(np.arange(min(room, len(self._anchors))))
        return Anchors(newest.column, newest.row, newest.depth,
                       np.hypot(newest.deviation, AGEING * age))

    def update(self, recalled: np.ndarray, fresh: Anchors, depth: np.ndarray, now: float) -> None:
        """
        Remember ``fresh`` anchors, on whole pixels of ``depth`` (H, W), in squares without any.

        ``recalled`` says which of the anchors that ``recall`` returned proved right.
        """
        right = np.ones(len(self._stamps), bool)
        right[:len(recalled)] = recalled
        self._choose(right)
        side = max(1, int((depth.size / COUNT) ** 0.5))
        both = fresh + self._anchors
        squares = (both.row // side) * depth.shape[1] + both.column // side
        # The last of several equal values is the oldest anchor.
        _, oldest = np.unique(squares[::-1], return_index=True)
        chosen = np.sort(len(squares) - 1 - oldest)[-COUNT:]
        predicted = np.log(depth[fresh.row.astype(int), fresh.column.astype(int)])
        self._predicted = np.concatenate((predicted, self._predicted))[chosen]
        self._stamps = np.concatenate((np.full(len(fresh), now), self._stamps))[chosen]
        self._anchors = both.chosen(chosen)

    def _pixels(self) -> tuple[np.ndarray, np.ndarray]:
        return self._anchors.row.astype(int), self._anchors.column.astype(int)

    def _choose(self, which: np.ndarray) -> None:
        self._anchors = self._anchors.chosen(which)
        self._predicted, self._stamps = self._predicted[which], self._stamps[which]
