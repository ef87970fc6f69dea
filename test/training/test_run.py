# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Training runs of a network of a few weights: resuming, seeds, averages, what an epoch draws."""

from dataclasses import replace

from jrn_perception import networks
from jrn_perception.training.recipes import RECIPES
import pytest
from tiny import CLASSES, frame, MIXED, RECIPE, samples, SIZE, Tiny
import torch
from torch.utils.data import ConcatDataset, Dataset

module = pytest.importorskip('jrn_perception.training.run', reason="needs pip install '.[train]'")
Run, train = module.Run, module.train
DenseModule = pytest.importorskip('jrn_perception.training.modules.dense').DenseModule
Teacher = pytest.importorskip('jrn_perception.training.modules.dense').Teacher


def run(folder, recipe=RECIPE, seed=0, fit=None, extra=(), tasks=('depth', 'semantics'),
        teacher=None, frequencies=None, **arguments):
    fit = fit or samples([frame(i) for i in range(4)])
    return train(DenseModule(Tiny(seed, tasks), recipe, CLASSES, teacher, frequencies),
                 Run([fit, *extra], samples([frame(9)], augment=False), folder, **arguments))


def same(first, second):
    states = first.state_dict(), second.state_dict()
    return all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_a_run_learns(tmp_path):
    frames = [frame(i) for i in range(4)]
    for one in frames:
        one.depth[:] = 3
        one.labels[:] = 2
    recipe = replace(RECIPE, epochs=40, encoder_rate=0.05, decoder_rate=0.1)
    network = run(tmp_path, recipe, fit=samples(frames))
    maps = network(torch.zeros(1, 3, *SIZE))
    assert Tiny()(torch.zeros(1, 3, *SIZE)).depth.mean() < 1
    assert maps.depth.mean().item() == pytest.approx(3, abs=1)
    assert (maps.semantics.argmax(1) == 2).float().mean() > 0.9


@pytest.mark.parametrize('cuda, bf16, expected', [
    (True, False, 'bf16-mixed'), (False, True, 'bf16-mixed'), (False, False, '32-true')])
def test_bfloat16_is_for_machines_that_know_it(monkeypatch, tmp_path, cuda, bf16, expected):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: cuda)
    cpuinfo = tmp_path / 'cpuinfo'
    cpuinfo.write_text(f'flags : avx512f {"avx512_bf16" if bf16 else ""}\n')
    monkeypatch.setattr('jrn_perception.perception.backends.choice.CPUINFO', cpuinfo)
    assert module.precision() == expected


@pytest.mark.parametrize('tasks', [('depth',), ('semantics',), ('depth', 'semantics')])
def test_frames_with_one_annotation_train_any_network(tmp_path, tasks):
    fit = ConcatDataset([samples([f]) for f in MIXED])
    network = run(tmp_path, fit=fit, tasks=tasks)
    initial = Tiny(0, tasks)
    for name, value in network.state_dict().items():
        assert value.isfinite().all()
        assert not torch.equal(value, initial.state_dict()[name]), name


def test_the_same_seed_gives_the_same_weights(tmp_path):
    recipe = replace(RECIPE, colour_jitter=0.3)
    first, second = (run(tmp_path / name, recipe) for name in 'ab')
    assert same(first, second)
    assert not same(first, run(tmp_path / 'c', replace(recipe, seed=1)))


def test_training_starts_from_the_weights_of_the_network(tmp_path):
    recipe = replace(RECIPE, encoder_rate=1e-9, decoder_rate=1e-9)
    initial = torch.full((8, 3, 3, 3), 0.125)
    given = Tiny()
    given.encoder.weight.data = initial.clone()
    network = train(DenseModule(given, recipe, CLASSES), Run(
        [samples([frame(0), frame(1)])], samples([frame(9)], False), tmp_path))
    torch.testing.assert_close(network.encoder.weight.data, initial, atol=1e-5, rtol=0)
    torch.testing.assert_close(network.encoder.bias.data, Tiny().encoder.bias.data,
                               atol=1e-5, rtol=0)


