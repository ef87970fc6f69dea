# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Pairs by stamp: nearest, within the tolerance, soon, and with bounded memory."""

import random
import struct

from jrn_perception.evaluation.recordings.pairing import (
    BackwardsError,
    pair,
    Pairing,
    stamp_of,
    Stamped,
)
import pytest

MS = 10**6
START = 10**18  # Stamp 0 would mean that there is none.


def stream(*messages):
    """Return messages of '/topic ms', in the order of reception."""
    return [Stamped(topic, START + int(ms) * MS, f'{topic}{ms}')
            for topic, ms in (text.split() for text in messages)]


def pairs(messages, others=('/d',), tolerance=10):
    pairing = Pairing('/i', others, tolerance * MS)
    return [(match.message.message, *(partner.message if partner else None
                                      for partner in match.partners.values()))
            for match in pair(messages, pairing)]


def test_the_nearest_within_the_tolerance():
    messages = stream('/d 0', '/i 4', '/d 9', '/i 20', '/d 31', '/i 40', '/d 50')
    assert pairs(messages) == [('/i4', '/d0'), ('/i20', None), ('/i40', '/d31')]
    assert pairs(messages, tolerance=11) == [('/i4', '/d0'), ('/i20', '/d9'), ('/i40', '/d31')]


def test_the_edge_of_the_tolerance_and_the_earlier_of_two_equals():
    assert pairs(stream('/i 10', '/d 20')) == [('/i10', '/d20')]
    assert pairs(stream('/i 10', '/d 21')) == [('/i10', None)]
    assert pairs(stream('/d 5', '/i 10', '/d 15')) == [('/i10', '/d5')]


def test_a_slow_truth_serves_several_pictures():
    assert pairs(stream('/i 0', '/d 5', '/i 10')) == [('/i0', '/d5'), ('/i10', '/d5')]


def test_two_topics_are_paired_each_for_itself():
    messages = stream('/l 1', '/i 0', '/d 0', '/i 30', '/d 31', '/l 60')
    assert pairs(messages, ('/d', '/l')) == [('/i0', '/d0', '/l1'), ('/i30', '/d31', None)]
    assert pairs(stream('/i 0', '/i 5'), ()) == [('/i0',), ('/i5',)]


@pytest.mark.parametrize('seed', range(20))
def test_any_order_of_reception_gives_the_pairs_that_the_stamps_say(seed):
    rng = random.Random(seed)
    times = {topic: sorted(rng.sample(range(0, 1000), 60)) for topic in ('/i', '/d')}
    received = sorted((ms + rng.uniform(0, 500) * (topic == '/d'), topic, ms)
                      for topic, stamps in times.items() for ms in stamps)
    # A topic keeps its own order, as DDS has it.
    queues = {topic: iter(stamps) for topic, stamps in times.items()}
    messages = stream(*(f'{topic} {next(queues[topic])}' for _, topic, _ in received))
    expected = []
    for ms in times['/i']:
        nearest = min(times['/d'], key=lambda other: (abs(other - ms), other))
        expected.append((f'/i{ms}', f'/d{nearest}' if abs(nearest - ms) <= 10 else None))
    assert pairs(messages) == expected


def test_a_pair_is_decided_as_soon_as_it_can_be():
    pairing = Pairing('/i', ('/d',), 10 * MS, patience_ns=100 * MS)
    given = [pairing.add(stamped) for stamped in stream(
        '/i 0', '/d 0', '/i 50', '/d 49', '/i 60', '/d 61', '/i 200', '/i 301')]
    assert [[match.message.message for match in matches] for matches in given] == [
        [], ['/i0'], [], [], [], ['/i50', '/i60'], [], ['/i200']]
    assert [match.message.message for match in pairing.end()] == ['/i301']


@pytest.mark.parametrize('silent', ['/i', '/d', '/l'])
def test_memory_stays_bounded_while_a_topic_is_silent(silent):
    pairing = Pairing('/i', ('/d', '/l'), 10 * MS, patience_ns=200 * MS)
    held, decided = [], 0
    for ms in range(0, 10_000, 10):
        for topic in ('/i', '/d', '/l'):
            if topic != silent or ms < 500:
                decided += len(pairing.add(Stamped(topic, START + ms * MS, None)))
        held.append(len(pairing._waiting) + sum(map(len, pairing._candidates.values())))
    assert max(held) < 100
    assert decided > (40 if silent == '/i' else 900)


def test_what_is_not_stamped_is_nobodys_partner_and_waits_for_none():
    pairing = Pairing('/i', ('/d',), 10 * MS)
    for _ in range(100):
        assert pairing.add(Stamped('/d', 0, 'truth')) == []
        match, = pairing.add(Stamped('/i', 0, 'picture'))
        assert match.partners == {'/d': None}
    assert pairing.unstamped == {'/i': 100, '/d': 100}
    assert not pairing._candidates['/d']


@pytest.mark.parametrize('topic', ['/i', '/d'])
def test_a_stamp_that_goes_backwards_ends_it_and_keeps_what_was(topic):
    other = {'/i': '/d', '/d': '/i'}[topic]
    messages = stream('/i 0', '/d 0', '/i 2000', f'{topic} 2001', f'{topic} 1', f'{other} 3000')
    pairing, found = Pairing('/i', ('/d',), 10 * MS), []
    message = rf'^{topic}: stamp 1000000000.001000000 goes back by 2.000 s'
    with pytest.raises(BackwardsError, match=message):
        for match in pair(messages, pairing):
            found.append(match.message.message)
    assert found[:2] == ['/i0', '/i2000']


def test_the_same_stamp_twice_is_not_backwards():
    assert pairs(stream('/i 5', '/i 5', '/d 5')) == [('/i5', '/d5')] * 2


def test_a_negative_tolerance():
    with pytest.raises(ValueError, match='tolerance -0.01 s'):
        Pairing('/i', ('/d',), -10 * MS)


@pytest.mark.parametrize('order, flag', [('<', 1), ('>', 0)])
def test_stamps_are_read_in_both_byte_orders(order, flag):
    data = bytes((0, flag, 0, 0)) + struct.pack(f'{order}iI', 1_700_000_000, 5) + b'rest'
    assert stamp_of(data) == 1_700_000_000_000_000_005
    with pytest.raises(ValueError, match='11 bytes are no message with a header'):
        stamp_of(data[:11])
