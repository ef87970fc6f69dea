# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Totals of parts of a recording, measured apart and merged, are the totals of the whole."""

from dataclasses import replace
import pickle

from jrn_perception.evaluation.recordings.bag import evaluate_bag
from jrn_perception.evaluation.recordings.session import Request
from jrn_perception.evaluation.recordings.totals import Totals
from jrn_perception.evaluation.reports.bag_document import bag_document, timings
from jrn_perception.labels import LABEL_SETS
from jrn_perception.recordings.reader import Recording
from jrn_perception.recordings.writer import Writer
from jrn_perception.sources import sample
import numpy as np
import pytest

pytest.importorskip('rosbags.rosbag2')

NYU5 = LABEL_SETS['nyu5']
COUNT = 6
REQUEST = Request(depth=sample.DEPTH_TOPIC, labels=sample.LABEL_TOPIC, worst=2)


def copy(path, output, wanted=range(COUNT), damaged=()):
    """Write the frames ``wanted`` of a recording; ``damaged`` are pairs of a topic and a frame."""
    with Recording(path) as recording, Writer(output) as writer:
        writer.add_copy(path, list(recording.topics))
        seen = dict.fromkeys(recording.topics, -1)
        for record in recording.records():
            topic, data = record.topic.name, record.data
            seen[topic] += 1
            if (topic, seen[topic]) in damaged:
                data = data[:len(data) // 2]
            if seen[topic] in wanted or topic == sample.LABEL_INFO_TOPIC:
                writer.write_copy(topic, record.stamp_ns, data)
    return output


@pytest.fixture(scope='module')
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp('bag') / 'sample'
    sample.write_sample(path, COUNT, size=(96, 128))
    return path


@pytest.fixture(scope='module')
def damaged(perception, path, tmp_path_factory):
    """Return an evaluation with damaged pictures and ground truth, and all that it has added."""
    measured, add = [], Totals.add
    broken = copy(path, tmp_path_factory.mktemp('broken') / 'bag', damaged=(
        (sample.IMAGE_TOPIC, 1), (sample.IMAGE_TOPIC, 4), (sample.DEPTH_TOPIC, 2),
        (sample.DEPTH_TOPIC, 3), (sample.LABEL_TOPIC, 5)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Totals, 'add', lambda totals, each: (measured.append(each),
                                                           add(totals, each))[1])
        evaluation = evaluate_bag(perception, broken, REQUEST)
    assert len(measured) == COUNT and evaluation.totals.num_damaged == 2
    return evaluation, measured


def total(measured, worst=REQUEST.worst):
    """Return the totals of frames as another process would send them."""
    totals = Totals(len(NYU5), NYU5, True, worst)
    for each in measured:
        totals.add(each)
    return pickle.loads(pickle.dumps(totals))


def merge(first, *others):
    for other in others:
        first.merge(other)
    return first


def results(evaluation, perception, totals):
    """Return all numbers that come out of totals."""
    evaluation = replace(evaluation, totals=totals)
    return [bag_document(evaluation, perception), timings(evaluation),
            {name: np.nan_to_num(values, nan=-1).tolist()
             for name, values in totals.traces.items()},
            [[frame.content.frame.stamp_ns for frame in worst.ranked()]
             for worst in totals.worst.values()],
            totals.damaged, totals.damaged_truth, totals.notes]


@pytest.mark.parametrize('at', range(COUNT + 1))
def test_two_parts_are_the_whole(damaged, perception, at):
    evaluation, measured = damaged
    merged = merge(total(measured[:at]), total(measured[at:]))
    found, expected = (results(evaluation, perception, each)
                       for each in (merged, evaluation.totals))
    assert found == expected
    document = found[0]
    assert document['source']['damaged']['count'] == 2 == len(merged.damaged)
    assert document['output']['pooled']['rms'] > 0 and len(document['worst']['rel']) == 2
    assert merged.damaged_truth['depth'][0] == 2 and 'labels' in merged.damaged_truth


def test_single_frames_in_any_grouping_are_the_whole(damaged, perception):
    evaluation, measured = damaged
    expected = results(evaluation, perception, evaluation.totals)
    single = [total([each]) for each in measured]
    assert results(evaluation, perception, merge(*single)) == expected
    single = [total([each]) for each in measured]
    halves = merge(*single[:3]), merge(*single[3:])
    assert results(evaluation, perception, merge(*halves)) == expected


def test_frames_that_are_equally_bad_are_ranked_by_their_place(damaged):
    _, measured = damaged
    twin = next(each for each in measured if each.output is not None)
    merged = merge(total([twin, twin]), total([twin, twin], worst=4))
    alone = total([twin] * 4)
    places = [[-frame.order for frame in each.worst['rel'].ranked()] for each in (merged, alone)]
    assert places == [[1, 2], [1, 2]]


def test_the_order_of_the_parts_is_that_of_the_frames(damaged, perception):
    evaluation, measured = damaged
    forth, back = (results(evaluation, perception, merge(total(one), total(other)))
                   for one, other in ((measured[:3], measured[3:]), (measured[3:], measured[:3])))
    assert forth[0]['output']['pooled'] == back[0]['output']['pooled']
    assert forth[0]['source']['names_sha256'] != back[0]['source']['names_sha256']
    assert forth[2]['rel'] != back[2]['rel']
    assert sorted(forth[2]['rel']) == sorted(back[2]['rel'])


def test_merging_leaves_the_second_part_as_it_is(damaged, perception):
    evaluation, measured = damaged
    second = total(measured[3:])
    before = results(evaluation, perception, second)
    merge(total(measured[:3]), second).add(measured[0])
    assert results(evaluation, perception, second) == before


def test_all_notes_and_the_first_fault_are_kept(damaged):
    _, measured = damaged
    first, second = total(measured[:3]), total(measured[3:])
    first.notes.add('earlier')
    second.notes.add('later')
    count, fault = first.damaged_truth['depth']
    assert count == 1 and fault != second.damaged_truth['depth'][1]
    merged = merge(first, second)
    assert {'earlier', 'later'} <= merged.notes
    assert merged.damaged_truth['depth'] == (2, fault)
    assert total(measured).damaged_truth['depth'] == (2, fault)


def test_two_halves_of_a_recording(perception, path, tmp_path):
    whole = evaluate_bag(perception, path, REQUEST)
    halves = [evaluate_bag(perception, copy(path, tmp_path / str(frames[0]), frames), REQUEST)
              for frames in (range(3), range(3, COUNT))]
    merged = merge(*(pickle.loads(pickle.dumps(half.totals)) for half in halves))
    found, expected = (bag_document(replace(whole, totals=totals), perception)
                       for totals in (merged, whole.totals))
    # Only the frame at which the second half begins has nothing before it to drift from.
    pairs = [document.pop('drift')['labels']['pairs'] for document in (found, expected)]
    assert pairs == [COUNT - 2, COUNT - 1] and found == expected
    for role, values in merged.drift.items():
        alone = list(whole.totals.drift[role])
        alone[3] = np.nan
        np.testing.assert_array_equal(values, alone)


@pytest.mark.parametrize('other', [
    (40, LABEL_SETS['nyu40'], True), (len(NYU5), NYU5, False), (len(NYU5), None, True)])
def test_totals_of_other_comparisons_are_refused(other):
    with pytest.raises(ValueError, match='different comparisons'):
        Totals(len(NYU5), NYU5, True, 3).merge(Totals(*other, 3))