def test_the_average_of_the_weights_is_returned(tmp_path):
    network = run(tmp_path, replace(RECIPE, epochs=2, ema_decay=0.9))
    state = torch.load(tmp_path / 'last.ckpt', weights_only=True)
    for name, value in network.state_dict().items():
        assert torch.equal(value, state['state_dict'][f'network.{name}'])
        assert not torch.equal(value, state['current_model_state'][f'network.{name}'])


def test_a_short_run_keeps_little_of_the_start():
    # Of 120 steps; with a constant decay it would be 55 %.
    update, average = module._average(0.995), torch.tensor(1.)
    for step in range(1, 120):
        average = update(average, torch.tensor(0.), torch.tensor(step))
    assert average < 1e-3
    # Later it is the recipe's.
    assert module._average(0.995)(torch.tensor(1.), torch.tensor(0.), torch.tensor(5000)) == 0.995


def test_large_gradients_are_clipped(tmp_path, monkeypatch):
    norms = {'computed': [], 'applied': []}
    step = torch.optim.AdamW.step

    def norm_of(optimiser):
        gradients = [p.grad for group in optimiser.param_groups for p in group['params']]
        return torch.cat([gradient.flatten() for gradient in gradients]).norm().item()

    def noted_step(optimiser, closure):
        def noted_closure():
            result = closure()
            norms['applied'].append(norm_of(optimiser))
            return result
        return step(optimiser, noted_closure)

    # Lightning calls this one before it clips.
    monkeypatch.setattr(DenseModule, 'on_before_optimizer_step', lambda self, optimiser: norms[
        'computed'].append(norm_of(optimiser)))
    monkeypatch.setattr(torch.optim.AdamW, 'step', noted_step)
    run(tmp_path, replace(RECIPE, depth_weight=1e4))
    assert len(norms['computed']) == len(norms['applied']) == 2
    assert min(norms['computed']) > 1000
    assert norms['applied'] == pytest.approx([10, 10], rel=1e-3)


class Fragile(Dataset):
    """Samples that are counted, and of which one can be read no more."""

    def __init__(self, breaks_at=None):
        self.inner = samples([frame(i) for i in range(4)])
        self.breaks_at, self.reads = breaks_at, 0
        self.seen = []

    def __len__(self):
        return 4

    def __getitem__(self, index):
        self.reads += 1
        if self.reads == self.breaks_at:
            raise OSError('the disk is gone')
        sample = self.inner[index]
        self.seen.append((index, float(sample['image'].float().mean())))
        return sample


def test_a_run_that_was_cut_off_goes_on_where_it_was(tmp_path):
    recipe = replace(RECIPE, epochs=4)
    broken = Fragile(breaks_at=11)
    with pytest.raises(OSError, match='the disk is gone'):
        run(tmp_path, recipe, fit=broken)
    state = torch.load(tmp_path / 'last.ckpt', weights_only=True)
    # Eight reads are two epochs; the third was cut off.
    assert (state['epoch'], state['global_step']) == (1, 4)
    sound = Fragile()
    network = run(tmp_path, recipe, fit=sound)
    assert sound.reads == 8
    # With views of its own: not with those that the run began with.
    assert not set(sound.seen) & set(broken.seen)
    state = torch.load(tmp_path / 'last.ckpt', weights_only=True)
    assert (state['epoch'], state['global_step']) == (3, 8)
    run(tmp_path / 'whole', recipe)
    whole = torch.load(tmp_path / 'whole' / 'last.ckpt', weights_only=True)
    assert state['lr_schedulers'] == whole['lr_schedulers'], 'the schedule goes on as well'
    assert torch.equal(network.encoder.weight, state['state_dict']['network.encoder.weight'])


