# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The table of parameters: which values it accepts, alone and together."""

from importlib import import_module
import math

from jrn_perception import weights
from jrn_perception.perception import ArrayMaps, Prediction
import pytest

rclpy = pytest.importorskip('rclpy', reason="needs ROS 2 (pip install '.[ros]')")
parameters = import_module('jrn_perception.ros.parameters.settings')
CameraInfo = import_module('sensor_msgs.msg').CameraInfo
CompressedImage = import_module('sensor_msgs.msg').CompressedImage
BY_NAME, PARAMETERS = parameters.BY_NAME, parameters.PARAMETERS
VALUES = {bool: True, int: 3, float: 0.25, str: 'x', list: ['a']}


@pytest.fixture
def settings():
    values = {parameter.name: parameter.default for parameter in PARAMETERS}
    return parameters.check_together(parameters.Settings(**values))


@pytest.mark.parametrize('parameter', PARAMETERS, ids=lambda parameter: parameter.name)
def test_a_row_accepts_its_default_and_no_other_type(parameter):
    assert parameter.check(parameter.default) == parameter.default
    assert parameter.meaning
    for kind, value in VALUES.items():
        accepted = (type(parameter.default), *([int] if type(parameter.default) is float else []))
        if kind not in accepted:
            with pytest.raises(ValueError, match=f'^{parameter.name}: expected .*, got '):
                parameter.check(value)
    with pytest.raises(ValueError, match=f'^{parameter.name}: expected '):
        parameter.check(None)


@pytest.mark.parametrize('parameter', [row for row in PARAMETERS if row.choices],
                         ids=lambda parameter: parameter.name)
def test_a_row_with_choices_accepts_those_and_lists_them(parameter):
    for choice in parameter.choices:
        assert parameter.check(choice) == choice
    with pytest.raises(ValueError, match=f'{parameter.name}: .*{parameter.choices[-1]}'):
        parameter.check('none of these')


@pytest.mark.parametrize('parameter', [
    row for row in PARAMETERS if type(row.default) in (int, float)],
    ids=lambda parameter: parameter.name)
def test_a_number_has_bounds(parameter):
    assert -math.inf < parameter.low < parameter.high < math.inf
    for value in (parameter.low, parameter.high):
        assert parameter.check(type(parameter.default)(value)) == value
    outside = [parameter.low - 1, parameter.high + 1]
    if type(parameter.default) is float:
        outside += [math.nan, math.inf]
    for value in outside:
        with pytest.raises(ValueError, match=f'^{parameter.name}: .* is outside '):
            parameter.check(type(parameter.default)(value))


def test_an_integer_is_accepted_where_a_float_is_meant_and_not_the_other_way():
    value = BY_NAME['max_rate'].check(5)
    assert (value, type(value)) == (5.0, float)
    for name, value in (('inference_height', 64.0), ('max_rate', True), ('enabled', 1)):
        with pytest.raises(ValueError, match=name):
            BY_NAME[name].check(value)


def test_settings_are_merged_into_a_copy(settings):
    before = dict(vars(settings))
    new = parameters.merge(settings, {'max_rate': 5, 'enabled': False})
    assert (new.max_rate, new.enabled) == (5.0, False)
    assert vars(settings) == before
    assert {**vars(new), 'max_rate': 0.0, 'enabled': True} == before


def test_a_new_architecture_brings_its_own_default_variant(settings):
    settings = parameters.merge(settings, {'variant': 'cat5'})
    hydranet = parameters.merge(settings, {'architecture': 'hydranet'})
    assert hydranet.variant == 'nyu40'
    assert parameters.merge(settings, {'architecture': 'jrn'}).variant == 'cat5'
    both = parameters.merge(hydranet, {'architecture': 'jrn', 'variant': 'cat1'})
    assert both.variant == 'cat1'


def test_a_variant_alone_brings_the_architecture_that_has_it(settings):
    jrn = parameters.merge(settings, {'variant': 'cat10', 'mute': 'depth'})
    assert (jrn.architecture, jrn.variant, jrn.mute) == ('jrn', 'cat10', 'depth')
    symbiosis = parameters.merge(settings, {'architecture': 'symbiosis'})
    # Both HydraNet and symbiosis have it: the network in use stays.
    assert parameters.merge(symbiosis, {'variant': 'nyu40'}).architecture == 'symbiosis'
    assert parameters.merge(jrn, {'variant': 'nyu40', 'mute': 'none'}).architecture == 'hydranet'
    assert parameters.merge(jrn, {'variant': ''}).variant == 'sum60'


def save_card(folder, architecture, variant):
    file = folder / f'{architecture}_{variant}.safetensors'
    file.touch()
    weights.write_card(weights.Card(architecture, variant), file)
    return str(file)


