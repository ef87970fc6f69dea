# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The interval of a gain is paired: each drawing of images counts for both networks."""

from jrn_perception.evaluation.measures.bootstrap import gains, resamplings, SEED
from jrn_perception.evaluation.measures.metrics import METRICS, Table, Truth
import numpy as np
import pytest

IMAGES = 30


def tables():
    """Return the tables of two networks on images that differ far more than the networks do."""
    rng, output, inputs = np.random.default_rng(3), Table(3), Table(3)
    for index in range(IMAGES):
        depth = rng.uniform(1, 8, (6, 8)).astype(np.float32)
        labels = rng.integers(0, 3, depth.shape).astype(np.uint8)
        truth = Truth(depth.shape, depth, labels, 3)
        error, share = 1 + rng.uniform(0.01, 0.8), rng.uniform(0.1, 0.9)
        hit = rng.random(depth.shape)
        for table, worse in ((output, 0.0), (inputs, 0.02)):
            table.add(f'{index}', truth, depth * np.float32(error + worse),
                      np.where(hit < share - worse, labels, (labels + 1) % 3).astype(np.uint8))
    return output, inputs


def value(table, name, drawn):
    """Return a pooled metric of the drawn images, without weights."""
    depth = table.depth[drawn].sum((0, 1, 2))
    hit, truth, predicted = table.labels[drawn].sum((0, 1)).T
    pixels, rel, rel_sqr, log10, square, log_square, *deltas = depth
    found = {'rel': rel / pixels, 'rel_sqr': rel_sqr / pixels, 'log10': log10 / pixels,
             'rms': np.sqrt(square / pixels), 'rms_log': np.sqrt(log_square / pixels),
             'mean_iou': 100 * np.mean(hit / (truth + predicted - hit)),
             'pixel_accuracy': 100 * hit.sum() / truth.sum()}
    found |= {f'delta{k}': delta / pixels for k, delta in enumerate(deltas, 1)}
    return found[name]


def test_the_interval_is_of_differences_on_the_same_drawings():
    output, inputs = tables()
    found = gains(output, inputs)
    assert list(found) == list(METRICS)
    drawings = [np.repeat(np.arange(IMAGES), counts.astype(int))
                for counts in resamplings(IMAGES, seed=SEED)]
    for name in METRICS:
        differences = [value(output, name, drawn) - value(inputs, name, drawn)
                       for drawn in drawings]
        everything = np.arange(IMAGES)
        expected = (value(output, name, everything) - value(inputs, name, everything),
                    *np.quantile(differences, (0.025, 0.975)))
        np.testing.assert_allclose(found[name], expected, rtol=1e-6, atol=1e-9, err_msg=name)


def test_pairing_is_what_makes_the_interval_narrow():
    output, inputs = tables()
    rel = gains(output, inputs)['rel']
    drawings = resamplings(IMAGES), resamplings(IMAGES, seed=SEED + 1)
    apart = np.subtract(*([value(table, 'rel', np.repeat(np.arange(IMAGES), counts.astype(int)))
                           for counts in drawn]
                          for table, drawn in zip((output, inputs), drawings)))
    # By far: intervals of other drawings for each network would hide this gain.
    low, high = np.quantile(apart, (0.025, 0.975))
    assert low < 0 < high and rel.high < 0
    assert rel.high - rel.low < (high - low) / 10


@pytest.mark.parametrize('name', METRICS)
def test_a_network_gains_nothing_over_itself(name):
    output, _ = tables()
    assert gains(output, output)[name] == (0, 0, 0)


def test_tables_of_other_images_cannot_be_paired():
    output, inputs = tables()
    inputs.names.reverse()
    with pytest.raises(ValueError, match='same images'):
        gains(output, inputs)
