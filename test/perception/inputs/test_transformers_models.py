# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Models saved by transformers' real classes as sources, and those that cannot be one."""

import json
import os
import subprocess
import sys

from external_models import depth_anything, glpn, picture, PREPROCESSOR, save, segformer
from jrn_perception import labels
from jrn_perception.perception import Perception
from jrn_perception.perception.inputs.interface import SourceError, Unmeasured
from jrn_perception.perception.inputs.models import depth_source, semantics_source
import numpy as np
import pytest
import torch

transformers = pytest.importorskip('transformers', reason="needs '.[transformers]'")
SMALL = {'device': 'cpu', 'height': 96, 'width': 128}


@pytest.fixture(scope='module')
def models(tmp_path_factory):
    """Return the folders of three models."""
    folder = tmp_path_factory.mktemp('models')
    return {'metric': depth_anything(folder / 'metric'),
            'relative': depth_anything(folder / 'relative', 'relative'),
            'classes': segformer(folder / 'classes')}


def by_hand(rgb, size):
    """Return what a model gets by the numbers of ``PREPROCESSOR``; the picture has its size."""
    assert rgb.shape[:2] == size
    mean, std = (np.array(PREPROCESSOR[name]) for name in ('image_mean', 'image_std'))
    return torch.from_numpy(((rgb / 255 - mean) / std).astype(np.float32)).permute(2, 0, 1)[None]


def test_depth_is_that_of_the_model(models):
    rgb = picture(56, 56)
    source = depth_source(models['metric'], 'cpu', 0)
    model = transformers.DepthAnythingForDepthEstimation.from_pretrained(models['metric'])
    with torch.inference_mode():
        expected = model(pixel_values=by_hand(rgb, (56, 56))).predicted_depth[0].numpy()
    np.testing.assert_allclose(source.depth(rgb, None), expected, rtol=1e-4)
    assert source.unit == 'metres' and not source.needs_measured
    # Another aspect gets as many pixels, in multiples of the patch.
    assert source.depth(picture(120, 160), None).shape == (42, 70)


def test_classes_become_those_of_the_target(models):
    rgb = picture(64, 64)
    model = transformers.SegformerForSemanticSegmentation.from_pretrained(models['classes'])
    with torch.inference_mode():
        expected = model(pixel_values=by_hand(rgb, (64, 64))).logits[0].softmax(0).numpy()
    found = semantics_source(models['classes'], labels.NYU5, 'cpu', 0).probabilities(rgb)
    assert found.shape == (16, 16, 5)
    np.testing.assert_allclose(found.sum(-1), 1, atol=1e-5)
    # Floor and rug: the one is ground, the other an object.
    floor, rug = (labels.ADE20K150.names.index(name) for name in ('floor', 'rug'))
    fine = semantics_source(models['classes'], labels.NYU40, 'cpu', 0)
    ids = [labels.NYU40.names.index(name) for name in ('floor', 'floor mat')]
    probabilities = fine.probabilities(rgb)[..., ids]
    ratio = probabilities[..., 0] / probabilities[..., 1]
    np.testing.assert_allclose(ratio, expected[floor] / expected[rug], rtol=1e-3)
    assert 'paper' in fine.missing and 'chair' not in fine.missing


def test_a_universal_model_gives_classes(tmp_path):
    torch.manual_seed(0)
    names = ('wall', 'floor', 'ceiling', 'chair', 'lamp')
    config = transformers.Mask2FormerConfig(
        backbone_config=transformers.SwinConfig(
            image_size=64, embed_dim=8, depths=[1] * 4, num_heads=[1] * 4, window_size=4,
            out_features=['stage1', 'stage2', 'stage3', 'stage4']),
        feature_size=32, mask_feature_size=32, hidden_dim=32, encoder_feedforward_dim=16,
        encoder_layers=1, decoder_layers=2, num_attention_heads=2, dim_feedforward=16,
        num_queries=4, id2label=dict(enumerate(names)))
    folder = save(transformers.Mask2FormerForUniversalSegmentation(config), tmp_path / 'mask')
    source = semantics_source(folder, labels.NYU5, 'cpu', 0)
    found = source.probabilities(picture(64, 64))
    assert found.shape == (16, 16, 5) and source.missing == ()
    np.testing.assert_allclose(found.sum(-1), 1, atol=1e-5)


