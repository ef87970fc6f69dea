# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Which setting follows from what frames took: literal sequences."""

import math

from jrn_perception.perception.governor import Change, cost_ms, Governor
import numpy as np
import pytest

LIMIT = 100.0


class Machine:
    """
    Frames ten times a second whose rungs cost `costs` ms, times the `load`.

    `changes` are (seconds, rung).
    """

    def __init__(self, *costs, usable=None):
        self.costs, self.usable = costs, usable or [True] * len(costs)
        self.governor = Governor(LIMIT, len(costs))
        self.seconds, self.changes = 0.0, []

    def run(self, seconds, load=1.0, offset=0.0):
        for _ in range(round(10 * seconds)):
            factor = load() if callable(load) else load
            change = self.governor.observe(
                self.seconds, offset + factor * self.costs[self.governor.rung], self.usable)
            if change is not None:
                self.changes.append((round(self.seconds, 1), change.rung))
            self.seconds += 0.1
        return self.changes


def observe(governor, *costs, start=0.0):
    """Return the changes that frames, a tenth of a second apart, cause, by index."""
    found = {}
    for index, cost in enumerate(costs):
        change = governor.observe(start + 0.1 * index, cost, [True] * governor.rungs)
        if change is not None:
            found[index] = change
    return found


def test_the_third_late_frame_of_eight_goes_down():
    governor = Governor(LIMIT, 3)
    # The first two frames allocate memory and do not count.
    assert observe(governor, 900, 900, 90, 120, 90, 130, 90, 90, 140) == {
        8: Change(0, 1, '3 of the last 8 frames took 120 ms or more')}
    assert (governor.rung, governor.changes) == (1, 1)


def test_two_late_frames_of_any_eight_stay():
    governor = Governor(LIMIT, 3)
    assert observe(governor, *[90, 120, 90, 90, 90, 90, 90, 120] * 100) == {}


def test_a_heavy_load_goes_down_rung_by_rung_and_stops_at_the_last():
    machine = Machine(400, 200, 120)
    # Two frames settle and three are late on each rung.
    assert machine.run(60) == [(0.4, 1), (0.9, 2)]
    assert machine.governor.is_over
    assert machine.governor.level_ms == 120


def test_a_load_that_ends_is_followed_after_five_calm_seconds():
    machine = Machine(60, 20)
    machine.run(10)
    assert machine.run(10, load=3) == [(10.2, 1)]
    machine.run(10)
    # Under load the better rung took 180 ms and the worse 60 ms: as long as three of the last
    # eight frames take 60 ms, 180 ms are expected. Then the worse takes 20 ms, and 60 ms are.
    assert machine.changes == [(10.2, 1), (20.5, 0)]
    assert machine.governor.rung == 0


def test_a_load_that_stays_is_tried_again_after_one_two_and_four_minutes():
    # Each try costs two frames that settle and three that are late.
    assert Machine(120, 40).run(15 * 60) == [
        (0.4, 1), (60.4, 0), (60.9, 1), (181.0, 0), (181.5, 1), (421.5, 0), (422.0, 1)]


def test_no_oscillation_with_noise_right_at_the_limit():
    random = np.random.default_rng(0)
    machine = Machine(LIMIT, 0.5 * LIMIT)
    machine.run(600, load=lambda: random.normal(1, 0.1))
    # 6000 frames, half of which would be late: down once, and three tries, each a minute, then
    # two, then four after the one before.
    assert [rung for _, rung in machine.changes] == [1, 0, 1, 0, 1, 0, 1]
    assert [seconds for seconds, rung in machine.changes if rung == 0] == [60.5, 182.1, 422.8]


def test_no_oscillation_where_both_rungs_are_near_the_limit():
    random = np.random.default_rng(1)
    machine = Machine(1.05 * LIMIT, 0.95 * LIMIT, 0.9 * LIMIT)
    machine.run(600, load=lambda: random.normal(1, 0.05))
    # The rung in use never has the margin that a climb needs: down twice, and that is all.
    assert [rung for _, rung in machine.changes] == [1, 2]


def test_the_margin_is_that_of_the_better_rung():
    machine = Machine(95, 50)
    machine.run(10, load=1.5)
    assert machine.changes[-1] == (0.4, 1)
    # Expected are 95 ms, below the limit, but not below 80 ms.
    machine.run(40)
    assert len(machine.changes) == 1
    # Now 76 ms are.
    machine.run(10, load=0.8)
    assert [rung for _, rung in machine.changes] == [1, 0]


def test_a_stall_is_forgotten_after_a_minute():
    machine = Machine(60, 20)
    machine.run(10)
    machine.run(0.3, load=80)
    # The better rung took 4800 ms, and the worse one has taken 20 ms ever since.
    assert machine.run(100) == [(10.2, 1), (70.2, 0)]


def test_a_climb_that_lasts_earns_back_trust():
    machine = Machine(120, 40)
    machine.run(65)
    assert [rung for _, rung in machine.changes] == [1, 0, 1]
    assert machine.governor._failures == [1, 0]
    machine.run(200, load=0.5)
    assert machine.governor.rung == 0
    machine.run(5)
    # It lasted more than two minutes.
    assert machine.governor.rung == 1
    assert machine.governor._failures == [0, 0]


def test_rungs_that_may_not_be_used_are_passed_over():
    machine = Machine(200, 90, 80, usable=[True, False, True])
    assert machine.run(10) == [(0.4, 2)]
    machine.run(60, load=0.3)
    assert [rung for _, rung in machine.changes] == [2, 0]


def test_a_rung_that_lacks_something_is_left_at_once():
    machine = Machine(200, 150, 80)
    machine.run(2)
    assert machine.governor.rung == 2
    assert machine.governor.require(2.0, [True, True, True]) is None
    change = machine.governor.require(2.0, [True, False, False])
    assert (change.before, change.rung) == (2, 0)
    assert machine.governor.require(2.0, [True, False, False]) is None


def test_after_a_pause_the_waiting_begins_anew():
    machine = Machine(60, 20)
    machine.run(5, load=3)
    machine.seconds += 3600
    start = machine.seconds
    machine.run(10)
    assert [rung for _, rung in machine.changes] == [1, 0]
    assert machine.changes[1][0] == pytest.approx(start + 5, abs=0.2)


def test_with_one_rung_nothing_changes():
    machine = Machine(200)
    assert machine.run(100) == []
    assert machine.governor.is_over


@pytest.mark.parametrize('latency, processing, expected', [
    (80.0, 50.0, 80.0),
    (math.nan, 50.0, 50.0),  # No time on /clock yet.
    (-3.0, 50.0, 50.0), (49.0, 50.0, 50.0),  # The camera's clock is ahead.
    (60_001.0, 50.0, 50.0), (1.8e12, 50.0, 50.0)])  # A recording; a stamp of 0.
def test_the_processing_time_counts_where_the_stamp_makes_no_sense(latency, processing, expected):
    assert cost_ms(latency, processing) == expected
