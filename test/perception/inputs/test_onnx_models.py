# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Real ONNX files with a yaml file as sources, and files that cannot be one."""

from pathlib import Path

from jrn_perception import labels
from jrn_perception.perception import Perception
from jrn_perception.perception.inputs.description import describe
from jrn_perception.perception.inputs.interface import SourceError
from jrn_perception.perception.inputs.models import depth_source, semantics_source
import numpy as np
import pytest

external = pytest.importorskip('external_models', reason="needs '.[transformers]'")
pytest.importorskip('onnxruntime', reason="needs '.[onnxruntime]'")
pytest.importorskip('onnxscript', reason="needs '.[export]'")
SMALL = {'device': 'cpu', 'height': 96, 'width': 128}
CLASSES = ('wall', 'floor', 'ceiling', 'chair', 'picture')


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    """Return the paths of two models: 1 + R + G + B, and logits of ``CLASSES``."""
    folder = tmp_path_factory.mktemp('onnx')
    return {'depth': external.onnx_depth(folder / 'depth.onnx'),
            'classes': external.onnx_classes(folder / 'classes.onnx', CLASSES)}


@pytest.fixture
def described(files, tmp_path):
    """Return a function that describes a copy of a model in other words."""
    def make(name='depth', **entries):
        path = tmp_path / f'{name}.onnx'
        path.write_bytes(Path(files[name]).read_bytes())
        words = {'unit': 'metres'} if name == 'depth' else {'classes': list(CLASSES)}
        return external.describe(path, **words | entries)
    return make


@pytest.mark.parametrize('entries, expected', [
    ({}, lambda rgb: 1 + rgb.sum(-1)),
    ({'mean': [0.5, 0.0, 0.0], 'std': [1.0, 2.0, 1.0]},
     lambda rgb: 0.5 + rgb[..., 0] + rgb[..., 1] / 2 + rgb[..., 2]),
    ({'factor': 0.001, 'unit': 'metres'}, lambda rgb: 0.001 * (1 + rgb.sum(-1))),
    ({'unit': 'inverse'}, lambda rgb: 1 / (1 + rgb.sum(-1)))])
def test_the_description_says_how_a_picture_becomes_metres(described, entries, expected):
    rgb = external.picture(48, 64)
    found = depth_source(described(**entries), 'cpu', 1).depth(rgb, None)
    np.testing.assert_allclose(found, expected(rgb / 255), rtol=1e-4)


def test_a_picture_is_resized_to_the_size_of_the_model(described):
    rgb = external.picture(96, 128)
    found = depth_source(described(), 'cpu', 1).depth(rgb, None)
    pooled = rgb.reshape(48, 2, 64, 2, 3).mean((1, 3)) / 255
    np.testing.assert_allclose(found, 1 + pooled.sum(-1), atol=0.01)


def test_classes_become_those_of_the_target(files, described):
    rgb = external.picture(48, 64)
    own = semantics_source(files['classes'], labels.NYU40, 'cpu', 1).probabilities(rgb)
    assert own.shape == (48, 64, 40)
    np.testing.assert_allclose(own.sum(-1), 1, atol=1e-5)
    used = [labels.NYU40.names.index(name) for name in CLASSES]
    assert not np.delete(own, used, axis=-1).any() and (own[..., used].max((0, 1)) > 0.2).all()
    folded = semantics_source(files['classes'], labels.NYU5, 'cpu', 1).probabilities(rgb)
    np.testing.assert_allclose(folded, own[..., [labels.NYU40.names.index(name) for name in (
        'floor', 'wall', 'ceiling', 'chair', 'picture')]], atol=1e-6)
    # Names of its own: two of them mean walls.
    mapped = described('classes', classes={'Wand': 'wall', 'Mauer': 'wall', 'Decke': 'ceiling',
                                           'Stuhl': 'chair', 'Bild': 'picture'})
    source = semantics_source(mapped, labels.NYU5, 'cpu', 1)
    assert source.missing == ('ground',)
    np.testing.assert_allclose(source.probabilities(rgb)[..., 1],
                               own[..., used[0]] + own[..., used[1]], atol=1e-6)


def test_a_jrn_refines_them_and_they_run_alone(files):
    rgb = external.picture()
    options = {'depth_source': files['depth'], 'semantics_source': files['classes']}
    jrn = Perception.load('jrn', 'cat1', **options, **SMALL)
    jrn.warm_up()
    prediction = jrn(rgb)
    np.testing.assert_allclose(prediction.inputs.depth, 1 + rgb.sum(-1) / 255, atol=0.15)
    alone = Perception.load('external', 'nyu5', device='cpu', **options)
    alone.warm_up()
    found = alone(rgb)
    np.testing.assert_allclose(found.depth, 1 + rgb.sum(-1) / 255, atol=0.15)
    assert (found.labels == prediction.inputs.labels).mean() > 0.9
    assert len(np.unique(found.labels)) >= 3