@pytest.mark.parametrize('begun, asked', [(10, 4), (4, 10)])
def test_a_run_whose_rate_is_level_can_be_made_shorter_or_longer(tmp_path, begun, asked):
    with pytest.raises(OSError, match='the disk is gone'):
        run(tmp_path / 'a', replace(RECIPE, epochs=begun), fit=Fragile(breaks_at=15))
    state = torch.load(tmp_path / 'a' / 'last.ckpt', weights_only=True)
    assert state['epoch'] == 2
    network = run(tmp_path / 'a', replace(RECIPE, epochs=asked))
    state = torch.load(tmp_path / 'a' / 'last.ckpt', weights_only=True)
    assert state['epoch'] == asked - 1
    whole = run(tmp_path / 'b', replace(RECIPE, epochs=asked))
    other = torch.load(tmp_path / 'b' / 'last.ckpt', weights_only=True)
    assert state['lr_schedulers'] == other['lr_schedulers']
    assert type(network) is type(whole)


def test_a_run_whose_rate_has_fallen_cannot(tmp_path):
    run(tmp_path, replace(RECIPE, epochs=4))
    with pytest.raises(ValueError, match='another recipe'):
        run(tmp_path, replace(RECIPE, epochs=8))


def test_a_run_that_had_ended_returns_what_it_had(tmp_path):
    recipe = replace(RECIPE, epochs=2)
    first, again = run(tmp_path, recipe), Fragile()
    assert same(first, run(tmp_path, recipe, fit=again))
    assert again.reads == 0


@pytest.mark.parametrize('other', [
    {'recipe': replace(RECIPE, decoder_rate=0.5)}, {'recipe': replace(RECIPE, epochs=2)},
    {'recipe': replace(RECIPE, epochs=2, seed=1)},
    {'origin': {'start': 'b'}}])
def test_a_run_of_another_kind_is_not_gone_on_with(tmp_path, other):
    run(tmp_path, origin={'start': 'a'})
    arguments = {'origin': {'start': 'a'}} | other
    with pytest.raises(ValueError, match='last.ckpt is of a run with another recipe or made from'):
        run(tmp_path, **arguments)


def test_fewer_samples_than_a_batch_are_refused(tmp_path):
    with pytest.raises(ValueError, match='4 samples to train on are no batch of 5'):
        run(tmp_path, replace(RECIPE, batch_size=5))


def test_an_epoch_of_fewer_samples_than_a_batch_is_refused(tmp_path):
    with pytest.raises(ValueError, match='5 samples to train on are no batch of 6'):
        run(tmp_path, replace(RECIPE, batch_size=6, extra_share=0.2),
            extra=[samples([frame(i) for i in range(40)])])


def test_class_frequencies_have_a_say(tmp_path):
    frequencies = torch.tensor((0.7, 0.1, 0.1, 0.1))
    first, second = run(tmp_path / 'a'), run(tmp_path / 'b', frequencies=frequencies)
    assert not same(first, second)


def tensors_in(value):
    """Return every tensor somewhere inside of nested dicts and lists."""
    if isinstance(value, torch.Tensor):
        return [value]
    inner = value.values() if isinstance(value, dict) else value
    return [tensor for part in inner if isinstance(part, (dict, list, tuple, torch.Tensor))
            for tensor in tensors_in(part)]


def test_a_checkpoint_holds_nothing_of_the_teacher(tmp_path):
    teacher = Tiny(7)
    network = run(tmp_path, teacher=Teacher(teacher))
    kept = tensors_in(torch.load(tmp_path / 'last.ckpt', weights_only=True))
    assert any(torch.equal(network.encoder.weight, tensor) for tensor in kept)
    for value in teacher.parameters():
        assert not any(torch.equal(value, tensor) for tensor in kept)


def test_a_teacher_has_a_say_and_stays_as_it_is(tmp_path):
    teacher = Tiny(7)
    taught = run(tmp_path / 'a', teacher=Teacher(teacher))
    assert same(teacher, Tiny(7))
    assert not same(taught, run(tmp_path / 'b'))


