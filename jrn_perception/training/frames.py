# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The frames that a training's settings name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jrn_perception import labels
from jrn_perception.datasets.registry import NamedFrames, open_to_train
from jrn_perception.datasets.subsets import OwnClasses, require_undamaged, Undamaged
from jrn_perception.evaluation.measures.frames import parse_crop
from jrn_perception.frame import Frame
from jrn_perception.training import folds
from jrn_perception.training.recipes import Settings
from jrn_perception.training.unlabelled.clips import Unlabelled, WHOLE
from jrn_perception.training.unlabelled.labelled import with_labels

# Metres that a Kinect measures, and the paper's evaluation covers.
DEPTH_RANGE = (0.5, 10.0)
# The names of recipes that learn other classes than NYU-Depth v2's begin like this.
LEARN_ANY_CLASSES = ('hydranet', 'depth', 'symbiosis')


class TrainingFrames:
    """
    The frames that the settings name: ``fit`` and ``extra`` to train on, ``val`` to measure on.

    With few labels ``fit`` has the labelled frames of ``all_fit``, and ``unlabelled`` lists the
    rest and further data sets, without labels. ``crop`` (None: none) and ``region`` are the well
    annotated part of a frame, ``depth_range`` is the range of the depth camera in metres,
    ``own_classes`` tells whether the classes differ from NYU-Depth v2's.
    """

    def __init__(self, settings: Settings):
        self._skip_damaged = settings.skip_damaged
        self.fit = own_classes(self._open(settings.reader, settings.data, settings.fit))
        self.depth_range = getattr(self.fit, 'depth_range', None) or DEPTH_RANGE
        self.own_classes = self.fit.labels.name == labels.CUSTOM
        if self.own_classes and not settings.network.startswith(LEARN_ANY_CLASSES):
            raise ValueError(f'--reader {settings.reader}: hydranet alone learns classes of '
                             f"one's own, {settings.network} is for NYU-Depth v2's classes")
        if settings.hold_out:
            self.fit = folds.split(self.fit, settings.hold_out).seen
        self.all_fit = self.fit
        self.crop = parse_crop(settings.crop, settings.reader)
        self.region = self.crop or WHOLE
        self.unlabelled: list[Unlabelled] = []
        if settings.labels:
            parts = with_labels(self.fit, settings)
            self.fit = parts.seen
            if len(parts.unseen):
                self.unlabelled.append(Unlabelled(parts.unseen, self.region))
        self.unlabelled += [
            Unlabelled(self._open(more.reader, more.folder, more.split or None))
            for more in (NamedFrames.parse(text, '--unlabelled') for text in settings.unlabelled)]
        self.val = own_classes(self._open(settings.reader, settings.data, settings.val))
        if not settings.skip_damaged:
            # They are read first when epochs of training have passed.
            require_undamaged(self.val)
        self.extra = [self._open_extra(NamedFrames.parse(text)) for text in settings.extra]

    def _open(self, reader: str, folder: Path | str, split: str | None) -> Sequence[Frame]:
        frames = open_to_train(reader, folder, split)
        return Undamaged(frames, 'skip').selection() if self._skip_damaged else frames

    def _open_extra(self, extra: NamedFrames) -> Sequence[Frame]:
        frames = self._open(extra.reader, extra.folder, extra.split or None)
        if frames.labels and frames.labels.names != self.fit.labels.names:
            raise ValueError(f'--extra {extra.text}: is labelled in {frames.labels.name}, the '
                             f'frames of --data in {self.fit.labels.name}')
        return frames


def own_classes(frames: Sequence[Frame]) -> Sequence[Frame]:
    """Return the frames with other classes than NYU-Depth v2's as classes of one's own."""
    return frames if frames.labels in (None, labels.NYU40) else OwnClasses(frames)


def few_labels(settings: Settings) -> dict[str, Any]:
    """Return the facts of a training with few labels, empty for other trainings."""
    facts = {'labels': Path(settings.labels).name if Path(settings.labels).is_file()
             else settings.labels,
             'unlabelled': [NamedFrames.parse(text, '--unlabelled').fact
                            for text in settings.unlabelled],
             'video': [Path(name).name for name in settings.video]}
    return {name: fact for name, fact in facts.items() if fact}
