# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""A network over frames: what is compared with what, and what happens to what cannot be."""

from collections.abc import Sequence
from dataclasses import replace
import math
import threading

import cv2
from jrn_perception import labels, weights
from jrn_perception.datasets.decoding import DamagedSampleError
from jrn_perception.datasets.nyuv2 import NYUv2
from jrn_perception.evaluation.measures.bootstrap import pooled
from jrn_perception.evaluation.measures.comparison import (
    Comparison,
    evaluate,
    find_label_set,
    Protocol,
)
from jrn_perception.evaluation.measures.frames import SceneFrames
from jrn_perception.evaluation.measures.metrics import label_metrics
from jrn_perception.frame import Frame
from jrn_perception.networks.interface import Maps
from jrn_perception.perception import Perception
from jrn_perception.perception.prediction import fold_logits
import numpy as np
import pytest
import torch
from torch import nn


class Known(nn.Module):
    """A network that says the same of every picture."""

    def __init__(self, depth=None, logits=None):
        super().__init__()
        self.maps = Maps(depth, logits)

    def forward(self, image):
        return self.maps


class Frames(Sequence):
    """Frames in memory; an exception among them is raised."""

    def __init__(self, *frames, labels=labels.NYU40):
        self.frames, self.labels = frames, labels

    def __len__(self):
        return len(self.frames)

    def __getitem__(self, index):
        if isinstance(self.frames[index], Exception):
            raise self.frames[index]
        return self.frames[index]


def known(depth=None, logits=None):
    """Return a Perception of HydraNet's label set that always predicts these maps (h, w)."""
    card = weights.Card('hydranet', 'nyu40', 'nyu40', input_size=(32, 32), sha256='known')
    depth = None if depth is None else torch.as_tensor(depth, dtype=torch.float32)[None, None]
    return Perception(weights.Loaded(Known(depth, logits), card, 'known'), 'cpu', height=32,
                      width=32)


def frame(depth=2., label=0, size=(32, 32), name='made'):
    return Frame(np.zeros((*size, 3), np.uint8), name,
                 depth=None if depth is None else np.full(size, depth, np.float32),
                 labels=None if label is None else np.full(size, label, np.uint8))


def one_class(index):
    logits = torch.zeros(1, 40, 8, 8)
    logits[:, index] = 10
    return logits


def value(table, name):
    return float(pooled(table, name)(np.ones((1, len(table))))[0])


@pytest.fixture(scope='module')
def jrn():
    return Perception.load('jrn', 'cat1', weights_file='random', device='cpu', height=64)


@pytest.fixture(scope='module')
def rooms():
    return Frames(*SceneFrames(2))


def test_a_network_that_is_right_gets_the_best_numbers():
    result = evaluate(known(np.full((8, 8), 2.), one_class(3)), Frames(frame(2., 3)))
    assert value(result.output, 'rms') == 0 and value(result.output, 'mean_iou') == 100
    assert result.labels == labels.NYU40 and result.inputs is None


def test_the_outputs_are_those_of_perception(jrn, rooms):
    result = evaluate(jrn, rooms)
    for index, room in enumerate(rooms):
        prediction = jrn(room.rgb)
        true = labels.map_labels(room.labels, labels.NYU40_TO_NYU5)
        for table, side in ((result.output, prediction), (result.inputs, prediction.inputs)):
            limits = 0.1 * side.depth_scale, 10 * side.depth_scale
            error = np.clip(side.depth, *limits).astype(float) - room.depth
            assert table.depth[index, ..., 4].sum() == pytest.approx((error ** 2).sum())
            assert table.labels[index, ..., 0].sum() == (side.labels == true).sum()
    assert result.labels == labels.NYU5


def test_predicted_depth_is_clamped_to_the_card_or_to_the_protocol():
    perception = known(np.full((8, 8), -3.))
    assert perception.card.depth_range == (0.1, 10.0)
    rms = {clamp: value(evaluate(perception, Frames(frame(2.)), Protocol(clamp=clamp)).output,
                        'rms') for clamp in (None, (0.5, 10.))}
    assert rms == {None: pytest.approx(1.9), (0.5, 10.): pytest.approx(1.5)}