def test_metres_of_a_known_focal_length_follow_the_camera(described):
    rgb = external.picture()
    source = described(focal_length=[64.0, 64.0])
    both = Perception.load('jrn', 'cat1', depth_source=source, **SMALL)
    # A picture with twice the rows and columns of the model's, by twice its focal length.
    assert both.depth_scale((96, 128), (128.0, 128.0)) == pytest.approx(1)
    assert both.depth_scale((96, 128), (256.0, 256.0)) == pytest.approx(2)
    assert both(rgb, focal_length=(256.0, 256.0)).depth.mean() == pytest.approx(
        2 * both(rgb).depth.mean(), rel=1e-4)
    assert both.corrects_focal_length


@pytest.mark.parametrize('entries, message', [
    ({'unit': 'feet'}, "unit cannot be 'feet'"), ({'mean': [1, 2]}, r'mean cannot be \[1, 2\]'),
    ({'std': [1, 0, 1]}, 'std cannot be'), ({'colour': 'red'}, "unknown entry 'colour'"),
    ({'size': [48, 64.5]}, 'size cannot be'), ({'factor': -1}, 'factor cannot be -1'),
    ({'unit': 'relative', 'factor': 2}, 'factor has no effect on the unit relative'),
    ({'unit': 'disparity', 'focal_length': [64, 64]}, 'focal_length has no effect on the unit'),
    ({'output': 'normals'}, "has no output 'normals'; it has depth"),
    ({'layout': 'nhwc'}, 'cannot run 48x64 in nhwc')])
def test_a_wrong_description_is_refused(described, entries, message):
    with pytest.raises(SourceError, match=message) as caught:
        depth_source(described(**entries), 'cpu', 1)
    assert '\n' not in str(caught.value)


def test_unusable_files_are_refused(files, described, tmp_path):
    path = Path(described())
    path.with_suffix('.yaml').write_text('mean: [0, 0, 0]\nunit: metres\n')
    with pytest.raises(SourceError, match='depth.yaml: lacks std, size'):
        depth_source(str(path), 'cpu', 1)
    path.with_suffix('.yaml').write_text('mean: [0, 0, 0]\n')
    with pytest.raises(SourceError, match='yaml file lacks unit'):
        depth_source(str(path), 'cpu', 1)
    path.with_suffix('.yaml').write_text('[')
    with pytest.raises(SourceError, match='depth.yaml: not yaml: '):
        depth_source(str(path), 'cpu', 1)
    path.with_suffix('.yaml').unlink()
    with pytest.raises(SourceError, match='depth.yaml: missing; it describes the model'):
        depth_source(str(path), 'cpu', 1)
    (tmp_path / 'torn.onnx').write_bytes(path.read_bytes()[:99])
    external.describe(tmp_path / 'torn.onnx', unit='metres')
    with pytest.raises(SourceError, match='torn.onnx: not a usable ONNX file'):
        depth_source(str(tmp_path / 'torn.onnx'), 'cpu', 1)
    with pytest.raises(SourceError, match='no such ONNX file'):
        depth_source(str(tmp_path / 'none.onnx'), 'cpu', 1)


def test_a_model_of_the_wrong_task_is_refused(files, described):
    with pytest.raises(SourceError, match='has 5 channels, depth has one'):
        depth_source(described('classes', unit='metres'), 'cpu', 1)
    with pytest.raises(SourceError, match='has 5 channels, its classes are 2'):
        semantics_source(described('classes', classes=['wall', 'floor']), labels.NYU5, 'cpu', 1)
    with pytest.raises(SourceError, match='has 1 channels, its classes are 5'):
        semantics_source(described(classes=list(CLASSES)), labels.NYU5, 'cpu', 1)
    with pytest.raises(SourceError, match='lacks classes'):
        semantics_source(files['depth'], labels.NYU5, 'cpu', 1)
    with pytest.raises(SourceError, match="'Stuhl', for 'a', is none of NYU-40"):
        semantics_source(described('classes', classes=dict.fromkeys('abcde', 'Stuhl')),
                         labels.NYU5, 'cpu', 1)


def test_a_yaml_file_names_its_model(files, tmp_path):
    file = tmp_path / 'source.yaml'
    file.write_text(f'model: {files["depth"]}\nmean: [0, 0, 0]\nstd: [1, 1, 1]\nsize: [48, 64]\n'
                    'unit: metres\nlicence: CC-BY-4.0\n')
    source = depth_source(str(file), 'cpu', 1)
    assert source.origin.licence == 'CC-BY-4.0'
    assert describe('owner/name').model == 'owner/name'
    file.write_text('unit: metres\n')
    with pytest.raises(SourceError, match='source.yaml: names no model'):
        depth_source(str(file), 'cpu', 1)


@pytest.mark.parametrize('options, message', [
    ({'architecture': 'hydranet', 'depth_source': 'sensor'}, 'hydranet sees pictures alone'),
    ({'architecture': 'external'}, "depth_source 'network': external needs a model"),
    ({'architecture': 'external', 'depth_source': 'sensor'}, 'external needs a model'),
    ({'architecture': 'external', 'weights_file': 'random'}, 'external has none; name its models'),
    ({'architecture': 'external', 'variant': 'sum60'}, 'choose from nyu40, nyu5, ade20k150'),
    ({'architecture': 'jrn', 'semantics_source': 'sensor'}, 'no sensor measures classes')])
def test_sources_that_fit_no_network_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Perception.load(**options, device='cpu')