def test_a_jrn_refines_the_models(models):
    rgb = picture()
    jrn = Perception.load('jrn', 'cat1', depth_source=models['metric'],
                          semantics_source=models['classes'], **SMALL)
    jrn.warm_up()
    prediction = jrn(rgb)
    own = Perception.load('jrn', 'cat1', **SMALL)(rgb)
    assert np.abs(prediction.inputs.depth - own.inputs.depth).mean() > 0.1
    depth = depth_source(models['metric'], 'cpu', 0).depth(rgb, None)
    assert prediction.inputs.depth.mean() == pytest.approx(depth.mean(), rel=0.01)
    assert prediction.depth_scale == 1, 'the metres of a model are its own'
    muted = jrn(rgb, mute='depth', mute_value='mean')
    assert np.abs(muted.depth - prediction.depth).mean() > 0.1, 'muting reaches the model'
    assert 'apache-2.0' in jrn.card.licence
    for task in ('depth', 'semantics'):
        assert 'licence apache-2.0, sha256 ' in jrn.card.sources[task]
    assert jrn.warnings == ()


def test_models_run_alone(models):
    both = Perception.load('external', device='cpu', depth_source=models['metric'],
                           semantics_source=models['classes'])
    both.warm_up()
    prediction = both(picture(120, 160))
    assert prediction.depth.shape == prediction.labels.shape == (120, 160)
    assert prediction.label_set == labels.NYU40 and prediction.inputs is None and not both.can_mute
    own = Perception.load('external', 'ade20k150', device='cpu', depth_source=models['metric'],
                          semantics_source=models['classes'])
    assert own(picture(120, 160)).label_set == labels.ADE20K150
    assert own.warnings == ()


def test_relative_depth_gets_its_scale_from_a_measurement(models):
    rgb = picture(56, 56)
    source = depth_source(models['relative'], 'cpu', 0)
    assert source.needs_measured and source.unit == 'disparity'
    raw = source.raw(rgb)
    truth = 1 / (300 * (raw - raw.min()) + 0.2)
    assert truth.max() > 5 * truth.min()
    measured = np.full_like(truth, np.nan)
    measured[::3, ::3] = truth[::3, ::3]
    measured[0, 0] *= 5
    np.testing.assert_allclose(source.depth(rgb, measured), truth, rtol=1e-3)
    for nothing in (None, np.full_like(truth, np.nan)):
        with pytest.raises(Unmeasured, match='disparity'):
            source.depth(rgb, nothing)
    with pytest.raises(Unmeasured, match='does not rise with the measured depth'):
        source.depth(rgb, 1 / truth)
    with pytest.raises(Unmeasured, match='it needs measured depth'):
        Perception.load('jrn', 'cat1', depth_source=models['relative'], **SMALL)(rgb)


def test_a_description_takes_precedence(models, tmp_path):
    file = tmp_path / 'mine.yaml'
    file.write_text(f'model: {models["metric"]}\nunit: inverse\nlicence: mine\n')
    source = depth_source(str(file), 'cpu', 0)
    assert source.origin.licence == 'mine'
    rgb = picture(56, 56)
    np.testing.assert_allclose(source.depth(rgb, None), 1 / source.raw(rgb), rtol=1e-5)


def test_an_exact_size_is_kept_and_entries_without_effect_are_refused(models, tmp_path):
    file = tmp_path / 'mine.yaml'
    begin = f'model: {models["metric"]}\nsize: [56, 70]\n'
    file.write_text(f'{begin}multiple_of: 0\n')
    assert depth_source(str(file), 'cpu', 0).depth(picture(120, 160), None).shape == (56, 70)
    for entry in ('output: depth', 'layout: nhwc'):
        file.write_text(f'{begin}{entry}\n')
        with pytest.raises(SourceError, match='output and layout are entries for ONNX files'):
            depth_source(str(file), 'cpu', 0)
    sizeless = glpn(tmp_path / 'glpn', preprocessor={
        name: value for name, value in PREPROCESSOR.items() if name != 'size'})
    file.write_text(f'model: {sizeless}\nfocal_length: [60, 60]\n')
    with pytest.raises(SourceError, match='focal_length needs size'):
        depth_source(str(file), 'cpu', 0)


def test_an_unstated_licence_is_a_warning(tmp_path):
    folder = glpn(tmp_path / 'glpn', card='')
    jrn = Perception.load('jrn', 'cat1', depth_source=folder, **SMALL)
    assert jrn.warnings == (f'{folder}: its files state no licence; find out whether you may use '
                            'it',)
    assert jrn.card.licence == 'licence not stated by its files'


def test_missing_classes_are_named(tmp_path):
    folder = segformer(tmp_path / 'few', ('wall', 'floor, flooring', 'chair'))
    jrn = Perception.load('jrn', 'cat1', semantics_source=folder, **SMALL)
    assert f'{folder}: never predicts ceiling, object' in jrn.warnings
    assert jrn(picture()).labels.shape == (96, 128)