@pytest.mark.parametrize('bad', [math.nan, math.inf])
def test_a_depth_that_is_not_finite_is_an_error_that_names_the_frame(bad):
    with pytest.raises(ValueError, match='frame made: predicted depth is not finite'):
        evaluate(known(np.full((8, 8), bad)), Frames(frame()))


def test_crop_and_cap_change_the_result():
    far = frame()
    far.depth[:16] = 9
    perception = known(np.full((8, 8), 2.))
    frames = Frames(far)
    assert value(evaluate(perception, frames).output, 'rms') == pytest.approx(7 / math.sqrt(2))
    assert value(evaluate(perception, frames, Protocol(max_depth=8.)).output, 'rms') == 0
    crop = (slice(16, 32), slice(0, 32))
    assert value(evaluate(perception, frames, Protocol(crop)).output, 'rms') == 0


def test_a_finer_network_has_its_probabilities_summed():
    # Wall is the likeliest class, yet furniture together is likelier: 0.4 against 2 x 0.3.
    logits = torch.full((1, 40, 8, 8), -20.)
    for name, probability in (('wall', 0.4), ('bed', 0.3), ('chair', 0.3)):
        logits[:, labels.NYU40.names.index(name)] = math.log(probability)
    source = Frames(frame(label=labels.NYU40.names.index('chair')))
    perception = known(logits=logits)
    fine = evaluate(perception, source)
    coarse = evaluate(perception, source, Protocol(labels=labels.NYU5))
    assert (fine.labels, coarse.labels) == (labels.NYU40, labels.NYU5)
    assert value(fine.output, 'mean_iou') == 0 and value(coarse.output, 'mean_iou') == 100


def test_folded_logits_are_log_probabilities_of_the_sums():
    logits = torch.randn(2, 40, 3, 4)
    matrix = labels.fold_matrix(labels.NYU40, labels.NYU5)
    folded = np.exp(fold_logits(logits.permute(0, 2, 3, 1).numpy(), matrix))
    probabilities = logits.softmax(1)
    wanted = torch.stack([probabilities[:, labels.NYU40_TO_NYU5 == k].sum(1)
                          for k in range(5)], 1)
    np.testing.assert_allclose(folded, wanted.permute(0, 2, 3, 1), rtol=1e-4)


def test_a_finer_network_takes_the_label_set_of_coarser_ground_truth():
    source = Frames(frame(label=3), labels=labels.NYU5)
    result = evaluate(known(logits=one_class(labels.NYU40.names.index('bed'))), source)
    assert result.labels == labels.NYU5 and value(result.output, 'mean_iou') == 100


def test_label_sets_without_a_map_are_refused(jrn):
    with pytest.raises(ValueError, match=r'\(nyu5\) and of the data set \(kitti6\)'):
        Comparison(jrn, labels.KITTI6, Protocol())
    with pytest.raises(ValueError, match='as nyu40'):
        Comparison(jrn, labels.NYU40, Protocol(labels=labels.NYU40))
    with pytest.raises(ValueError, match='data set has no labels'):
        Comparison(jrn, None, Protocol(labels=labels.NYU5))
    with pytest.raises(ValueError, match='choose from nyu40, nyu5'):
        find_label_set('nyu41')


def test_a_source_without_labels_gives_depth_alone(jrn):
    result = evaluate(jrn, Frames(frame(label=None), labels=None))
    assert result.labels is None
    assert math.isfinite(value(result.output, 'rms'))
    assert math.isnan(value(result.output, 'mean_iou'))


def test_frames_may_lack_one_ground_truth():
    result = evaluate(known(np.full((8, 8), 2.), one_class(3)),
                      Frames(frame(None, 3), frame(1., None)))
    assert value(result.output, 'rms') == 1 and value(result.output, 'mean_iou') == 100


def test_nothing_to_compare_is_an_error():
    with pytest.raises(ValueError, match='nothing to compare in 1 frames'):
        evaluate(known(np.full((8, 8), 2.)), Frames(frame(None, None)))


