# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The command that exports weights: shipped ones become a file that runs as torch does."""

from importlib.util import find_spec
import os
from pathlib import Path

from jrn_perception.cli.export import main
from jrn_perception.evaluation.measures import precision
from jrn_perception.perception import Perception
from jrn_perception.weights import read_card
import numpy as np
import pytest

DATA = Path(os.environ.get('JRN_DATA', Path(__file__).parents[3] / 'shared' / 'data')) / 'nyuv2'


def test_shipped_weights_on_real_frames(tmp_path, capsys, room):
    for package in ('onnx', 'onnxscript', 'onnxruntime'):
        if find_spec(package) is None:
            pytest.skip(f'{package} is not installed')
    output = tmp_path / 'new' / 'hydranet.onnx'
    frames = ['--data', str(DATA)] if (DATA / 'fit.txt').is_file() else []
    assert main(['hydranet', str(output), '--limit', '2', *frames]) == 0
    line = capsys.readouterr().out
    assert line.startswith(f'{output}: hydranet_nyu40, as torch in ') and 'onnxruntime: ' in line
    assert {path.name for path in output.parent.iterdir()} == {'hydranet.onnx', 'hydranet.json'}
    assert read_card(output).training['exported']['pictures'] == 2
    rgb = room(3).render(height=240, width=320).rgb
    options = {'weights_file': str(output), 'height': 96, 'width': 128}
    found = Perception.load('hydranet', **options)(rgb)
    right = Perception.load('hydranet', device='cpu', height=96, width=128, backend='torch')(rgb)
    np.testing.assert_allclose(found.depth, right.depth, atol=1e-3)
    assert (found.labels == right.labels).mean() > 0.999


@pytest.fixture
def once(monkeypatch):
    """Let several runs share the export in fp32, which takes most of their time."""
    from jrn_perception.perception import export as module
    right, made = module.export, []

    def export(loaded, output, pictures):
        if not made:
            made.append(right(loaded, output, pictures))
            made.append({path.name: path.read_bytes() for path in output.parent.iterdir()})
        output.parent.mkdir(parents=True, exist_ok=True)
        for name, content in made[1].items():
            (output.parent / name).write_bytes(content)
        return made[0]

    monkeypatch.setattr(module, 'export', export)


def test_a_loss_of_accuracy_is_refused_unless_it_is_accepted(hydranet, frames, once, tmp_path,
                                                             monkeypatch, capsys):
    for package in ('onnx', 'onnxscript', 'onnxruntime'):
        if find_spec(package) is None:
            pytest.skip(f'{package} is not installed')
    output = tmp_path / 'low.onnx'
    arguments = [str(hydranet / 'hydranet_nyu40.safetensors'), str(output), '--int8',
                 '--data', str(frames)]
    monkeypatch.setattr(precision, 'MEAN_IOU_LIMIT', -1000)
    assert main(arguments) == 1
    printed = capsys.readouterr()
    assert printed.err.startswith(f'jrn_export: {output}: not written: in ')
    assert 'mean IoU falls from ' in printed.err and printed.err.endswith('--accept writes it\n')
    assert list(tmp_path.iterdir()) == []
    assert main([*arguments, '--accept']) == 0
    card = read_card(output)
    assert card.precision == 'int8'
    facts = card.training['exported']
    assert (facts['precision'], facts['calibration']) == ('int8', f'nyuv2={frames.name}@fit')
    accuracy = facts['accuracy']
    assert (accuracy['frames'], accuracy['count']) == (f'nyuv2={frames.name}@val', 2)
    import onnxruntime
    assert set(accuracy) >= {'fp32', f'onnxruntime {onnxruntime.__version__}'}
    for name in set(accuracy) - {'frames', 'count'}:
        assert set(accuracy[name]) == {'mean_iou', 'rms'} and accuracy[name]['rms'] > 0
    assert {path.name for path in tmp_path.iterdir()} == {'low.onnx', 'low.json'}


@pytest.mark.parametrize('arguments, message', [
    (['hydranet', 'out.pt'], 'out.pt: the output is a file NAME.onnx'),
    (['nonsense', 'out.onnx'], "unknown architecture 'nonsense'"),
    (['hydranet_kitti6', 'out.onnx'], 'no weights for hydranet kitti6 are shipped'),
    (['missing.safetensors', 'out.onnx'], 'missing.json: missing'),
    (['hydranet', 'out.onnx', '--limit', '0'], '--limit: at least 1'),
    (['hydranet', 'out.onnx', '--data', 'nowhere'], 'nowhere'),
    (['hydranet', 'out.onnx', '--split', 'val'], '--split needs --data'),
    (['hydranet', 'out.onnx', '--int8'], '--int8 needs --data: annotated frames'),
    (['hydranet', 'out.onnx', '--accept'], '--accept: only with --int8 or --bf16'),
    (['hydranet', 'out.onnx', '--calibrate', 'folder=x'], '--calibrate: only with --int8 or'),
    (['hydranet', 'out.onnx', '--int8', '--data', 'nowhere'], 'nowhere'),
])
def test_what_cannot_be_exported_is_said_in_one_line(arguments, message, tmp_path, monkeypatch,
                                                     capsys):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert error.startswith('jrn_export: ') and message in error and error.count('\n') == 1
    assert list(tmp_path.iterdir()) == []
