# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The shipped weights are those that tools/shipped_weights.sh makes."""

from dataclasses import asdict, replace
import json
import os
from pathlib import Path
import shlex
import subprocess

from jrn_perception import networks, weights
from jrn_perception.cli import average, train
from jrn_perception.training.recipes import RefineRecipe
import pytest

SCRIPT = Path(__file__).parents[2] / 'tools' / 'shipped_weights.sh'
# Notes what it was called with instead of training for hours.
NOTE = '#!/bin/sh\nprintf "%s " "${0##*/}" >> "$NOTES"; printf "\'%s\' " "$@" >> "$NOTES"\n' \
       'echo >> "$NOTES"\n'


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    """Return what the script makes: for each file the recipes, one, or those of a mean."""
    folder = tmp_path_factory.mktemp('script')
    (folder / 'bin').mkdir()
    for name in ('jrn_train', 'jrn_average', 'jrn_distill', 'jrn_calibrate', 'python', 'cp'):
        (folder / 'bin' / name).write_text(NOTE)
        (folder / 'bin' / name).chmod(0o755)
    (folder / 'data' / 'nyuv2').mkdir(parents=True)
    subprocess.run(
        ['bash', SCRIPT, 'data', 'runs'], cwd=folder, check=True,
        env=os.environ | {'PATH': f'{folder / "bin"}:{os.environ["PATH"]}',
                          'NOTES': str(folder / 'notes')})
    found = {}
    for line in (folder / 'notes').read_text().splitlines():
        name, *words = shlex.split(line)
        if name == 'jrn_train':
            settings = train.parse(words)
            recipe = settings.recipe
            if settings.fold:
                recipe = replace(recipe, colour_jitter=0.)
            specs = ([networks.find('jrn', variant) for variant in networks.refinements()]
                     if isinstance(recipe, RefineRecipe) else [networks.find(*recipe.network)])
            if getattr(recipe, 'start', '').endswith('.safetensors'):
                assert Path(recipe.start) in found
            recipe = json.loads(json.dumps(asdict(recipe)))
            for spec in specs:
                found[settings.output / f'{spec.name}.safetensors'] = [recipe]
        elif name == 'jrn_average':
            arguments = average.parse(words)
            found[arguments.output] = [recipe for path in arguments.weights
                                       for recipe in found[path]]
        elif name == 'python':
            program, weights_file, output = map(Path, words)
            assert program == SCRIPT.with_name('shipped_onnx.py') and program.is_file()
            assert weights_file in found and output == Path('onnx')
    # The ONNX file comes last, because its card has the temperature.
    assert name == 'python'
    return found


def told(value):
    """Return what a card tells of the training of files, by sha256."""
    found = {}
    for item in value.values() if isinstance(value, dict) else value:
        if isinstance(item, (dict, list)):
            found |= told(item)
    if isinstance(value, dict) and {'sha256', 'training'} <= set(value):
        found[value['sha256']] = value['training']
    return found


def parts_of(training, known):
    """Yield the training of each file that went into a mean, or of the one that is none."""
    if 'averaged' not in training:
        yield training
    for part in training.get('averaged', ()):
        yield from parts_of(known[part['sha256']], known)


@pytest.mark.parametrize('name', weights.shipped())
def test_the_recipe_of_each_is_that_of_the_script(made, name):
    training = weights.read_card(weights.shipped()[name]).training
    parts = list(parts_of(training, told(training)))
    # Cards of networks trained before the entry existed lack the encoder's stride, which was 32.
    # Cards of JRNs lack what the recipe had no number for.
    older = ({'logit_adjustment': None, 'depth_input': 'network', 'blind': 0.15}
             if name.startswith('jrn') else {'encoder_stride': 32})
    assert [older | part['recipe'] for part in parts] == made[Path(f'{name}.safetensors')]
    assert {part['fit'] for part in parts} == {'fit'}


def test_the_recipe_for_a_depth_camera_is_that_of_the_script(made):
    training = weights.read_card(Path(weights.for_sensor('jrn', 'sum60'))).training
    [recipe] = made[Path('sensor/jrn_sum60.safetensors')]
    # jrn_train adds the option of a network that is told what was measured.
    recipe['options']['validity'] = True
    # With five classes the adjustment, which the script leaves open, is none.
    assert training['recipe'] == {**recipe, 'logit_adjustment': 0.0}
    assert [part for part, _ in training['folds']] == ['1/2', '2/2']
