# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Every metric by hand on a few pixels, and against torchmetrics on many."""

import math

from jrn_perception.evaluation.measures.bootstrap import (
    average,
    estimate,
    image_values,
    pool,
    pooled,
    resamplings,
)
from jrn_perception.evaluation.measures.metrics import (
    DEPTH_BINS,
    depth_metrics,
    DepthMetrics,
    label_metrics,
    METRICS,
    Table,
    Truth,
)
import numpy as np
import pytest

NAN = math.nan


def truth(depth=None, labels=None, classes=3, **options):
    size = np.shape(depth if depth is not None else labels)
    return Truth(size, None if depth is None else np.array(depth, np.float32),
                 None if labels is None else np.array(labels, np.uint8), classes, **options)


def depth_of(true, predicted, **options):
    sums = truth(true, **options).depth_sums(np.array(predicted, np.float32))
    return depth_metrics(sums.sum((0, 1)))


def labels_of(true, predicted, **options):
    sums = truth(labels=true, **options).label_sums(np.array(predicted, np.uint8))
    return label_metrics(sums.sum(0))


def table_of(pairs, classes=3):
    """Return a table of images (true depth, predicted, true labels, predicted)."""
    table = Table(classes)
    for index, (depth, predicted, labels, ids) in enumerate(pairs):
        table.add(str(index), truth(depth, labels, classes), np.array(predicted, np.float32),
                  np.array(ids, np.uint8))
    return table


def value(table, name):
    return float(pooled(table, name)(np.ones((1, len(table))))[0])


def random_images():
    """Return 12 random images as (truth, predicted depth, predicted labels), and their pixels."""
    rng, images, pixels = np.random.default_rng(1), [], ([], [], [], [])
    for _ in range(12):
        depth = rng.uniform(0.5, 9, (20, 30)).astype(np.float32)
        predicted = (depth * rng.lognormal(0, 0.4, depth.shape)).astype(np.float32)
        labels = rng.integers(0, 5, depth.shape).astype(np.uint8)
        ids = np.where(rng.random(depth.shape) < 0.6, labels,
                       rng.integers(0, 5, depth.shape)).astype(np.uint8)
        holes, unlabelled = rng.random(depth.shape) < 0.2, rng.random(depth.shape) < 0.2
        for part, array in zip(pixels, (depth[~holes], predicted[~holes], labels[~unlabelled],
                                        ids[~unlabelled])):
            part.append(array)
        depth[holes], labels[unlabelled] = NAN, 255
        images.append((Truth(depth.shape, depth, labels, 5), predicted, ids))
    return images, [np.concatenate(part) for part in pixels]


def fill(images):
    table = Table(5)
    for index, (true, depth, labels) in enumerate(images):
        table.add(str(index), true, depth, labels)
    return table


@pytest.fixture(scope='module')
def random_table():
    """Return a table of random images, and all pixels that count, as flat arrays."""
    images, pixels = random_images()
    return fill(images), pixels


def test_depth_metrics_of_two_pixels_by_hand():
    found = depth_of([[2., 4.]], [[3., 4.]])
    assert found.rel == pytest.approx(0.25)  # (1/2 + 0) / 2
    assert found.rel_sqr == pytest.approx(0.25)  # (1/2 + 0) / 2
    assert found.log10 == pytest.approx(math.log10(1.5) / 2)
    assert found.rms == pytest.approx(math.sqrt(0.5))
    assert found.rms_log == pytest.approx(math.log(1.5) / math.sqrt(2))
    assert (found.delta1, found.delta2, found.delta3) == (0.5, 1, 1)  # 1.25 < 1.5 < 1.5625


def test_rel_and_rel_sqr_divide_by_the_truth_not_by_the_prediction():
    found = depth_of([[4.]], [[2.]])
    assert (found.rel, found.rel_sqr) == (0.5, 1.0)


def test_a_ratio_of_exactly_the_threshold_is_outside():
    assert depth_of([[4.]], [[5.]]).delta1 == 0
    assert depth_of([[5.]], [[4.]]).delta1 == 0


def test_iou_of_four_pixels_by_hand():
    found = labels_of([[0, 0, 1, 1]], [[0, 1, 1, 1]])
    np.testing.assert_allclose(found.iou, (50, 200 / 3, NAN))
    assert found.mean_iou == pytest.approx((50 + 200 / 3) / 2)  # class 2 occurs nowhere
    assert found.pixel_accuracy == 75


def test_a_class_that_is_only_predicted_counts_as_zero():
    found = labels_of([[0, 0]], [[0, 2]])
    np.testing.assert_allclose(found.iou, (50, NAN, 0))
    assert found.mean_iou == 25


