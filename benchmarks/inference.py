# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Measure the time of the networks on this machine's CPU, as ratios from one run.

The first table shows how memory layout, folded batch norms, channel scales and precision change
the time of HydraNet. The second table shows every network beside HydraNet. Both use random
weights, because the time does not depend on their values. The third table shows the backends that
are installed beside torch, from uint8 picture to maps, with the shipped weights; the first run
exports these into the user's cache. All use the input size of the shipped weights. The
measurements alternate, so that a ratio holds on a machine that also does other work; each time is
the best of its rounds. The two VGG-16 networks take seconds per picture and run only with --vgg.

    python benchmarks/inference.py [--rounds 7] [--size 288 384] [--threads N] [--vgg]
"""

import argparse
from contextlib import nullcontext
import copy
from functools import partial
import time

from jrn_perception import networks, weights
from jrn_perception.networks.jrn import ModularNetwork
from jrn_perception.networks.layers import ChannelScale, fold_batch_norms
from jrn_perception.perception import Perception
from jrn_perception.perception.backends import choice
import numpy as np
import torch
from torch import nn

VGG = ('depth_multiscale', 'semantics_fcn16s')


def run(network, image, precision='fp32'):
    """Return a function that runs the network once."""
    def once():
        autocast = torch.autocast('cpu', torch.bfloat16) if precision == 'bf16' else nullcontext()
        with torch.inference_mode(), autocast:
            network(image)
    return once


def best_times(runs, rounds):
    """Return the seconds of each run's fastest round; runs alternate, after one warm-up round."""
    best = dict.fromkeys(runs, float('inf'))
    for turn in range(rounds + 1):
        for name, once in runs.items():
            start = time.perf_counter()
            once()
            if turn:
                best[name] = min(best[name], time.perf_counter() - start)
    return best


def layouts(image):
    """Return HydraNet as torch builds it, and each step towards the form in ``Perception``."""
    plain = weights.load('hydranet', weights='random').network
    fast = copy.deepcopy(plain).to(memory_format=torch.channels_last)
    folded = fold_batch_norms(copy.deepcopy(fast))
    there = image.contiguous(memory_format=torch.channels_last)
    convolved = copy.deepcopy(folded)
    for module in convolved.modules():
        if isinstance(module, ChannelScale):
            module.forward = nn.Conv2d.forward.__get__(module)
    return {
        'eager, NCHW, fp32': run(plain, image),
        'channels_last': run(fast, there),
        'channels_last, batch norms folded (Perception)': run(folded, there),
        'Perception, channel scales by convolution': run(convolved, there),
        'Perception under bf16': run(folded, there, 'bf16'),
    }


def every_network(image, vgg):
    """Return each network as ``Perception`` runs it; a JRN includes its input networks."""
    there = image.contiguous(memory_format=torch.channels_last)
    runs = {}
    for variants in networks.ARCHITECTURES.values():
        for spec in variants.values():
            if spec.name in VGG and not vgg:
                continue
            network = weights.load(spec.architecture, spec.variant, 'random').network
            network = fold_batch_norms(network).to(memory_format=torch.channels_last)
            if not spec.inputs:
                runs[spec.name] = run(network, there)
                continue
            for stride in (2, 4):
                # The paper joins its branches at stride 2, the shipped weights at stride 4.
                refine = spec.build(output_stride=stride).eval()
                modular = ModularNetwork(
                    network.depth, network.semantics,
                    refine.to(memory_format=torch.channels_last), network.fold)
                runs[f'{spec.name}, output stride {stride}'] = run(modular, there)
    return runs


def backends(size, threads):
    """Return HydraNet and the default JRN in each backend, by network."""
    picture = np.random.default_rng(0).integers(0, 256, (1, *size, 3), np.uint8)
    found = {}
    for architecture in ('hydranet', 'jrn'):
        loaded = {name: Perception.load(architecture, backend=name, threads=threads, device='cpu',
                                        precision='fp32')
                  for name in ('torch', *choice.installed())}
        found[architecture] = {
            perception.backend_name: partial(perception.infer, picture)
            for perception in loaded.values()}
    return found


def table(title, times, reference):
    """Print a markdown table: milliseconds, and their ratio to the reference."""
    print(f'\n| {title} | ms | x {reference} |\n| --- | ---: | ---: |')
    for name, seconds in times.items():
        print(f'| {name} | {1e3 * seconds:.1f} | {seconds / times[reference]:.2f} |')


def main():
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument('--rounds', type=int, default=7,
                        help='rounds of each measurement (default: %(default)s)')
    parser.add_argument('--size', type=int, nargs=2, default=weights.Card('', '').input_size,
                        metavar=('HEIGHT', 'WIDTH'),
                        help='size of the input (default: %(default)s)')
    parser.add_argument('--threads', type=int, default=torch.get_num_threads(),
                        help='threads of a network (default: %(default)s)')
    parser.add_argument('--vgg', action='store_true', help='measure the two VGG-16 networks too')
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    image = torch.randn(1, 3, *arguments.size, generator=torch.Generator().manual_seed(0))
    print(f'torch {torch.__version__}, {torch.get_num_threads()} threads, input '
          f'{arguments.size[0]}x{arguments.size[1]}, best of {arguments.rounds} rounds')
    runs = layouts(image)
    table('hydranet_nyu40', best_times(runs, arguments.rounds), next(iter(runs)))
    runs = every_network(image, arguments.vgg)
    table('network', best_times(runs, arguments.rounds), 'hydranet_nyu40')
    for architecture, runs in backends(arguments.size, arguments.threads).items():
        table(f'{architecture}, backend', best_times(runs, arguments.rounds), next(iter(runs)))


if __name__ == '__main__':
    main()
