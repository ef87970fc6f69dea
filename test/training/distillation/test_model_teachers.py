# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Models of other authors as teachers: for ``--teacher`` and for ``jrn_distill``."""

import json
from pathlib import Path

import cv2
from jrn_perception import labels, networks, weights
from jrn_perception.cli import distill
from jrn_perception.datasets.folder import Folder
from jrn_perception.perception.inputs.interface import SourceError
from jrn_perception.perception.inputs.models import depth_source, semantics_source
from jrn_perception.training.distillation.distill import PROVENANCE
import numpy as np
import pytest
import torch

NEEDS = "needs pip install '.[train]'"
pipeline = pytest.importorskip('jrn_perception.training.pipeline', reason=NEEDS)
teachers = pytest.importorskip('jrn_perception.training.distillation.teachers', reason=NEEDS)
normalise = pytest.importorskip('jrn_perception.training.views', reason=NEEDS).normalise


@pytest.fixture(scope='module')
def models(external, tmp_path_factory):
    """Return a depth model, a semantics model and a relative depth model."""
    folder = tmp_path_factory.mktemp('teachers')
    return {'depth': external.onnx_depth(folder / 'depth.onnx', focal_length=[50.0, 50.0]),
            'semantics': external.segformer(folder / 'semantics'),
            'relative': external.depth_anything(folder / 'relative', 'relative')}


def views(external, count=2):
    rgb = np.stack([external.picture(48, 64, seed) for seed in range(count)])
    return rgb, normalise(torch.from_numpy(rgb).permute(0, 3, 1, 2).float() / 255)


def test_a_semantics_model_teaches_its_probabilities(external, models):
    rgb, image = views(external)
    teacher = teachers.model_teacher(models['semantics'], labels.NYU40, None)
    maps = teacher(image, (48, 64))
    assert maps.depth is None and maps.semantics.shape == (2, 40, 48, 64)
    torch.testing.assert_close(maps.semantics.sum(1), torch.ones(2, 48, 64), atol=1e-3, rtol=0)
    own = semantics_source(models['semantics'], labels.NYU40, 'cpu', 0).probabilities(rgb[1])
    small = teacher(image, own.shape[:2]).semantics[1].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(small, own, atol=1e-3)


def test_a_depth_model_teaches_metres_of_the_students_camera(external, models):
    rgb, image = views(external)
    own = depth_source(models['depth'], 'cpu', 0).depth(rgb[0], None)
    for focal_length, factor in ((None, 1.0), ((50.0, 50.0), 1.0), ((100.0, 100.0), 2.0)):
        teacher = teachers.model_teacher(models['depth'], None, focal_length)
        maps = teacher(image, (48, 64))
        assert maps.semantics is None and maps.depth.shape == (2, 1, 48, 64)
        np.testing.assert_allclose(maps.depth[0, 0].numpy(), factor * own, rtol=1e-3)


def test_what_cannot_teach_is_refused(models):
    with pytest.raises(SourceError, match='disparity has no scale and cannot teach'):
        teachers.model_teacher(models['relative'], None, None)
    with pytest.raises(SourceError, match='a model of semantics cannot teach depth alone'):
        teachers.model_teacher(models['semantics'], None, None)


def test_the_teacher_of_a_run(models):
    student = weights.Card.of(networks.find('hydranet'), labels.NYU40)
    taught = pipeline.find_teacher(Path(models['semantics']), student)
    assert isinstance(taught.teacher, teachers.ModelTeacher)
    assert taught.licence == 'licence apache-2.0' and len(taught.sha256) == 64


def test_distillation_from_models_alone(external, models, tmp_path, capsys):
    for name, folder, kind, value in (('a', 'labels', np.uint8, 1),
                                      ('b', 'depth_mm', np.uint16, 2000)):
        for part, picture in (('rgb', external.picture(96, 128)[..., ::-1]),
                              (folder, np.full((96, 128), value, kind))):
            (tmp_path / 'data' / part).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(tmp_path / 'data' / part / f'{name}.png'), picture)
    (tmp_path / 'data/dataset.json').write_text('{"classes": "nyu40"}')
    (tmp_path / 'data/all.txt').write_text('a\nb')
    classes = external.onnx_classes(
        tmp_path / 'classes.onnx', ('wall', 'floor', 'ceiling', 'chair', 'lamp'), licence='MIT')
    output = tmp_path / 'distilled'
    assert distill.main([
        'folder', str(tmp_path / 'data'), str(output), '--split', 'all', '--threshold', '0',
        '--architecture', 'external', '--depth-source', models['depth'],
        '--semantics-source', classes, '--device', 'cpu']) == 0, capsys.readouterr()
    labelled, measured = Folder(output, 'all')
    np.testing.assert_allclose(labelled.depth, 1 + external.picture(96, 128).sum(-1) / 255,
                               atol=0.15)
    assert (labelled.labels == 0).all() and (measured.labels < 40).all()
    assert len(np.unique(measured.labels)) > 1
    teacher = json.loads((output / PROVENANCE).read_text())['teacher']
    assert teacher['architecture'] == 'external'
    assert 'sha256' in teacher['sources']['depth'] and 'licence MIT' in teacher['licence']