def test_a_perfect_prediction_gives_0_1_and_100():
    depth, labels = np.full((3, 4), 2.5, np.float32), np.arange(12).reshape(3, 4) % 3
    table = table_of([(depth, depth, labels, labels)])
    for name in METRICS:
        best = {'mean_iou': 100, 'pixel_accuracy': 100}.get(name, int(name.startswith('delta')))
        assert value(table, name) == best, name


@pytest.mark.parametrize('hole', [NAN, 0., -1., math.inf])
def test_pixels_without_depth_do_not_count(hole):
    # At the hole the prediction may be anything, even a number without a logarithm.
    assert depth_of([[2., hole]], [[2., -7.]]).rms == 0


def test_unlabelled_pixels_do_not_count():
    found = labels_of([[0, 255]], [[0, 1]])
    assert (found.mean_iou, found.pixel_accuracy) == (100, 100)


def test_pixels_without_depth_count_for_labels_and_the_other_way_round():
    image = truth([[NAN, 2.]], [[0, 255]])
    assert image.label_sums(np.array([[0, 0]])).sum((0, 1)).tolist() == [1, 1, 1]
    assert image.depth_sums(np.array([[1., 3.]])).sum((0, 1))[0] == 1


def test_without_pixels_a_metric_is_undefined():
    assert all(math.isnan(each) for each in depth_of([[NAN]], [[1.]]))
    assert math.isnan(labels_of([[255]], [[0]]).mean_iou)


def test_the_crop_excludes_what_lies_outside():
    true, predicted = [[1., 1.], [1., 1.]], [[1., 2.], [3., 1.]]
    assert depth_of(true, predicted, crop=(slice(0, 1), slice(0, 2))).rms == pytest.approx(.5**.5)
    assert depth_of(true, predicted, crop=(slice(1, 2), slice(1, 2))).rms == 0
    assert labels_of([[0, 0]], [[0, 1]], crop=(slice(0, 1), slice(0, 1))).mean_iou == 100


def test_a_crop_beyond_the_picture_is_refused():
    with pytest.raises(ValueError, match='crop 0:3,0:2 does not fit a picture of 2x2'):
        depth_of([[1., 1.], [1., 1.]], np.ones((2, 2)), crop=(slice(0, 3), slice(0, 2)))


def test_the_cap_excludes_far_truth_and_no_label():
    assert depth_of([[1., 9.]], [[1., 5.]], max_depth=8).rms == 0
    image = truth([[1., 9.]], [[0, 0]], max_depth=8)
    assert image.label_sums(np.zeros((1, 2), int)).sum((0, 1))[1] == 2


@pytest.mark.parametrize('bad', [0., -1., NAN, math.inf])
def test_a_depth_without_logarithm_is_refused(bad):
    with pytest.raises(ValueError, match='not finite and positive at 1 pixels'):
        depth_of([[1., 1.]], [[1., bad]])


def test_foreign_class_ids_and_sizes_are_refused():
    with pytest.raises(ValueError, match='class id 7, the label set has 3'):
        truth(labels=[[7]])
    with pytest.raises(ValueError, match='class id 3 is predicted'):
        labels_of([[0]], [[3]])
    with pytest.raises(ValueError, match=r'\(1, 2\), the picture is \(1, 1\)'):
        depth_of([[1.]], [[1., 1.]])


def test_sums_are_kept_by_true_depth_and_by_true_class():
    image = truth([[0.5, 1.5, 20., NAN]], [[0, 1, 255, 2]])
    depth = image.depth_sums(np.array([[1., 1.5, 20., 1.]]))[..., 0]
    assert np.argwhere(depth).tolist() == [[0, 0], [1, 1], [DEPTH_BINS - 1, 3]]
    labels = image.label_sums(np.array([[0, 0, 0, 2]]))[..., 1]
    assert np.argwhere(labels).tolist() == [[0, 0], [1, 1], [DEPTH_BINS, 2]]


def test_pooled_and_per_image_metrics_differ_where_images_do():
    # One pixel with an error of 4 m in the first image, three of 0 m in the second.
    table = table_of([([[4., NAN, NAN]], [[8., 1., 1.]], [[0, 255, 255]], [[1, 1, 1]]),
                      ([[4., 4., 4.]], [[4., 4., 4.]], [[0, 0, 0]], [[0, 0, 0]])])
    once = np.ones((1, 2))
    assert value(table, 'rms') == 2  # sqrt(16 / 4)
    assert average(image_values(table, 'rms'), once) == 2  # (4 + 0) / 2
    assert value(table, 'rel') == 0.25
    assert average(image_values(table, 'rel'), once) == 0.5
    assert value(table, 'pixel_accuracy') == 75
    assert average(image_values(table, 'pixel_accuracy'), once) == 50
    assert value(table, 'mean_iou') == pytest.approx((75 + 0) / 2)
    assert average(image_values(table, 'mean_iou'), once) == 50  # (0 of two classes + 100) / 2


