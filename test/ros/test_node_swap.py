# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Another network while pictures keep coming, and weights that cannot be used."""

import gc
from importlib import import_module
import threading
import weakref

from jrn_perception import weights
from jrn_perception.perception import Perception
import pytest

pytest.importorskip('rclpy', reason="needs ROS 2 (pip install '.[ros]')")
import_module('sensor_msgs.msg')
TIMEOUT_S = 20
NETWORKS = (('hydranet', 'nyu40'), ('jrn', 'sum60'), ('jrn', 'cat1'), ('hydranet', 'kitti6'))


class Stream:
    """A camera on a thread of its own: one picture, the next as soon as it is answered."""

    def __init__(self, robot, rgb, *inboxes):
        self.robot, self.rgb, self.inboxes = robot, rgb, inboxes
        self.sent, self.failure = [], None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name='camera')

    def _run(self):
        try:
            while not self._ended.is_set():
                header = self.robot.send(self.rgb)
                self.robot.answers(header, *self.inboxes)
                self.sent.append(header.stamp)
        except BaseException as failure:  # noqa: B902, BLE001 raised again where it is seen
            self.failure = failure

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join()
        if self.failure is not None:
            raise self.failure

    def more(self, frames=3):
        """Return when so many more have been answered."""
        count = len(self.sent) + frames
        self.robot.wait_for(lambda: self.failure or len(self.sent) >= count, f'{frames} frames')
        assert self.failure is None, self.failure


def set_beside(robot, **values):
    """Set parameters on a thread; return it and the list that the result comes into."""
    results = []
    thread = threading.Thread(target=lambda: results.append(robot.configure(**values)))
    thread.start()
    return thread, results


def stamps(inbox):
    return [message.header.stamp for message in inbox]


def outputs_of(rgb, architecture, variant):
    prediction = Perception.load(architecture, variant, weights_file='random', height=64,
                                 width=96)(rgb)
    return prediction.labels.tobytes(), prediction.confidence.tobytes()


def test_swaps_under_load_lose_no_frame_and_mix_no_networks(robot, tools):
    rgb = tools.picture(seed=3)
    robot.start()
    robot.camera()
    labels, confidence = robot.listen('semantics'), robot.listen('confidence')
    with Stream(robot, rgb, labels, confidence) as stream:
        for architecture, variant in NETWORKS[1:] + NETWORKS[:1]:
            stream.more()
            assert robot.configure(architecture=architecture, variant=variant).successful
        stream.more()
    assert stamps(labels) == stamps(confidence) == stream.sent
    seen = [(bytes(a.data), bytes(b.data)) for a, b in zip(labels, confidence)]
    expected = [outputs_of(rgb, *network) for network in NETWORKS]
    order = [expected.index(pair) for pair in seen]
    assert [network for i, network in enumerate(order) if not i or network != order[i - 1]] == [
        0, 1, 2, 3, 0]
    status = robot.status(lambda status: status.count['frames_processed'] == len(seen))
    assert (status.count['frames_dropped'], status.count['frames_failed']) == (0, 0)


def test_frames_flow_while_a_network_loads(robot, tools, slow_load):
    robot.start()
    robot.camera()
    depth = robot.listen('depth')
    loading, go_on = slow_load()
    with Stream(robot, tools.picture(), depth) as stream:
        setting, results = set_beside(robot, architecture='jrn')
        assert loading.acquire(timeout=TIMEOUT_S)
        stream.more(20)
        assert not results
        go_on.release()
        setting.join(TIMEOUT_S)
        assert results[0].successful
        stream.more()
    assert stamps(depth) == stream.sent


def test_the_network_before_is_freed_at_once(robot, tools):
    node = robot.start()
    robot.camera()
    depth = robot.listen('depth')
    robot.ask(tools.picture(), depth)
    network = weakref.ref(node.cameras[0]._running.perception.backend.network)
    gc.collect()
    gc.disable()
    try:
        assert robot.configure(architecture='jrn').successful
        robot.wait_for(lambda: network() is None, 'memory for the next network')
    finally:
        gc.enable()


def test_a_load_that_fails_leaves_the_network_running(robot, tools, monkeypatch):
    robot.start()
    robot.camera()
    depth = robot.listen('depth')
    rgb = tools.picture()
    before = bytes(robot.ask(rgb, depth).data)

    def fail(*arguments, **options):
        raise MemoryError('no room for another network')
    monkeypatch.setattr(Perception, 'load', fail)
    result = robot.configure(architecture='jrn')
    assert (result.successful, result.reason) == (False, 'no room for another network')
    assert bytes(robot.ask(rgb, depth).data) == before
    assert (robot.get('architecture'), robot.get('variant')) == ('hydranet', 'nyu40')
    assert robot.status().values['architecture'] == 'hydranet'


