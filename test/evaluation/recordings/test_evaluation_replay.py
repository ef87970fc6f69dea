# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Answers of a node, here made without one, are measured as ``jrn_evaluate bag`` measures."""

from depth_limits import limit_depth
from jrn_perception.evaluation.measures.comparison import Protocol
from jrn_perception.evaluation.recordings.bag import evaluate_bag
from jrn_perception.evaluation.recordings.pairing import stamp_of
from jrn_perception.evaluation.recordings.session import Request
from jrn_perception.labels import LABEL_SETS
from jrn_perception.messages import label_info
from jrn_perception.messages.images import compressed_to_rgb
from jrn_perception.perception import Perception
from jrn_perception.recordings.reader import IMAGE, Recording, RecordingError
from jrn_perception.sources import sample
import numpy as np
import pytest

pytest.importorskip('rosbags.rosbag2')
reports = pytest.importorskip('jrn_perception.evaluation.reports.bag_document')
replay = pytest.importorskip('jrn_perception.evaluation.recordings.replay')

TOPICS = {name: f'/robot/{name}' for name in replay.OUTPUTS}
TRUTH = {'depth': sample.DEPTH_TOPIC, 'labels': sample.LABEL_TOPIC}
REQUEST = Request(**TRUTH)
COUNT = 5
STORE = label_info.typestore()


@pytest.fixture(scope='module')
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp('bag') / 'sample'
    sample.write_sample(path, COUNT, size=(96, 128))
    return path


@pytest.fixture
def recording(path):
    with Recording(path) as recording:
        yield recording


