# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The command line of ``jrn_train``: the numbers of a recipe, and help."""

from dataclasses import fields
import json
import re
import subprocess
import sys

from jrn_perception.cli.train import main, parse
from jrn_perception.training.recipes import RECIPES
import pytest
from train_runs import refused

pytest.importorskip('jsonargparse', reason="needs pip install '.[train]'")


# --- changes of the recipe ----------------------------------------------------------------------

def recipe_of(network, *words):
    return parse([network, '--data', '.', *words]).recipe


@pytest.mark.parametrize('change, name, expected', [
    ('epochs=50', 'epochs', 50), ('crop=[96, 128]', 'crop', (96, 128)),
    ('start=imagenet', 'start', 'imagenet'), ('start="depth"', 'start', 'depth'),
    ('decoder_rate=1e-3', 'decoder_rate', 1e-3), ('depth_weight=2', 'depth_weight', 2.0),
    ('network=["depth", "mobilenetv2"]', 'network', ('depth', 'mobilenetv2'))])
def test_a_number_of_the_recipe_can_be_changed(change, name, expected):
    found = getattr(recipe_of('hydranet', '--set', change), name)
    assert found == expected and type(found) is type(expected)


@pytest.mark.parametrize('words, change', [
    (('--epochs', '50'), 'epochs=50'), (('--crop-size', '[96, 128]'), 'crop=[96,128]'),
    (('--decoder-rate=1e-3',), 'decoder_rate=1e-3'), (('--start', 'depth'), 'start=depth'),
    (('--network=[depth,mobilenetv2]',), 'network=["depth", "mobilenetv2"]')])
def test_each_number_is_an_option(words, change):
    recipe = recipe_of('hydranet', *words)
    assert recipe == recipe_of('hydranet', '--set', change) != RECIPES['hydranet']
    # Wherever the network stands.
    assert parse([*words, '--data', '.', 'hydranet', f'--set={change}']).recipe == recipe


def test_changes_add_up_and_leave_the_rest():
    recipe = recipe_of('jrn', '--set', 'options={"residual": false}', '--set', 'views=9',
                       '--views', '2')
    assert recipe.options == {'residual': False} and recipe.views == 2
    assert recipe_of('jrn', '--options.residual=false').options == {
        'output_stride': 4, 'residual': False}
    for name, recipe in RECIPES.items():
        assert recipe_of(name) == recipe


@pytest.mark.parametrize('change, message', [
    ('epoch=3', '--set epoch=3: the recipe has network, epochs, start'),
    ('colour=red', '--set colour=red: the recipe has network, '),
    ('epochs', '--set epochs: expected NAME=VALUE'),
    ('epochs=', 'argument --epochs: expected int'),
    ('epochs=many', 'argument --epochs: expected int'),
    ('epochs=1.5', 'argument --epochs: expected int'),
    ('epochs=true', 'argument --epochs: expected int'),
    ('crop=96', 'argument --crop-size: expected tuple'),
    ('crop=[1,2,3]', 'argument --crop-size: Expected a tuple with 2 elements')])
def test_what_a_recipe_does_not_take_is_refused(change, message, capsys):
    with pytest.raises(SystemExit) as ended:
        recipe_of('hydranet', '--set', change)
    assert ended.value.code == 2
    assert f'jrn_train: error: {message}' in capsys.readouterr().err


@pytest.mark.parametrize('words', [('--set', 'colour_jitter=0.2'), ('--colour-jitter', '0.5')])
def test_colour_jitter_has_no_effect_with_folds_and_is_refused(words, capsys):
    refused(capsys, '--colour-jitter: has no effect with --fold', 'jrn', '--data', '.', '--fold',
            'x', *words)
    assert recipe_of('jrn', *words).colour_jitter == float(words[-1].rpartition('=')[2])


# --- help ---------------------------------------------------------------------------------------

def help_of(capsys, *words):
    with pytest.raises(SystemExit) as ended:
        main([*words, '--help'])
    assert ended.value.code == 0
    return ' '.join(capsys.readouterr().out.split())


@pytest.mark.parametrize('name', RECIPES)
def test_the_help_of_a_network_shows_its_recipe(capsys, name):
    text = help_of(capsys, name)
    for entry in fields(RECIPES[name]):
        option = f'--{(entry.metadata["option"] or entry.name).replace("_", "-")}'
        shown = text[text.index(f'recipe of {name}:'):]
        shown = shown[shown.index(f' {option} ') + len(option) + 2:]
        kind, _, shown = shown.partition(' ')
        assert re.match(r'INT|FLOAT|TEXT|\[|\{', kind), option
        assert shown.startswith(entry.metadata['meaning']), option
        value = getattr(RECIPES[name], entry.name)
        value = value if isinstance(value, str) else json.dumps(value)
        assert shown.startswith(f'{entry.metadata["meaning"]} (default: {value})'), option


def test_the_help_without_a_network_lists_networks_and_layouts(capsys, monkeypatch):
    # Also where the extra is missing.
    monkeypatch.setitem(sys.modules, 'jsonargparse', None)
    text = help_of(capsys)
    assert ', '.join(RECIPES) in text and 'recipe of' not in text
    assert 'how data sets are laid out:' in text
    # --extra takes all readers.
    assert 'ADEChallengeData2016' in text and 'r-*.ppm' in text


@pytest.mark.parametrize('missing', ['jsonargparse', 'lightning.pytorch'])
def test_a_missing_extra_is_named(missing):
    program = ('import sys; sys.modules[sys.argv.pop(1)] = None; '
               'from jrn_perception.cli.train import main; sys.exit(main())')
    done = subprocess.run([sys.executable, '-c', program, missing, 'depth', '--data', '.'],
                          capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == f"jrn_train: {missing} is missing: pip install '.[train]'\n"
