# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The experiment with few labels and the pictures of the mixing, on tiny data."""

import importlib.util
from pathlib import Path
import sys

import cv2
from jrn_perception import networks, weights
from jrn_perception.datasets.label_fractions import draw, FRACTIONS, labelled_names
import pytest
import torch
from train_runs import write_frame

TOOLS = Path(__file__).resolve().parents[2] / 'tools'


def load(name):
    spec = importlib.util.spec_from_file_location(name, TOOLS / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up.
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope='module')
def tool():
    pytest.importorskip('lightning', reason="needs pip install '.[train]'")
    pytest.importorskip('matplotlib', reason='matplotlib is not installed')
    return load('label_fractions')


def test_the_lists_are_nested_shares_of_one_split():
    lists = {fraction: labelled_names(fraction) for fraction in FRACTIONS}
    assert {fraction: len(names) for fraction, names in lists.items()} == {
        '1/30': 23, '1/8': 85, '1/4': 170, '1/2': 340}
    ordered = [set(lists[fraction]) for fraction in FRACTIONS]
    assert all(small < large for small, large in zip(ordered, ordered[1:]))
    assert all(names == sorted(set(names)) for names in lists.values())
    with pytest.raises(ValueError, match="fraction '1/3': choose from 1/30, 1/8, 1/4, 1/2"):
        labelled_names('1/3')


def test_the_lists_are_those_of_fit_txt_and_spread_over_it(data_dir):
    names = (data_dir / 'nyuv2' / 'fit.txt').read_text().split()
    assert draw(names) == {fraction: labelled_names(fraction) for fraction in FRACTIONS}
    places = [names.index(name) for name in labelled_names('1/8')]
    gaps = [after - before for before, after in zip(places, places[1:])]
    assert max(gaps) <= 16


def test_arms_switch_parts_on_one_after_the_other(tool):
    assert tool.ARMS == ('supervised only', '+ mean teacher', '+ AffineMix', '+ ColorAug',
                         '+ CCAM')
    off = [tool.Cell(arm, '1/8', 0).options()[1::2] for arm in range(5)]
    assert off[0] == [f'{name}=0' for name in (
        'consistency_weight', 'unlabelled_depth', 'class_mix', 'affine_mix', 'color_aug',
        'attention_rate')]
    assert off[3] == ['attention_rate=0'] and off[4] == []
    assert all(set(fewer) < set(more) for more, fewer in zip(off, off[1:]))


def test_seeds_are_for_one_eighth(tool):
    options = tool.parser().parse_args(['--data', '.', '--output', '.'])
    found = tool.cells(options)
    assert len(found) == 5 * 5 + 2 * 5
    assert {cell.fraction for cell in found if cell.seed} == {'1/8'}


def test_the_experiment_is_resumed_and_reported(tool, tmp_path, monkeypatch):
    names = [f'{index:04d}' for index in range(6)]
    for seed, name in enumerate(names):
        write_frame(tmp_path / 'data', name, seed)
    (tmp_path / 'data' / 'fit.txt').write_text('\n'.join(names[:4]))
    (tmp_path / 'data' / 'val.txt').write_text('\n'.join(names[4:]))
    torch.manual_seed(1)
    weights.save(networks.find('hydranet').build(),
                 weights.Card('hydranet', 'nyu40', 'nyu40', input_size=(64, 96)),
                 tmp_path / 'start.safetensors')
    output = tmp_path / 'runs'
    settings = ('epochs=1', 'batch_size=2', 'input_size=[64,96]', 'crop=[48,64]',
                f'start={tmp_path / "start.safetensors"}')
    arguments = ['--data', str(tmp_path / 'data'), '--output', str(output), '--fractions', '1/2',
                 '--arms', '0', '4', '--seeds', '1',
                 *(word for change in settings for word in ('--set', change))]
    assert tool.main(arguments) == 0
    table = (output / 'label_fractions.md').read_text()
    rows = [[cell.strip() for cell in line.split('|')[1:-1]] for line in table.splitlines()[2:4]]
    assert [row[:3] for row in rows] == [['1/2', 'supervised only', '1'], ['1/2', '+ CCAM', '1']]
    assert rows[0][4] == rows[0][7] == '–' and rows[1][4].startswith(('+', '-'))
    assert rows[1][7].count(',') == 1
    assert (output / 'label_fractions.png').stat().st_size > 1000
    cards = [weights.check(output / cell.folder / 'symbiosis_nyu40.safetensors')
             for cell in (tool.Cell(0, '1/2', 0), tool.Cell(4, '1/2', 0))]
    assert [card.training['frames'] for card in cards] == [2, 2]
    assert cards[0].training['gammas']['depth_to_semantics'] == 0
    # What is finished is not trained again.
    monkeypatch.setattr(tool, 'train', lambda *_: pytest.fail('trained again'))
    assert tool.main(arguments) == 0
    assert (output / 'label_fractions.md').read_text() == table


def test_the_pictures_of_the_documents_are_drawn(tmp_path, monkeypatch):
    pytest.importorskip('kornia', reason="needs pip install '.[train]'")
    monkeypatch.setattr(sys, 'argv', ['mixing_pictures.py', str(tmp_path)])
    load('mixing_pictures').main()
    for name in ('affine_mix.jpg', 'color_aug.jpg'):
        drawn, committed = (cv2.imread(str(folder / name))
                            for folder in (tmp_path, TOOLS.parent / 'docs'))
        assert (TOOLS.parent / 'docs' / name).stat().st_size < 100_000
        assert cv2.absdiff(drawn, committed).mean() < 2