@pytest.mark.parametrize('change, message', [
    (lambda folder: (folder / 'config.json').unlink(), 'has no config.json; expected a folder'),
    (lambda folder: (folder / 'config.json').write_text('{'), 'config.json: Expecting property'),
    (lambda folder: (folder / 'preprocessor_config.json').unlink(),
     'has no preprocessor_config.json; describe it in a yaml file'),
    (lambda folder: (folder / 'model.safetensors').write_bytes(b'nothing'), 'cannot load it: '),
    (lambda folder: (folder / 'model.safetensors').rename(folder / 'pytorch_model.bin'),
     'has no safetensors; weights as pickles')])
def test_an_unusable_folder_is_refused(tmp_path, change, message):
    folder = segformer(tmp_path / 'model')
    change(tmp_path / 'model')
    with pytest.raises(SourceError, match=message) as caught:
        semantics_source(folder, labels.NYU5, 'cpu', 0)
    assert '\n' not in str(caught.value)


def test_a_model_without_its_head_is_refused(models, tmp_path):
    folder = segformer(tmp_path / 'model')
    transformers.SegformerModel.from_pretrained(models['classes']).save_pretrained(tmp_path / 'a')
    (tmp_path / 'a' / 'model.safetensors').rename(tmp_path / 'model' / 'model.safetensors')
    with pytest.raises(SourceError, match='lack .* weights of the model, for example decode_head'):
        semantics_source(folder, labels.NYU5, 'cpu', 0)


def test_what_is_no_model_for_the_task_is_refused(models, tmp_path):
    with pytest.raises(SourceError, match='a SegformerForSemanticSegmentation, a model of sem'):
        depth_source(models['classes'], 'cpu', 0)
    with pytest.raises(SourceError, match='a model of depth; expected a class whose name ends in '
                       'ForSemanticSegmentation or ForUniversalSegmentation'):
        semantics_source(models['metric'], labels.NYU5, 'cpu', 0)
    with pytest.raises(SourceError, match=r'none of its 2 classes \(LABEL_0, LABEL_1, ...\) has a '
                       'counterpart in nyu5'):
        semantics_source(segformer(tmp_path / 'two', ('LABEL_0', 'LABEL_1')), labels.NYU5,
                         'cpu', 0)
    config = transformers.BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1,
                                     intermediate_size=8, vocab_size=8)
    words = save(transformers.BertModel(config), tmp_path / 'words')
    with pytest.raises(SourceError, match='is a BertModel, a model of another task'):
        depth_source(words, 'cpu', 0)


def test_a_depth_model_that_does_not_tell_its_unit_is_refused(tmp_path):
    config = transformers.DPTConfig(
        hidden_size=16, num_hidden_layers=4, num_attention_heads=2, intermediate_size=16,
        image_size=64, patch_size=16, backbone_out_indices=[0, 1, 2, 3],
        neck_hidden_sizes=[8] * 4, fusion_hidden_size=8, is_hybrid=False)
    folder = save(transformers.DPTForDepthEstimation(config), tmp_path / 'dpt')
    with pytest.raises(SourceError, match='a dpt does not tell whether its depth is in metres'):
        depth_source(folder, 'cpu', 0)
    file = tmp_path / 'dpt.yaml'
    file.write_text('model: dpt\nunit: disparity\n')
    assert depth_source(str(file), 'cpu', 0).needs_measured


@pytest.mark.parametrize('name, message', [
    ('missing-folder', 'no such folder, and a name on the hub is OWNER/NAME'),
    ('./missing/folder', 'no such folder'), ('owner/--name', 'owner/--name: ')])
def test_a_folder_that_is_not_there_is_refused(name, message):
    with pytest.raises(SourceError, match=message):
        depth_source(name, 'cpu', 0)


def test_without_a_network_a_name_is_refused_in_one_line(tmp_path):
    program = """
from jrn_perception.perception.inputs.models import depth_source
try:
    depth_source('somebody/no-such-model', 'cpu', 0)
except ValueError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, '-c', program], capture_output=True, text=True, timeout=120,
        env=os.environ | {'HF_HUB_OFFLINE': '1', 'HF_HOME': str(tmp_path)})
    assert 'not in the cache, and the hub cannot be reached: download it' in done.stdout, (
        done.stderr)
    assert done.stdout.count('\n') == 1


def test_no_code_of_a_repository_runs(tmp_path):
    """A model with code of its own is refused, and the code is not executed."""
    folder = glpn(tmp_path / 'model')
    path = tmp_path / 'model' / 'config.json'
    config = json.loads(path.read_text())
    config |= {'model_type': 'own', 'auto_map': {
        'AutoConfig': 'own.Config', 'AutoModelForDepthEstimation': 'own.Model'}}
    path.write_text(json.dumps(config))
    (tmp_path / 'model' / 'own.py').write_text(
        f'open({str(tmp_path / "executed")!r}, "w").close()\n')
    with pytest.raises(SourceError, match='cannot load it'):
        depth_source(folder, 'cpu', 0)
    assert not (tmp_path / 'executed').exists()