def test_damaged_samples_are_fatal_or_counted_and_named():
    perception = known(np.full((8, 8), 2.))
    source = Frames(frame(), DamagedSampleError('b.png: missing'), frame(name='last'))
    with pytest.raises(DamagedSampleError, match='b.png: missing'):
        evaluate(perception, source)
    result = evaluate(perception, source, skip_damaged=True)
    assert result.damaged == {1: 'b.png: missing'}
    assert result.output.names == ['made', 'last']


def test_damage_that_is_read_ahead_of_an_interruption_is_not_reported(told):
    messages = told('jrn_perception.datasets.subsets')
    seen, read = [], threading.Event()

    class Slow(Frames):

        def __getitem__(self, index):
            if index == 0:
                assert read.wait(10)
            if index == 5:
                read.set()
            return super().__getitem__(index)

    source = Slow(*5 * [frame()], DamagedSampleError('5.png: missing'), *30 * [frame()])

    def track(steps, _total):
        for step in steps:
            seen.append(step)
            yield step

    result = evaluate(known(np.full((8, 8), 2.)), source, skip_damaged=True, track=track,
                      interrupted=lambda: bool(seen))
    assert result.reason == f'interrupted after {len(seen)} of 36 frames'
    expected = {5: '5.png: missing'} if len(seen) > 5 else {}
    assert result.damaged == expected
    assert any('5.png' in message for message in messages) == bool(expected)


def test_a_damaged_file_of_a_real_layout_is_named(tmp_path):
    for folder, name, picture in (
            ('rgb', '{}.jpg', np.zeros((32, 32, 3), np.uint8)),
            ('depth_mm', '{}.png', np.full((32, 32), 2000, np.uint16)),
            ('label40', '{}.png', np.full((32, 32), 4, np.uint8))):
        (tmp_path / folder).mkdir()
        for number in ('0001', '0002'):
            assert cv2.imwrite(str(tmp_path / folder / name.format(number)), picture)
    (tmp_path / 'depth_mm' / '0001.png').write_bytes(b'no picture')
    (tmp_path / 'val.txt').write_text('0001\n0002\n')
    source = NYUv2(tmp_path)
    perception = known(np.full((8, 8), 2.), one_class(3))
    with pytest.raises(DamagedSampleError, match='0001.png'):
        evaluate(perception, source)
    result = evaluate(perception, source, skip_damaged=True)
    assert list(result.damaged) == [0] and '0001.png' in result.damaged[0]
    assert value(result.output, 'rms') == 0 and value(result.output, 'pixel_accuracy') == 100


def test_the_frames_are_tracked_one_by_one():
    seen = []

    def track(steps, total):
        assert total == 2
        for step in steps:
            seen.append(step.frame.name)
            yield step

    evaluate(known(np.full((8, 8), 2.)), Frames(frame(), frame(name='b')), track=track)
    assert seen == ['made', 'b']


def test_depth_is_scaled_for_the_camera_unless_the_protocol_forbids_it():
    perception = known(np.full((8, 8), 2.))
    perception.card = replace(perception.card, focal_length=(30., 30.))
    # The camera's focal length is twice the trained one: the network's 2 m are 4 m.
    source = Frames(replace(frame(4.), camera_matrix=np.diag((60., 60., 1.))))
    corrected = evaluate(perception, source)
    assert corrected.scales == [2.] and value(corrected.output, 'rms') == 0
    plain = evaluate(perception, source, Protocol(focal_correction=False))
    assert plain.scales == [] and value(plain.output, 'rms') == 2


def test_the_cap_wants_a_depth():
    with pytest.raises(ValueError, match='cap'):
        Protocol(max_depth=0)
    with pytest.raises(ValueError, match='cap'):
        Protocol(max_depth=math.nan)


def test_real_frames_are_evaluated_inside_the_crop(data_dir, jrn):
    source = NYUv2(data_dir / 'nyuv2')
    first = Frames(source[0])
    crop = (slice(45, 471), slice(41, 601))
    result = evaluate(jrn, first, Protocol(crop))
    assert result.output.depth[..., 0].sum() == 426 * 560
    assert result.output.labels[..., 1].sum() == (source[0].labels[crop] != 255).sum()
    whole = evaluate(jrn, first)
    assert not np.allclose(label_metrics(whole.output.labels.sum((0, 1))).iou,
                           label_metrics(result.output.labels.sum((0, 1))).iou, equal_nan=True)
