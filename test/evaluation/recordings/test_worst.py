# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The worst frames are kept, the worst first."""

from jrn_perception.evaluation.recordings.worst import WorstFrames

NAN = float('nan')


def test_worst_frames():
    worst = WorstFrames(2)
    for order, badness in enumerate((3.0, NAN, 5.0, 5.0, 1.0)):
        worst.add(badness, order, f'frame{order}', -badness, object())
    assert [(frame.name, frame.score) for frame in worst.ranked()] == [
        ('frame2', -5.0), ('frame3', -5.0)]
    none = WorstFrames(0)
    none.add(1.0, 0, 'frame', 1.0, None)
    assert none.ranked() == []