def test_an_image_without_truth_is_left_out_of_the_average():
    table = table_of([([[NAN]], [[1.]], [[0]], [[0]]), ([[2.]], [[3.]], [[255]], [[0]])])
    np.testing.assert_array_equal(image_values(table, 'rms'), (NAN, 1))
    assert average(image_values(table, 'rms'), np.ones((1, 2))) == 1


def test_merged_tables_are_the_table_of_all_images():
    images, _ = random_images()
    whole, merged = fill(images), fill(images[:5]) + fill(images[5:])
    assert len(merged) == 12
    for name in METRICS:
        np.testing.assert_array_equal(image_values(merged, name), image_values(whole, name))
        assert value(merged, name) == value(whole, name)
    with pytest.raises(ValueError, match='5 and 3 classes'):
        merged + Table(3)


def test_depth_metrics_equal_those_of_torchmetrics(random_table):
    torch, metrics = pytest.importorskip('torch'), pytest.importorskip('torchmetrics')
    table, (depth, predicted, _, _) = random_table
    d, p = (torch.from_numpy(array.astype(float)) for array in (depth, predicted))
    ratio = torch.maximum(d / p, p / d)
    expected = DepthMetrics(
        metrics.MeanAbsolutePercentageError()(p, d),
        metrics.MeanMetric()((p - d) ** 2 / d),
        metrics.MeanAbsoluteError()(p.log10(), d.log10()),
        metrics.MeanSquaredError(squared=False)(p, d),
        metrics.MeanSquaredError(squared=False)(p.log(), d.log()),
        *(metrics.MeanMetric()((ratio < 1.25 ** k).double()) for k in (1, 2, 3)))
    for name, wanted in expected._asdict().items():
        assert value(table, name) == pytest.approx(float(wanted), rel=1e-5), name


def test_label_metrics_equal_those_of_torchmetrics(random_table):
    torch = pytest.importorskip('torch')
    classification = pytest.importorskip('torchmetrics.classification')
    table, (_, _, labels, ids) = random_table
    target, predicted = torch.from_numpy(labels).long(), torch.from_numpy(ids).long()
    found = label_metrics(table.labels.sum((0, 1)))
    iou = classification.MulticlassJaccardIndex(5, average=None)(predicted, target)
    np.testing.assert_allclose(found.iou, 100 * iou.numpy(), rtol=1e-6)
    mean = classification.MulticlassJaccardIndex(5)(predicted, target)
    assert found.mean_iou == pytest.approx(100 * float(mean), rel=1e-6)
    accuracy = classification.MulticlassAccuracy(5, average='micro')(predicted, target)
    assert found.pixel_accuracy == pytest.approx(100 * float(accuracy), rel=1e-6)


def test_torchmetrics_agrees_on_a_class_that_does_not_occur():
    torch = pytest.importorskip('torch')
    classification = pytest.importorskip('torchmetrics.classification')
    true, predicted = [[0, 0, 1, 1]], [[0, 1, 1, 1]]
    wanted = classification.MulticlassJaccardIndex(3)(torch.tensor(predicted), torch.tensor(true))
    assert labels_of(true, predicted).mean_iou == pytest.approx(100 * float(wanted))


@pytest.mark.parametrize('name', METRICS)
def test_the_interval_is_seeded_and_contains_the_estimate(random_table, name):
    table, _ = random_table
    found = [estimate(pooled(table, name), resamplings(len(table))) for _ in range(2)]
    assert found[0] == found[1]
    assert found[0].low < found[0].value < found[0].high
    other = estimate(pooled(table, name), resamplings(len(table), seed=1))
    assert other.value == found[0].value and other.low != found[0].low


def test_the_intervals_width_is_that_of_the_mean_of_images():
    # Images of one pixel each: pooled rel is their mean, its standard error is known.
    errors = np.random.default_rng(0).uniform(0, 0.5, 200)
    table = table_of([([[1.]], [[1 + error]], [[0]], [[0]]) for error in errors])
    found = estimate(pooled(table, 'rel'), resamplings(200, 4000))
    wanted = 2 * 1.96 * errors.std() / math.sqrt(200)
    assert found.high - found.low == pytest.approx(wanted, rel=0.05)


def test_a_drawing_has_as_many_images_as_there_are():
    weights = resamplings(7, 50)
    assert weights.shape == (50, 7) and (weights.sum(1) == 7).all()
    np.testing.assert_array_equal(pool(np.arange(7.), np.eye(7)), np.arange(7))
    with pytest.raises(ValueError, match='no image'):
        resamplings(0)
