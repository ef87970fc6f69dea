# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Small runs of ``jrn_train``, and what they leave."""

import cv2
from jrn_perception import weights
from jrn_perception.cli.train import main
from jrn_perception.perception import Perception
import numpy as np

TINY = ('--set', 'epochs=1', '--set', 'batch_size=2', '--set', 'input_size=[64,96]')
SMALL = (*TINY, '--set', 'crop=[48,64]')


def write_frame(root, name, seed):
    """Write a frame of 640x480 as the data set has it: blocks of colour, depth and label."""
    generator = np.random.default_rng(seed)

    def blocks(low, high, dtype):
        return generator.integers(low, high, (6, 8), dtype).repeat(80, 0).repeat(80, 1)
    rgb = np.stack([blocks(0, 256, np.uint8) for _ in range(3)], 2)
    depth = blocks(500, 6000, np.uint16)
    depth[blocks(0, 6, np.uint8) == 0] = 0
    for folder, suffix, picture in (('rgb', 'jpg', rgb), ('depth_mm', 'png', depth),
                                    ('label40', 'png', blocks(0, 41, np.uint8))):
        (root / folder).mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(root / folder / f'{name}.{suffix}'), picture)


def train(network, data, output, *arguments):
    return main([network, '--data', str(data), '--output', str(output), *arguments])


def tensors(path):
    return weights.load_file(path)[0].state_dict()


def perceive(path, architecture, variant=''):
    perception = Perception.load(architecture, variant, weights_file=str(path), device='cpu',
                                 backend='torch')
    return perception, perception(np.full((60, 80, 3), 120, np.uint8))


def refused(capsys, message, *arguments):
    """See to it that a command line fails with one line that has ``message``."""
    assert main([str(argument) for argument in arguments]) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith('jrn_train: ') and message in error