def save(folder, variant='nyu40', seed=5):
    loaded = weights.load('hydranet', variant, 'random', seed)
    file = folder / f'{variant}.safetensors'
    weights.save(loaded.network, loaded.card, file)
    return file


def missing(folder):
    return {'weights': str(folder / 'nowhere.safetensors')}, 'no such weights file'


def damaged(folder):
    file = save(folder)
    content = bytearray(file.read_bytes())
    content[-1000] ^= 1
    file.write_bytes(content)
    return {'weights': str(file)}, 'damaged or not the file of this card'


def truncated(folder):
    file = save(folder)
    file.write_bytes(file.read_bytes()[:-1000])
    return {'weights': str(file)}, 'damaged or not the file of this card'


def without_card(folder):
    file = save(folder)
    file.with_suffix('.json').unlink()
    return {'weights': str(file)}, 'needs its card beside it'


def of_another_architecture(folder):
    return ({'architecture': 'jrn', 'weights': str(save(folder))},
            "holds architecture 'hydranet', expected 'jrn'")


def of_another_variant(folder):
    return ({'variant': 'nyu40', 'weights': str(save(folder, 'kitti6'))},
            "holds variant 'kitti6', expected 'nyu40'")


@pytest.mark.parametrize('fault', [missing, damaged, truncated, without_card,
                                   of_another_architecture, of_another_variant])
def test_weights_that_cannot_be_used_are_refused_and_frames_go_on(robot, tools, tmp_path, fault):
    values, reason = fault(tmp_path)
    robot.start()
    robot.camera()
    depth = robot.listen('depth')
    with Stream(robot, tools.picture(seed=3), depth) as stream:
        stream.more()
        result = robot.configure(**values)
        stream.more()
    assert not result.successful
    assert reason in result.reason
    assert values['weights'].removesuffix('.safetensors') in result.reason
    assert '\n' not in result.reason
    assert stamps(depth) == stream.sent
    assert len({bytes(message.data) for message in depth}) == 1
    assert robot.get('weights') == 'random'
    with pytest.raises(ValueError) as caught:
        robot.start(**values)
    assert str(caught.value) == result.reason


def network_of(robot):
    return tuple(map(robot.get, ('architecture', 'variant', 'weights')))


def test_variant_and_weights_that_belong_together_are_set_together(robot, tools, tmp_path):
    robot.start()
    file = str(save(tmp_path, 'kitti6'))
    assert not robot.configure(variant='kitti6', weights=str(save(tmp_path))).successful
    assert robot.configure(variant='kitti6', weights=file).successful
    assert network_of(robot) == ('hydranet', 'kitti6', file)
    robot.wait_for(lambda: len(robot.get('labels')) == 6)


def test_ones_own_network_is_reached_and_left_by_single_parameters(robot, tools, tmp_path):
    loaded = weights.load('hydranet', 'custom', 'random')
    file = tmp_path / 'mine.safetensors'
    weights.save(loaded.network, loaded.card, file)
    custom = 'hydranet', 'custom', str(file)
    robot.start(architecture='jrn', variant='cat1', weights='')
    robot.camera()
    depth = robot.listen('depth')
    for name, value, expected in (
            ('weights', str(file), custom),
            # What it is already moves nothing.
            ('architecture', 'hydranet', custom),
            ('variant', 'custom', custom),
            ('weights', str(file), custom),
            ('variant', 'nyu40', ('hydranet', 'nyu40', '')),
            ('weights', str(file), custom),
            ('variant', '', ('hydranet', 'nyu40', '')),
            ('weights', str(file), custom),
            ('architecture', 'jrn', ('jrn', 'sum60', ''))):
        result = robot.configure(**{name: value})
        assert result.successful, result.reason
        robot.wait_for(lambda expected=expected: network_of(robot) == expected, str(expected))
        labels = Perception.load(*expected[:2], weights_file=expected[2],
                                 backend='torch').label_set.names
        robot.wait_for(lambda labels=labels: robot.get('labels') == list(labels), 'the labels')
        robot.ask(tools.picture(), depth)
        status = robot.status()
        assert (status.values['architecture'], status.values['variant']) == expected[:2]
    # None are shipped for it.
    assert robot.configure(weights=str(file)).successful
    result = robot.configure(weights='')
    assert not result.successful
    assert 'no weights for hydranet custom are shipped' in result.reason
    assert robot.get('weights') == str(file)


def test_an_empty_variant_reads_back_as_the_one_in_use(robot):
    robot.start(architecture='jrn')
    assert robot.configure(variant='').successful
    robot.wait_for(lambda: robot.get('variant') == 'sum60')
    assert robot.configure(variant='cat1').successful
    assert robot.configure(variant='').successful
    robot.wait_for(lambda: robot.get('variant') == 'sum60')