def serialised(stamp, array, encoding):
    """Return the bytes of an Image as the node publishes it."""
    types = STORE.types
    time = types['builtin_interfaces/msg/Time'](stamp // 10**9, stamp % 10**9)
    message = types[IMAGE](types['std_msgs/msg/Header'](time, 'camera'), *array.shape, encoding, 0,
                           array[0].nbytes, array.reshape(-1).view(np.uint8))
    return bytes(STORE.serialize_cdr(message, IMAGE))


@pytest.fixture(scope='module')
def answers(perception, path):
    """Return what a node told to be measured publishes, by stamp and output."""
    found = {}
    with Recording(path) as recording:
        for record in recording.records([sample.IMAGE_TOPIC]):
            prediction = perception(compressed_to_rgb(recording.decode(record)))
            depth = limit_depth(prediction.depth, replay.PARAMETERS['min_depth'],
                                replay.PARAMETERS['max_depth'])
            stamp = stamp_of(record.data)
            found[stamp] = {
                'depth': serialised(stamp, depth, '32FC1'),
                'semantics': serialised(stamp, prediction.labels, 'mono8'),
                'confidence': serialised(stamp, prediction.confidence, '32FC1')}
    return found


def recorded(recording):
    return recording.records([sample.IMAGE_TOPIC, *TRUTH.values()])


def tell(session, answer, seconds=0.0):
    for output, data in answer.items():
        session.hear(TOPICS[output], data, seconds)


def play(session, recording, answers, before=False):
    """Let a session hear a recording, each picture followed by its answer (or ``before`` all)."""
    if before:
        for answer in answers.values():
            tell(session, answer)
    for record in recorded(recording):
        session.hear(record.topic.name, record.data, 0.0)
        if record.topic.name == sample.IMAGE_TOPIC and not before:
            tell(session, answers.get(stamp_of(record.data), {}))


def assert_same(session, evaluation, by_bag):
    """Hold what both documents say of frames against each other, to the last bit."""
    document = reports.replay_document(evaluation, session)
    for key in set(by_bag) - {'inputs', 'gain', 'notes', 'rates'}:
        if key != 'source':
            assert document[key] == by_bag[key], key
    assert document['source']['frames'] == by_bag['source']['frames']
    assert document['source']['names_sha256'] == by_bag['source']['names_sha256']
    assert not {'inputs', 'gain'} & set(document)


@pytest.mark.parametrize('before', [False, True], ids=['answers follow', 'answers come first'])
def test_all_frames_are_measured_as_in_the_bag(perception, path, recording, answers, before):
    session = replay.Replay(perception, recording, REQUEST, TOPICS)
    play(session, recording, answers, before)
    evaluation = session.result()
    by_bag = reports.bag_document(evaluate_bag(perception, path, REQUEST), perception)
    assert by_bag['source']['frames'] == by_bag['source']['with_depth'] == COUNT
    assert_same(session, evaluation, by_bag)
    document = reports.replay_document(evaluation, session)
    assert document['rates'] == by_bag['rates'] and document['source'] == by_bag['source']
    assert document['replay']['frames'] == {'sent': COUNT, 'processed': COUNT, 'dropped': 0}
    # This network has pixels of no positive depth, or the rule for them was not tried.
    (note,) = evaluation.notes
    assert 'pixels came without a depth, it was not above 0: they count as 0.1 m' in note


def test_dropped_frames_are_counted_and_the_others_measured(perception, path, recording, answers):
    session = replay.Replay(perception, recording, REQUEST, TOPICS)
    play(session, recording, dict(list(answers.items())[:3]))
    evaluation = session.result()
    first = Request(**TRUTH, limit=3)
    by_bag = reports.bag_document(evaluate_bag(perception, path, first), perception)
    by_bag['protocol']['limit'] = None
    assert_same(session, evaluation, by_bag)
    assert session.timings()['frames'] == {'sent': 5, 'processed': 3, 'dropped': 2}
    assert evaluation.reasons == []
    assert 'drift is measured between processed frames' in evaluation.notes


def test_a_frame_between_two_that_are_processed_may_be_dropped(perception, recording, answers):
    session = replay.Replay(perception, recording, REQUEST, TOPICS)
    play(session, recording, dict(list(answers.items())[::2]))
    evaluation = session.result()
    assert session.timings()['frames'] == {'sent': 5, 'processed': 3, 'dropped': 2}
    assert evaluation.totals.with_truth == {'depth': 3, 'labels': 3}
    assert np.isfinite(evaluation.totals.drift['depth']).sum() == 2


def test_an_answer_is_whole_or_none(perception, recording, answers):
    whole, *_, cut = answers
    part = {key: value for key, value in answers[cut].items() if key != 'confidence'}
    session = replay.Replay(perception, recording, REQUEST, TOPICS)
    play(session, recording, {whole: answers[whole], cut: part})
    assert (session.last_answer, session.last_picture) == (whole, cut)
    session.result()
    assert session.timings()['frames'] == {'sent': 5, 'processed': 1, 'dropped': 4}


def test_the_latency_is_that_of_the_last_of_the_results(perception, recording, answers):
    session = replay.Replay(perception, recording, REQUEST, TOPICS)
    records = recorded(recording)
    arrived = 100.0
    for record in records:
        session.hear(record.topic.name, record.data, arrived)
        if record.topic.name == sample.IMAGE_TOPIC:
            for index, (output, data) in enumerate(answers[stamp_of(record.data)].items()):
                session.hear(TOPICS[output], data, arrived + 0.25 + index)
        arrived += 10
    session.result()
    latency = session.timings()['stages_ms']['end to end']
    assert latency['mean'] == pytest.approx(2250) == latency['largest']
    assert latency['p95'] == pytest.approx(2250, rel=0.02)


def test_a_picture_that_was_not_heard_stops_nothing(perception, recording, answers):
    session = replay.Replay(perception, recording, REQUEST, TOPICS)
    lost = list(answers)[1]
    for record in recorded(recording):
        picture, stamp = record.topic.name == sample.IMAGE_TOPIC, stamp_of(record.data)
        if not picture or stamp != lost:
            session.hear(record.topic.name, record.data, 0.0)
        if picture:
            tell(session, answers[stamp])
    session.result()
    assert session.timings()['frames'] == {'sent': 4, 'processed': 4, 'dropped': 0}


def test_stamps_that_go_back_end_it_partially(perception, path, recording, answers):
    session = replay.Replay(perception, recording, REQUEST, TOPICS)
    play(session, recording, answers)
    play(session, recording, {})
    evaluation = session.result()
    (reason,) = evaluation.reasons
    assert reason == (f'{path}: {sample.IMAGE_TOPIC}: stamp 1700000000.000000000 goes back by '
                      '0.400 s; later messages were left out')
    assert evaluation.totals.frames == COUNT


def test_reasons_of_others_are_kept(perception, recording, answers):
    session = replay.Replay(perception, recording, REQUEST, TOPICS)
    play(session, recording, answers)
    evaluation = session.result(['the player fell'], ['a note'])
    assert evaluation.reasons == ['the player fell']
    assert 'a note' in evaluation.notes
    assert reports.replay_document(evaluation, session)['partial'] is True


def test_confidence_of_8_bits_is_refused(perception, recording, answers):
    session = replay.Replay(perception, recording, REQUEST, TOPICS)
    coarse = {stamp: {**answer, 'confidence': serialised(stamp, np.zeros((96, 128), np.uint8),
                                                         'mono8')}
              for stamp, answer in answers.items()}
    play(session, recording, coarse)
    with pytest.raises(RecordingError, match='confidence is mono8') as refusal:
        session.result()
    assert '\n' not in str(refusal.value)


def test_a_node_that_says_nothing(perception, recording):
    session = replay.Replay(perception, recording, REQUEST, TOPICS)
    play(session, recording, {})
    with pytest.raises(RecordingError, match='could be evaluated: the node died'):
        session.result(['the node died'])


def test_memory_does_not_grow_with_what_is_not_answered(perception, recording, answers,
                                                        monkeypatch):
    monkeypatch.setattr(replay, 'WAITING', 2)
    session = replay.Replay(perception, recording, REQUEST, TOPICS)
    play(session, recording, {})
    assert len(session._matches) <= 2
    tell(session, answers[max(answers)])
    assert session.result().totals.frames == 1


def test_ids_cannot_be_folded(recording):
    network = Perception.load('hydranet', weights_file='random', device='cpu')
    request = Request(**TRUTH, protocol=Protocol(labels=LABEL_SETS['nyu5']))
    with pytest.raises(ValueError, match='publishes ids of nyu40: to compare them as nyu5'):
        replay.Replay(network, recording, request, TOPICS)