def test_a_run_leaves_its_recipe_and_its_losses(tmp_path):
    run(tmp_path, replace(RECIPE, epochs=2))
    text = next(tmp_path.rglob('hparams.yaml')).read_text()
    assert 'decoder_rate: 0.02' in text and 'seed: 0' in text
    header, *rows = next(tmp_path.rglob('metrics.csv')).read_text().split()
    assert {'val/rms', 'val/mean_iou'} <= set(header.split(','))
    assert rows


def test_recipes_name_what_exists():
    assert set(RECIPES) == {'teacher', 'hydranet', 'depth', 'semantics', 'symbiosis',
                            'symbiosis_cityscapes', 'symbiosis_scannet', 'jrn'}
    for name, recipe in RECIPES.items():
        if name != 'jrn':
            assert networks.find(*recipe.network).variant == recipe.network[1]
            assert recipe.start == 'imagenet' or recipe.start in RECIPES
            assert all(side % 32 == 0 for side in recipe.input_size)


# --- what an epoch draws ------------------------------------------------------------------------

def drawn(first, extra, share, epochs=1, seed=0):
    """Return the indices of that many epochs; ``extra`` lists the sizes of further data sets."""
    torch.manual_seed(seed)
    sampler = module._sampler([range(count) for count in (first, *extra)],
                              replace(RECIPE, extra_share=share), seed)
    return [index for _ in range(epochs) for index in sampler]


def test_an_epoch_without_more_frames_takes_each_sample_once():
    for extra in ((), (0,)):
        assert sorted(drawn(20, extra, 0.25)) == list(range(20))


def test_an_epoch_without_more_frames_is_shuffled():
    orders = {tuple(drawn(20, (), 0.25, seed=seed)) for seed in range(3)} | {tuple(range(20))}
    assert len(orders) == 4


@pytest.mark.parametrize('share, length', [(0.25, 40), (0.5, 60), (0.1, 33)])
def test_an_epoch_has_room_for_all_of_the_first_and_the_share_of_the_others(share, length):
    assert len(drawn(30, (10, 20), share)) == length


@pytest.mark.parametrize('share', [0.25, 0.6])
def test_others_have_their_share_however_many_they_are(share):
    for extra in ((7,), (1000, 500)):
        found = torch.tensor(drawn(30, extra, share))
        assert (found >= 30).float().mean().item() == pytest.approx(share, abs=0.01)


def test_an_epoch_has_each_of_the_first_once_and_none_of_the_others_twice():
    # 45 of the 60 others.
    counts = torch.bincount(torch.tensor(drawn(30, (40, 20), 0.6)), minlength=90)
    assert (counts[:30] == 1).all()
    assert counts[30:].max() == 1 and counts[30:].sum() == 45
    # And where there are fewer than the share, each of them as often, or once more.
    counts = torch.bincount(torch.tensor(drawn(30, (10, 10), 0.6)), minlength=50)
    assert counts[30:].min() == 2 and counts[30:].max() == 3


def test_an_epoch_is_shuffled_and_draws_others_than_the_last():
    both = drawn(30, (40, 20), 0.25, epochs=2)
    first, second = both[:40], both[40:]
    assert first != sorted(first)
    assert {i for i in first if i >= 30} != {i for i in second if i >= 30}
    # Whatever else has drawn numbers in a process.
    assert drawn(30, (40, 20), 0.25, epochs=2) == both


def test_samples_of_all_data_sets_are_trained_on(tmp_path):
    first, second, third = Fragile(), Fragile(), Fragile()
    run(tmp_path, replace(RECIPE, epochs=5, extra_share=0.5), fit=first, extra=[second, third])
    assert first.reads and second.reads and third.reads
    assert first.reads + second.reads + third.reads == 5 * 8
    state = torch.load(tmp_path / 'last.ckpt', weights_only=True)
    assert state['global_step'] == 5 * 4


@pytest.mark.parametrize('share', [0., 1., -0.1, 1.5])
def test_a_share_that_leaves_one_side_nothing_is_refused(share):
    with pytest.raises(ValueError, match=f'extra_share {share}: more than 0 and less than 1'):
        drawn(30, (10,), share)
