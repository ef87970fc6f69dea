# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Weights files: what is written comes back, and what is damaged or foreign is refused."""

from dataclasses import replace
import json
import pickle
import re
import shutil

from jrn_perception import labels, networks, weights
from jrn_perception.networks.jrn import ModularNetwork
from jrn_perception.weights import Card, WeightsError
import pytest
from safetensors.torch import load_file as load_tensors
from safetensors.torch import save_file
import torch

OPTIONS = {'output_stride': 4, 'residual': True}


def small(seed=0, **options):
    torch.manual_seed(seed)
    return networks.find('jrn', 'cat1').build(**options)


def random_statistics(network, seed=0):
    """Give batch norms and buffers values that a round trip could lose."""
    generator = torch.Generator().manual_seed(seed)
    for value in network.state_dict().values():
        if value.is_floating_point():
            value.add_(0.1 * torch.rand(value.shape, generator=generator))
        else:
            value.fill_(12_345)
    return network


@pytest.fixture
def file(tmp_path):
    """Return the path of a sound file of a small network."""
    path = tmp_path / 'jrn_cat1.safetensors'
    weights.save(small(**OPTIONS), Card('jrn', 'cat1', 'nyu5', options=OPTIONS), path)
    return path


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """Return a folder with a jrn and the two networks in front of it, as training leaves them."""
    folder = tmp_path_factory.mktemp('trained')
    files = {}
    for task, label_set in (('depth', None), ('semantics', 'nyu40')):
        network = networks.find(task).build()
        path = folder / f'{task}_mobilenetv2.safetensors'
        card = weights.save(network, Card(task, 'mobilenetv2', label_set), path)
        files[task] = (path.name, card.sha256)
    weights.save(small(**OPTIONS), Card('jrn', 'cat1', 'nyu5', options=OPTIONS, inputs=files),
                 folder / 'jrn_cat1.safetensors')
    return folder


def edit_card(path, **changes):
    """Change entries of the card beside `path`; None takes one out."""
    card = path.with_suffix('.json')
    content = json.loads(card.read_text()) | changes
    card.write_text(json.dumps({k: v for k, v in content.items() if v is not None}))


def rewrite(path, state):
    """Write other tensors under a card that vouches for them."""
    save_file(state, path)
    edit_card(path, sha256=weights.sha256(path))


def refused(path, message, **expected):
    """Assert that neither `load` nor, where it is asked, `check` takes the file; one line."""
    with pytest.raises(WeightsError, match=message) as caught:
        weights.load_file(path, **expected)
    text = str(caught.value)
    assert '\n' not in text
    assert path.stem in text


# --- round trip ---------------------------------------------------------------------------------

@pytest.mark.parametrize('architecture, variant, options', [
    ('jrn', 'sum60', {}), ('jrn', 'cat10', OPTIONS), ('jrn', 'cat5', {'squeeze': 'fusion'}),
    ('hydranet', 'kitti6', {}), ('hydranet', 'nyu40_normals', {'depth_activation': 'abs'})])
def test_what_is_saved_comes_back_rounded_to_float16(architecture, variant, options, tmp_path):
    spec = networks.find(architecture, variant)
    network = random_statistics(spec.build(**options))
    path = tmp_path / 'deep' / 'name.safetensors'
    weights.save(network, Card(architecture, variant, spec.labels.name, options=options), path)
    loaded, _ = weights.load_file(path)
    expected, found = network.state_dict(), loaded.state_dict()
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].dtype == value.dtype
        half = value.half().float() if value.is_floating_point() else value
        assert torch.equal(found[name], half), name
    values = sum(value.numel() for value in expected.values())
    assert path.stat().st_size < 2 * values + 200_000


def test_the_card_comes_back(tmp_path):
    card = Card('jrn', 'cat5', 'nyu5', options={'residual': True}, input_size=(96, 128),
                focal_length=(103.8, 104.), depth_range=(0.5, 8.), training={'epochs': 3},
                inputs={'depth': ('a.safetensors', 'ab'), 'semantics': ('b.safetensors', 'cd')},
                metrics={'mean_iou': 57.1}, licence='CC-BY-4.0')
    path = tmp_path / 'x.safetensors'
    written = weights.save(networks.find('jrn', 'cat5').build(residual=True), card, path)
    assert written == replace(card, sha256=weights.sha256(path))
    read = weights.read_card(path)
    assert {k: tuple(v) for k, v in read.inputs.items()} == card.inputs
    assert replace(read, inputs=card.inputs) == written
    assert read.label_set.name == 'nyu5'
    assert read.spec.name == 'jrn_cat5'
    json.loads(path.with_suffix('.json').read_text())