def test_weights_bring_the_network_of_their_card(settings, tmp_path):
    custom, cat5 = save_card(tmp_path, 'hydranet', 'custom'), save_card(tmp_path, 'jrn', 'cat5')

    def network(changes, start=settings):
        new = parameters.merge(start, changes)
        return new.architecture, new.variant, new.weights
    mine = parameters.merge(settings, {'weights': custom})
    assert network({}, mine) == ('hydranet', 'custom', custom)
    assert network({'weights': cat5}, mine) == ('jrn', 'cat5', cat5)
    # What is said beside it holds, and is refused when the file is loaded if it is wrong.
    assert network({'weights': custom, 'architecture': 'hydranet'})[1] == 'custom'
    assert network({'weights': custom, 'architecture': 'jrn'}) == ('jrn', 'sum60', custom)
    assert network({'weights': custom, 'variant': 'nyu40'})[:2] == ('hydranet', 'nyu40')
    # Left for the shipped ones, unless it is the same network or any network.
    assert network({'variant': ''}, mine) == ('hydranet', 'nyu40', '')
    assert network({'architecture': 'jrn'}, mine) == ('jrn', 'sum60', '')
    assert network({'variant': 'custom', 'max_rate': 1.0}, mine)[2] == custom
    assert network({'weights': 'random'}, mine) == ('hydranet', 'custom', 'random')
    anything = parameters.merge(settings, {'weights': 'random'})
    assert network({'architecture': 'hydranet'}, anything) == ('hydranet', 'nyu40', 'random')


@pytest.mark.parametrize(('architecture', 'variant', 'reason'), [
    ('depth', 'mobilenetv2',
     "holds architecture 'depth', expected one of jrn, hydranet, symbiosis"),
    (['jrn'], 'cat5', 'holds architecture'), ('jrn', ['cat5'], "variant \"['cat5']\" of jrn")])
def test_a_card_of_no_such_network_is_refused(settings, tmp_path, architecture, variant, reason):
    file = tmp_path / 'mine.safetensors'
    file.touch()
    weights.write_card(weights.Card(architecture, variant), file)
    with pytest.raises(ValueError) as caught:
        parameters.merge(settings, {'weights': str(file)})
    assert reason in str(caught.value)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize(('changes', 'reason'), [
    ({'variant': 'cat7'}, "unknown variant 'cat7' of hydranet: choose from nyu40, "),
    ({'architecture': 'jrn', 'variant': 'nyu40'}, "variant 'nyu40' of jrn: choose from sum60, "),
    ({'mute': 'depth'}, 'only the jrn has (architecture jrn)'),
    ({'architecture': 'hydranet', 'variant': 'cat5'}, "unknown variant 'cat5' of hydranet"),
    ({'architecture': 'hydranet', 'mute': 'depth'}, 'mute: hydranet has no modality'),
    ({'labels': ['wall']}, 'labels: is set by the node'),
    ({'device': 'cpu'}, 'device: cannot change while the node runs; set it at start'),
])
def test_what_does_not_fit_is_refused_with_the_reason(settings, changes, reason):
    with pytest.raises(ValueError) as caught:
        parameters.merge(settings, changes)
    assert reason in str(caught.value)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('parameter', [row for row in PARAMETERS if not row.dynamic],
                         ids=lambda parameter: parameter.name)
def test_what_is_fixed_at_start_may_be_set_to_what_it_is(settings, parameter):
    value = getattr(settings, parameter.name)
    assert vars(parameters.merge(settings, {parameter.name: value})) == vars(settings)


@pytest.mark.parametrize(('changes', 'limits'), [
    ({}, (0.5, 10.0)), ({'min_depth': 2.0}, (2.0, 10.0)), ({'max_depth': 3.0}, (0.5, 3.0))])
def test_a_limit_that_is_not_set_is_that_of_the_weights(settings, changes, limits):
    changed = parameters.merge(settings, changes)
    parameters.check_limits(changed, (0.5, 10.0))

    def applied(scale):
        prediction = Prediction(ArrayMaps(), (48, 64), None, scale, (0.5, 10.0))
        return prediction.depth_limits(changed.min_depth, changed.max_depth)
    assert applied(1.0) == limits
    # In metres of the training camera: another focal length moves it, and leaves the user's.
    assert applied(2.0) == (changes.get('min_depth', 1.0), changes.get('max_depth', 20.0))


@pytest.mark.parametrize('changes', [
    {'min_depth': 3, 'max_depth': 3}, {'min_depth': 12.0}, {'max_depth': 0.05}])
def test_limits_that_leave_no_depth_are_refused(settings, changes):
    with pytest.raises(ValueError, match='leave no valid depth'):
        parameters.check_limits(parameters.merge(settings, changes), (0.5, 10.0))
