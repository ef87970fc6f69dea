# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The load gate: equal maps and ties pass, wrong maps do not."""

from jrn_perception.perception.backends.interface import ArrayMaps
from jrn_perception.perception.backends.parity import compare, TIE
import numpy as np
import pytest


def maps(seed=0, classes=5):
    """Return maps of 24x32, the size of the stored picture's maps, with clear decisions."""
    generator = np.random.default_rng(seed)
    return ArrayMaps(
        generator.uniform(0.5, 9, (1, 24, 32)).astype(np.float32),
        generator.normal(0, 3, (1, 24, 32, classes)).astype(np.float32))


def with_tie(right, margin):
    """Return maps with two classes ahead of the others in ten pixels, ``margin`` apart."""
    logits = right.semantics.copy()
    logits[0, 0, :10] = np.float32([5, 5 - margin, 0, 0, 0])
    return ArrayMaps(right.depth, logits)


def swapped(right):
    """Return maps in which the other of the two classes is ahead, by a rounding."""
    logits = right.semantics.copy()
    logits[0, 0, :10, 1] = logits[0, 0, :10, 0] + np.float32(1e-5)
    return ArrayMaps(right.depth, logits)


def test_a_tie_that_another_cpu_rounds_differently_passes():
    right = with_tie(maps(), 2e-5)
    found = swapped(right)
    # Ten of 768 labels differ, which 99.99 % would not allow.
    assert (found.semantics.argmax(3) != right.semantics.argmax(3)).sum() == 10
    parity = compare(found, right)
    assert parity.labels == 1 and parity.fault == ''


def test_a_difference_beyond_a_tie_does_not_pass():
    margin = 3 * TIE * np.ptp(maps().semantics)
    right = with_tie(maps(), margin)
    parity = compare(swapped(right), right)
    assert parity.labels == pytest.approx(1 - 10 / 768)
    assert '% of the labels are those of torch' in parity.fault


@pytest.mark.parametrize('wrong', [
    lambda logits: np.zeros_like(logits),
    lambda logits: -logits,
    lambda logits: np.roll(logits, 1, 3),
    lambda logits: logits[:, ::-1],
    lambda logits: logits + np.random.default_rng(1).normal(0, 0.3, logits.shape),
    lambda logits: maps(1).semantics,
    lambda logits: np.full_like(logits, np.nan),
    lambda logits: 1e-6 * -logits])
def test_a_wrong_network_does_not_pass(wrong):
    right = maps()
    found = ArrayMaps(right.depth, wrong(right.semantics).astype(np.float32))
    assert '% of the labels' in compare(found, right).fault
    # A network whose logits are all small is judged by its own range.
    small = ArrayMaps(right.depth, 1e-5 * right.semantics)
    found = ArrayMaps(right.depth, 1e-5 * wrong(right.semantics).astype(np.float32))
    assert '% of the labels' in compare(found, small).fault


@pytest.mark.parametrize('wrong, message', [
    (lambda right: ArrayMaps(1.2 * right.depth, right.semantics), 'depth differs .* by 20 %'),
    (lambda right: ArrayMaps(right.depth * np.float32('nan'), right.semantics), 'nan %'),
    (lambda right: maps(1), 'depth differs from fp32'),
    (lambda right: ArrayMaps(right.depth, maps(1).semantics), '% of the labels are those of fp32'),
    (lambda right: ArrayMaps(right.depth), 'nan % of the labels')])
def test_a_wrong_network_in_int8_does_not_pass_either(wrong, message):
    right = maps()
    with pytest.raises(AssertionError, match=message):
        fault = compare(wrong(right), right).reduced_fault
        assert not fault, fault


def test_the_rounding_of_int8_passes_its_own_gate_alone():
    right = maps()
    found = ArrayMaps(1.02 * right.depth, right.semantics)
    parity = compare(found, right)
    assert parity.depth_share == pytest.approx(0.02, rel=1e-3)
    assert parity.reduced_fault == '' and 'depth differs from torch' in parity.fault