def test_a_loaded_network_computes_what_the_saved_one_did(trained):
    loaded = weights.load('jrn', 'cat1', str(trained / 'jrn_cat1.safetensors'))
    again = weights.load('jrn', 'cat1', str(trained / 'jrn_cat1.safetensors'))
    assert isinstance(loaded.network, ModularNetwork)
    assert not any(module.training for module in loaded.network.modules())
    assert loaded.network.refine.options.residual
    assert loaded.source.endswith('jrn_cat1.safetensors')
    assert loaded.card.architecture == 'jrn'
    image = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        first, second = loaded.network(image), again.network(image)
        alone = weights.load_file(trained / 'depth_mobilenetv2.safetensors')[0].eval()(image)
    assert torch.equal(first.depth, second.depth)
    assert torch.equal(first.semantics, second.semantics)
    assert torch.equal(first.inputs.depth, alone.depth)
    assert first.inputs.semantics.shape[1] == 5


def test_a_file_that_would_be_refused_is_not_written(tmp_path):
    path = tmp_path / 'x.safetensors'
    with pytest.raises(ValueError, match='is no jrn_cat5'):
        weights.save(small(), Card('jrn', 'cat5', 'nyu5'), path)
    with pytest.raises(ValueError, match="is no jrn_cat1 with options {'squeeze': 'fusion'}"):
        weights.save(small(), Card('jrn', 'cat1', 'nyu5', options={'squeeze': 'fusion'}), path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('value', [1e5, float('nan')])
def test_what_float16_cannot_hold_is_not_written(value, tmp_path):
    network = small()
    network.fuse.bias.data[1] = value
    with pytest.raises(ValueError, match='fuse.bias holds values that are not finite in float16'):
        weights.save(network, Card('jrn', 'cat1', 'nyu5'), tmp_path / 'x.safetensors')
    assert not list(tmp_path.iterdir())


def test_the_shipped_files_are_sound_and_together_stay_under_its_limit():
    shipped = weights.shipped()
    total = sum(path.stat().st_size for path in shipped.values())
    assert total <= 40e6
    for name, path in shipped.items():
        assert weights.check(path).spec.name == name


# --- names --------------------------------------------------------------------------------------

def test_resolve(file):
    assert weights.resolve('random', 'jrn') is None
    assert weights.resolve(str(file), 'jrn', 'cat1') == file
    with pytest.raises(WeightsError, match='nowhere.safetensors: no such weights file'):
        weights.resolve('nowhere.safetensors', 'jrn')
    with pytest.raises(ValueError, match="unknown variant 'cat7'"):
        weights.resolve('random', 'jrn', 'cat7')


def test_a_home_directory_is_found(file, monkeypatch):
    monkeypatch.setenv('HOME', str(file.parent))
    assert weights.resolve(f'~/{file.name}', 'jrn', 'cat1') == file


def test_what_is_not_shipped_says_what_to_do(monkeypatch, tmp_path, file):
    monkeypatch.setattr(weights.files, 'SHIPPED', tmp_path / 'nothing')
    with pytest.raises(WeightsError, match=r'no weights for jrn sum60.*\(shipped: none\).*'
                                           r'jrn_train.*\Wrandom\W'):
        weights.resolve('', 'jrn')
    monkeypatch.setattr(weights.files, 'SHIPPED', file.parent)
    assert weights.resolve('', 'jrn', 'cat1') == file
    with pytest.raises(WeightsError, match='shipped: jrn_cat1'):
        weights.resolve('', 'hydranet')


# --- refusals -----------------------------------------------------------------------------------

def test_a_missing_file(file):
    file.unlink()
    refused(file, 'missing')


def test_a_missing_card(file):
    file.with_suffix('.json').unlink()
    refused(file, r'jrn_cat1\.json: missing; a weights file needs its card beside it')


@pytest.mark.parametrize('text', ['', '{', '[]', '7', '{"card_format": 1}', '\0\0'])
def test_what_is_no_card(file, text):
    file.with_suffix('.json').write_text(text)
    refused(file, r'jrn_cat1\.json: not a card')


def test_a_binary_card(file):
    file.with_suffix('.json').write_bytes(b'\xff\xfe{')
    refused(file, 'not a card')


def test_a_card_of_another_format(file):
    edit_card(file, card_format=2)
    refused(file, 'card format 2, this version reads 1')


def test_unknown_entries_of_a_card(file):
    edit_card(file, colour='blue', taste='sweet')
    refused(file, r"unknown entries \['colour', 'taste'\]")


@pytest.mark.parametrize('name, value', [
    ('sha256', 5), ('options', [1]), ('input_size', 7), ('input_size', [96]),
    ('input_size', [0, 128]), ('input_size', [96.5, 128]), ('input_size', ['96', '128']),
    ('focal_length', [0, 0]), ('focal_length', [100]), ('focal_length', 'long'),
    ('depth_range', [10, 1]), ('depth_range', [-1, 10]), ('inputs', []),
    ('inputs', {'depth': 'a.safetensors'}), ('inputs', {'depth': ['a.safetensors', 1]})])
def test_impossible_entries_of_a_card(file, name, value):
    edit_card(file, **{name: value})
    refused(file, rf'jrn_cat1\.json: {name} cannot be {re.escape(repr(value))}')


@pytest.mark.parametrize('position', [3, 2000, -1])
def test_a_damaged_byte(file, position):
    data = bytearray(file.read_bytes())
    data[position] ^= 1
    file.write_bytes(data)
    refused(file, 'sha256 is .*, its card says .*: damaged or not the file of this card')


def test_whoever_may_read_the_card_may_read_the_weights(file):
    # A robot's service is another user than the one that trained.
    assert file.stat().st_mode == file.with_suffix('.json').stat().st_mode


def test_a_truncated_file(file):
    file.write_bytes(file.read_bytes()[:-100])
    refused(file, 'sha256 is')


def test_a_truncated_file_that_its_card_vouches_for(file):
    file.write_bytes(file.read_bytes()[:-100])
    edit_card(file, sha256=weights.sha256(file))
    refused(file, 'not a safetensors file')


def test_no_safetensors(file):
    file.write_bytes(b'hello, world' * 100)
    edit_card(file, sha256=weights.sha256(file))
    refused(file, 'not a safetensors file')


@pytest.mark.parametrize('expected, message', [
    ({'architecture': 'hydranet'}, "holds architecture 'jrn', expected 'hydranet'"),
    ({'architecture': 'jrn', 'variant': 'cat5'},
     "holds variant 'cat1', expected 'cat5'; to run it, choose variant cat1")])
def test_another_network_than_asked_for(file, expected, message):
    refused(file, message, **expected)


@pytest.mark.parametrize('changes, message', [
    ({'architecture': 'resnet'}, "unknown architecture 'resnet'"),
    ({'variant': 'cat7'}, "unknown variant 'cat7' of jrn"),
    ({'labels': 'nyu40'}, "label set 'nyu40', expected 'nyu5'"),
    ({'labels': None}, "label set None, expected 'nyu5'"),
    ({'options': {'colour': 1}}, "options of its card: .*'colour'"),
    ({'options': {'upsampling': 'cubic'}}, "options of its card: .*upsampling='cubic': choose"),
    ({'options': {'squeeze': 'fusion', 'residual': True}}, r'is no jrn_cat1: .* and \d+ more'),
    ({'variant': 'cat5'}, 'is no jrn_cat5'),
    ({'classes': ['floor']}, "names 1 classes of its own, for label set 'nyu5'"),
    ({'classes': ['floor', 'floor']}, 'classes cannot be'),
    ({'classes': 'floor'}, 'classes cannot be')])
def test_a_card_that_is_not_the_files(file, changes, message):
    edit_card(file, **changes)
    refused(file, message)


def test_classes_of_ones_own_are_named_in_the_card(tmp_path):
    path = tmp_path / 'hydranet_custom.safetensors'
    spec, own = networks.find('hydranet', 'custom'), labels.custom(['floor', 'pallet'])
    card = Card.of(spec, own, input_size=(64, 96))
    weights.save(spec.build(**card.options), card, path)
    loaded = weights.load('hydranet', 'custom', str(path))
    assert loaded.card.label_set == own
    assert loaded.network(torch.zeros(1, 3, 64, 96)).semantics.shape[1] == 2
    for classes in (['floor'], []):
        edit_card(path, classes=classes)
        refused(path, f'names {len(classes)} classes of its own')
    assert weights.load('hydranet', 'custom', 'random').card.label_set == spec.labels


@pytest.mark.parametrize('change, message', [
    ('missing', 'is no jrn_cat1: lacks fuse.bias'),
    ('extra', 'is no jrn_cat1: has an unknown extra.weight'),
    ('reshaped', r'is no jrn_cat1: fuse.bias is \(4,\), expected \(3,\)'),
    ('two', 'is no jrn_cat1: lacks fuse.bias and 1 more')])
def test_other_tensors(file, change, message):
    state = load_tensors(file)
    if change in ('missing', 'two'):
        del state['fuse.bias']
    if change in ('extra', 'two'):
        state['extra.weight'] = torch.zeros(2)
    if change == 'reshaped':
        state['fuse.bias'] = torch.zeros(4)
    rewrite(file, state)
    refused(file, message)


class Payload:
    """What a pickle runs when it is loaded."""

    def __reduce__(self):
        return open, (Payload.target, 'w')


@pytest.mark.parametrize('name', ['evil.pth', 'evil.pkl', 'evil.ckpt', 'evil.safetensors'])
@pytest.mark.parametrize('write', [
    lambda content, path: path.write_bytes(pickle.dumps(content)), torch.save])
def test_a_pickle_is_never_loaded(file, name, write):
    Payload.target = str(file.with_name('opened'))
    path = file.with_name(name)
    write({'fuse.bias': Payload()}, path)
    shutil.copy(file.with_suffix('.json'), path.with_suffix('.json'))
    edit_card(path, sha256=weights.sha256(path))
    with pytest.raises(WeightsError, match='not a safetensors file'):
        weights.load('jrn', 'cat1', str(path))
    assert not file.with_name('opened').exists()


# --- networks in front of a jrn -----------------------------------------------------------------

@pytest.fixture
def chain(trained, tmp_path):
    for path in trained.iterdir():
        shutil.copy(path, tmp_path)
    return tmp_path


def refused_chain(folder, message):
    with pytest.raises(WeightsError, match=message):
        weights.load('jrn', 'cat1', str(folder / 'jrn_cat1.safetensors'))


@pytest.mark.parametrize('task', ['depth', 'semantics'])
def test_an_input_network_that_is_missing(chain, task):
    (chain / f'{task}_mobilenetv2.safetensors').unlink()
    refused_chain(chain, f'{task}_mobilenetv2.safetensors: missing')


@pytest.mark.parametrize('task', ['depth', 'semantics'])
def test_an_input_network_that_is_another_than_in_training(chain, task):
    path = chain / f'{task}_mobilenetv2.safetensors'
    torch.manual_seed(99)
    weights.save(networks.find(task).build(), weights.read_card(path), path)
    refused_chain(chain, f'{task}_mobilenetv2.safetensors: is not the file that '
                         'jrn_cat1.safetensors was trained on')


def test_an_input_network_that_is_damaged(chain):
    path = chain / 'depth_mobilenetv2.safetensors'
    path.write_bytes(path.read_bytes()[:-1])
    refused_chain(chain, 'depth_mobilenetv2.safetensors: sha256 is')


def test_an_input_network_of_the_other_task(chain):
    card = json.loads((chain / 'jrn_cat1.json').read_text())
    edit_card(chain / 'jrn_cat1.safetensors',
              inputs=card['inputs'] | {'depth': card['inputs']['semantics']})
    refused_chain(chain, "holds architecture 'semantics', expected 'depth'")


@pytest.mark.parametrize('task', ['depth', 'semantics'])
def test_a_card_that_names_no_input(chain, task):
    card = json.loads((chain / 'jrn_cat1.json').read_text())
    del card['inputs'][task]
    edit_card(chain / 'jrn_cat1.safetensors', inputs=card['inputs'])
    refused_chain(chain, f'its card names no {task} network as input')


def test_a_network_that_is_not_named_is_that_of_the_variant_or_of_the_card(file):
    assert weights.network_of('', '', '') == ('hydranet', '')
    assert weights.network_of('', '', 'random') == ('hydranet', '')
    assert weights.network_of('', 'cat10', '') == ('jrn', 'cat10')
    assert weights.network_of('', 'unheard', '') == ('hydranet', 'unheard')
    assert weights.network_of('', '', str(file)) == ('jrn', 'cat1')
    assert weights.network_of('', 'cat5', str(file)) == ('jrn', 'cat5')
    assert weights.network_of('hydranet', '', str(file)) == ('hydranet', '')
    with pytest.raises(WeightsError, match='no such weights file'):
        weights.network_of('', '', 'missing.safetensors')
