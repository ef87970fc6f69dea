# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""``jrn_train`` refuses a network that has not what its recipe needs, in one line."""

import pytest
from train_runs import refused, SMALL

pytest.importorskip('jrn_perception.training.run', reason="needs pip install '.[train]'")


@pytest.mark.parametrize('start', ['imagenet', 'hydranet'])
@pytest.mark.parametrize('recipe, network, lacks', [
    ('semantics', 'jrn_cat1', 'no encoder and no calibrate'),
    ('semantics', 'semantics_fcn16s', 'no encoder and no calibrate')])
def test_a_network_that_a_recipe_cannot_train(
        recipe, network, lacks, start, frames, hydranet, capsys):
    pair = '["{}", "{}"]'.format(*network.split('_'))
    refused(capsys, f'{network}: this recipe cannot train it, the network has {lacks}', recipe,
            '--data', frames, '--output', hydranet, *SMALL, '--set', f'network={pair}',
            '--set', f'start={start}')
