# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""``jrn_average``: the mean of weights files, measured; what it refuses."""

from jrn_perception import networks, weights
from jrn_perception.cli.average import main
import pytest
import torch
from train_runs import tensors


def write(folder, seed, architecture='hydranet', variant='', **entries):
    """Write weights drawn with a seed; return their path."""
    torch.manual_seed(seed)
    spec = networks.find(architecture, variant)
    path = folder / str(seed) / f'{spec.name}.safetensors'
    card = weights.Card.of(spec, spec.labels, **{
        'input_size': (64, 96), 'training': {'fit': 'all', 'recipe': {'seed': seed}}} | entries)
    network = spec.build()
    for name, value in network.state_dict().items():
        if name.endswith('num_batches_tracked'):
            value += seed
    weights.save(network, card, path)
    return path


def average(frames, output, *paths):
    return main([*map(str, paths), '--output', str(output), '--data', str(frames)])


def test_the_mean_of_two_networks(frames, tmp_path, capsys):
    paths = [write(tmp_path, seed) for seed in (1, 2)]
    output = tmp_path / 'mean.safetensors'
    assert average(frames, output, *paths) == 0
    found, *parts = (tensors(path) for path in (output, *paths))
    for name, value in found.items():
        if value.is_floating_point():
            torch.testing.assert_close(value, (parts[0][name] + parts[1][name]) / 2,
                                       rtol=1e-3, atol=1e-6)
        else:
            assert value == parts[0][name] != parts[1][name]
    card = weights.check(output)
    # What is not true of all files is not said of the mean.
    assert card.training == {'fit': 'all', 'averaged': [
        {'sha256': weights.sha256(path), 'training': {'fit': 'all', 'recipe': {'seed': seed}}}
        for seed, path in enumerate(paths, 1)]}
    assert card.metrics['images'] == 2
    assert f'rms {card.metrics["output"]["rms"]:g}' in capsys.readouterr().out


def test_a_card_tells_once_of_each_file(frames, tmp_path):
    begin = {'sha256': 'a' * 64, 'training': {'recipe': {'seed': 0}}}
    paths = [write(tmp_path, seed, training={'recipe': {'seed': seed}, 'start': begin})
             for seed in (1, 2)]
    first, second = map(weights.sha256, paths)
    assert average(frames, tmp_path / 'mean.safetensors', *paths, paths[0]) == 0
    assert weights.check(tmp_path / 'mean.safetensors').training == {'start': begin, 'averaged': [
        {'sha256': first, 'training': {'recipe': {'seed': 1}, 'start': begin}},
        {'sha256': second, 'training': {'recipe': {'seed': 2}, 'start': {'sha256': 'a' * 64}}},
        {'sha256': first}]}


def test_a_file_that_is_given_twice_counts_twice(frames, tmp_path):
    once, twice = (write(tmp_path, seed) for seed in (1, 2))
    assert average(frames, tmp_path / 'mean.safetensors', twice, once, twice) == 0
    name = 'heads.depth.predict.weight'
    found, one, two = (tensors(path)[name]
                       for path in (tmp_path / 'mean.safetensors', once, twice))
    torch.testing.assert_close(found, (one + 2 * two) / 3, rtol=1e-3, atol=1e-5)


def test_a_network_with_more_heads_gives_the_parts_that_the_first_has(frames, tmp_path):
    depth, both = write(tmp_path, 1, 'depth'), write(tmp_path, 2)
    output = tmp_path / 'depth_mobilenetv2.safetensors'
    assert average(frames, output, depth, both) == 0
    assert weights.check(output).spec.architecture == 'depth'
    found, first, second = (tensors(path) for path in (output, depth, both))
    for name in ('encoder.stem.conv.weight', 'heads.depth.predict.weight'):
        torch.testing.assert_close(found[name], (first[name] + second[name]) / 2,
                                   rtol=1e-3, atol=1e-5)
    assert 'heads.semantics.predict.weight' not in found


@pytest.mark.parametrize('other, message', [
    ({'architecture': 'depth'}, 'has no heads.semantics'),
    ({'variant': 'kitti6'}, 'is labelled in kitti6, '),
    ({'input_size': (96, 96)}, 'has the input_size (96, 96), '),
    ({'focal_length': (70., 70.)}, 'has the focal_length (70.0, 70.0), '),
    ({'sources': {'depth': 'sensor'}}, "has the sources {'depth': 'sensor'}, "),
    ({'options': {'encoder_stride': 16}}, 'has the encoder stride 16, ')])
def test_what_cannot_be_averaged_is_named(frames, tmp_path, capsys, other, message):
    first, second = write(tmp_path, 1), write(tmp_path, 2, **other)
    output = tmp_path / 'mean.safetensors'
    assert average(frames, output, first, second) == 1
    assert capsys.readouterr().err.startswith(f'jrn_average: {second}: {message}')
    assert not output.exists()


def test_a_file_that_is_missing_is_named(frames, tmp_path, capsys):
    assert average(frames, tmp_path / 'mean.safetensors', tmp_path / 'none.safetensors') == 1
    assert 'none.safetensors: missing' in capsys.readouterr().err


def test_a_mean_has_no_fitted_temperature(frames, tmp_path):
    paths = [write(tmp_path, seed, temperature=1.5) for seed in (1, 2)]
    output = tmp_path / 'mean.safetensors'
    assert average(frames, output, *paths) == 0
    assert weights.check(paths[0]).temperature == 1.5
    assert weights.check(output).temperature == 1