def test_a_card_that_cannot_be_read_is_a_refusal(robot, tools, tmp_path, monkeypatch):
    file = save(tmp_path)
    robot.start()
    robot.camera()
    depth = robot.listen('depth')
    robot.ask(tools.picture(), depth)

    def refuse(path):
        raise PermissionError(13, 'Permission denied', str(path))
    monkeypatch.setattr(weights, 'read_card', refuse)
    result = robot.configure(weights=str(file))
    assert (result.successful, 'Permission denied' in result.reason) == (False, True)
    robot.ask(tools.picture(), depth)


@pytest.fixture
def named(monkeypatch):
    """Have the node announce its classes, as where vision_msgs is installed, by their number."""
    node_module = import_module('jrn_perception.ros.node')
    kind = import_module('std_msgs.msg').String
    monkeypatch.setattr(node_module, 'LabelInfo', kind)
    monkeypatch.setattr(node_module, 'label_message',
                        lambda names, *_: kind(data=str(len(names))))


def test_names_that_cannot_be_announced_leave_the_network_running(robot, tools, named,
                                                                  monkeypatch):
    node = robot.start()
    robot.camera()
    depth = robot.listen('depth')
    publish, announced = node._label_publisher.publish, []

    def fail(message):
        raise RuntimeError('the middleware says no')
    monkeypatch.setattr(node._label_publisher, 'publish', fail, raising=False)
    assert robot.configure(architecture='jrn').successful
    robot.wait_for(lambda: robot.warnings('the middleware says no'))
    robot.ask(tools.picture(), depth)
    assert robot.status().values['architecture'] == 'hydranet'
    assert len(robot.get('labels')) == 40
    monkeypatch.setattr(node._label_publisher, 'publish', lambda message: (
        announced.append(message.data), publish(message)))
    assert robot.configure(max_rate=500.0).successful
    robot.wait_for(lambda: len(robot.get('labels')) == 5)
    assert announced == ['5']
    robot.ask(tools.picture(), depth)
    assert robot.status().values['architecture'] == 'jrn'


def test_no_mask_follows_the_names_of_other_ids(robot, tools, infer_gate, named, monkeypatch):
    events = []

    def record(publisher, describe):
        publish = publisher.publish
        monkeypatch.setattr(publisher, 'publish', lambda message: (
            events.append(describe(message)), publish(message))[1], raising=False)
    node = robot.start()
    robot.camera()
    semantics = robot.listen('semantics')
    record(node._label_publisher, lambda message: message.data)
    record(next(publisher for publisher in node.publishers
                if publisher.topic_name == '/semantics'), lambda message: message.header.stamp)
    infer_gate.close()
    first = robot.send(tools.picture())
    assert infer_gate.started.acquire(timeout=TIMEOUT_S)
    second = robot.send(tools.picture())
    infer_gate.go_on.release()
    assert infer_gate.started.acquire(timeout=TIMEOUT_S)
    # Now the second is being processed, and the network is replaced.
    infer_gate.remove()
    assert robot.configure(architecture='jrn').successful
    robot.wait_for(lambda: robot.get('variant') == 'sum60')
    assert len(robot.get('labels')) == 40
    infer_gate.go_on.release()
    third = robot.send(tools.picture())
    robot.answers(third, semantics)
    assert events == [first.stamp, second.stamp, '5', third.stamp]
    robot.wait_for(lambda: len(robot.get('labels')) == 5)
    # And where no frame comes that would wait for it.
    assert robot.configure(architecture='hydranet').successful
    robot.wait_for(lambda: events[-1] == '40')
    robot.wait_for(lambda: len(robot.get('labels')) == 40)
    # LabelInfo also holds the threshold, and nothing else that can change.
    count = len(events)
    assert robot.configure(max_rate=5.0).successful
    assert robot.configure(confidence_threshold=0.5).successful
    robot.wait_for(lambda: events[count:] == ['40'])


def test_a_camera_that_waits_for_nobody_loses_no_picture_to_a_swap(robot, tools):
    robot.start()
    robot.camera()
    depth, rgb = robot.listen('depth'), tools.picture()
    robot.ask(rgb, depth)
    sent, ended = [], threading.Event()

    def run():
        # Far below what the small network can do, so that whatever is lost is lost to the swap.
        while not ended.wait(0.25):
            sent.append(robot.send(rgb).stamp)

    camera = threading.Thread(target=run, name='camera')
    camera.start()
    try:
        for architecture, variant in NETWORKS[1:]:
            assert robot.configure(architecture=architecture, variant=variant).successful
    finally:
        robot.wait_for(lambda: len(sent) >= 8, 'eight pictures')
        ended.set()
        camera.join()
    robot.wait_for(lambda: len(depth) > len(sent), 'all answers')
    assert stamps(depth)[1:] == sent
