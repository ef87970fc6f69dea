# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Which runs of a network become CUDA graphs; the recorder is ours, because no GPU is needed."""

from jrn_perception.perception import SetUp
from jrn_perception.perception.backends.torch import GRAPHS, Graphs, Recording
import numpy as np
import pytest
from small_networks import load, SMALL


class Recorder:
    """Records on a CPU: a replay runs the function again, on the inputs that were recorded."""

    def __init__(self, error=None):
        self.error, self.recorded, self.replayed = error, [], 0

    def __call__(self, function, inputs):
        self.recorded.append(tuple(inputs[0].shape))
        if self.error:
            raise self.error
        outputs = function(*inputs)

        def replay():
            self.replayed += 1
            for name in ('depth', 'semantics'):
                getattr(outputs, name).copy_(getattr(function(*inputs), name))

        return Recording(inputs, outputs, replay)


@pytest.fixture
def pictures():
    return np.random.default_rng(0).integers(0, 256, (3, 64, 96, 3), np.uint8)


@pytest.fixture(params=['hydranet', 'jrn'])
def network(request):
    """Return a fresh network on the CPU."""
    return load(request.param, **SMALL)


def agree(found, expected):
    # Another batch sums in another order; other pictures differ by metres.
    np.testing.assert_allclose(found.depth, expected.depth, atol=1e-3)
    np.testing.assert_allclose(found.semantics, expected.semantics, atol=1e-3)


def test_a_cpu_needs_no_graphs(network):
    assert network.backend.graphs is None


def test_a_size_is_recorded_when_it_comes_again(network, pictures):
    expected = [network.infer(pictures[index:index + 1]) for index in range(3)]
    recorder = Recorder()
    network.backend.graphs = Graphs(recorder)
    for index, recorded, replayed in ((0, 0, 0), (1, 1, 1), (2, 1, 2), (0, 1, 3)):
        agree(network.infer(pictures[index:index + 1]), expected[index])
        assert (len(recorder.recorded), recorder.replayed) == (recorded, replayed)
    # A batch of another length is another graph.
    for _ in range(2):
        agree(network.infer(pictures[:2]).at(1), expected[1])
    assert recorder.recorded == [(1, 64, 96, 3), (2, 64, 96, 3)]


def test_set_ups_and_given_inputs_have_their_own_graphs(pictures):
    jrn = load('jrn', **SMALL)
    batch = pictures[:1]
    inputs = jrn.infer(batch).inputs
    set_ups = [SetUp(), SetUp('depth'), SetUp('semantics', 'mean')]
    expected = [jrn.infer(batch, set_up, inputs) for set_up in set_ups]
    recorder = Recorder()
    jrn.backend.graphs = Graphs(recorder)
    for given in (None, inputs):
        for _ in range(2):
            for set_up, right in zip(set_ups, expected):
                agree(jrn.infer(batch, set_up, given), right)
    assert len(recorder.recorded) == recorder.replayed == 6


@pytest.mark.parametrize('set_up', [SetUp('depth', 'noise'), SetUp('none', 'noise', True)])
def test_noise_is_never_recorded(pictures, set_up):
    jrn = load('jrn', **SMALL)
    recorder = Recorder()
    jrn.backend.graphs = Graphs(recorder)
    for _ in range(3):
        jrn.infer(pictures[:1], set_up)
    assert not recorder.recorded
    for _ in range(2):
        jrn.infer(pictures[:1], SetUp('none', 'noise'))
    assert len(recorder.recorded) == 1


def test_only_the_latest_graphs_are_kept():
    graphs = Graphs(lambda function, inputs: Recording(inputs, inputs[0], lambda: None))
    torch = pytest.importorskip('torch')
    cpu, image = torch.device('cpu'), (torch.zeros(1),)
    for key in range(GRAPHS + 1):
        for _ in range(2):
            graphs.run(key, lambda x: x, image, cpu)
    kept = [key for (key, _), recording in graphs._recordings.items() if recording is not None]
    assert kept == list(range(1, GRAPHS + 1))


def test_a_recording_that_fails_is_reported_once_and_costs_nothing_else(network, pictures):
    expected = network.infer(pictures[:1])
    recorder = Recorder(RuntimeError('operation not permitted when stream is capturing'))
    network.backend.graphs = Graphs(recorder)
    agree(network.infer(pictures[:1]), expected)
    with pytest.warns(RuntimeWarning, match='runs slower: operation not permitted'):
        agree(network.infer(pictures[:1]), expected)
    for _ in range(3):
        agree(network.infer(pictures[:1]), expected)
    assert len(recorder.recorded) == 1
