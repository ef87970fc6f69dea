# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Training with few labels: the teacher, the ramp, and what each term learns from."""

from dataclasses import replace
import math

from jrn_perception.labels import custom, UNLABELLED
from jrn_perception.training.recipes import SymbiosisRecipe
import pytest
from tiny import batch_of, CLASSES, frame, RECIPE, SIZE, Tiny
import torch

semi = pytest.importorskip(
    'jrn_perception.training.unlabelled.semi', reason="needs pip install '.[train]'")

LABELS = custom([f'class {index}' for index in range(CLASSES)])
QUIET = {'class_mix': 0., 'affine_mix': 0., 'color_aug': 0., 'ramp_up': 0., 'confidence': 0.}


class Trainer:
    """What a module asks of Lightning's trainer."""

    estimated_stepping_batches = 100


def module(monkeypatch, network=None, **changes):
    recipe = SymbiosisRecipe(**{**vars(RECIPE), **QUIET, **changes})
    found = semi.SymbiosisModule(network or Tiny(), recipe, LABELS)
    found.blur = torch.nn.Identity()
    monkeypatch.setattr(semi.SymbiosisModule, 'trainer', Trainer, raising=False)
    monkeypatch.setattr(semi.SymbiosisModule, 'global_step', 0, raising=False)
    monkeypatch.setattr(found, 'log', lambda *a, **k: None)
    monkeypatch.setattr(found, 'log_dict', lambda *a, **k: None)
    return found.train()


def test_the_ramp_rises_to_one():
    assert semi.ramp(0, 50) == pytest.approx(math.exp(-5))
    assert semi.ramp(25, 50) == pytest.approx(math.exp(-1.25))
    assert semi.ramp(50, 50) == semi.ramp(80, 50) == semi.ramp(0, 0) == 1


def test_the_teacher_follows_the_network(monkeypatch):
    found = module(monkeypatch)
    teacher, student = (network.encoder.weight for network in (found.mean_teacher, found.network))
    start = teacher.clone()
    with torch.no_grad():
        student += 1
    found.update_teacher(1)
    torch.testing.assert_close(teacher, start + 0.5)
    found.update_teacher(1000)
    torch.testing.assert_close(teacher, start + 0.505)
    assert not found.mean_teacher.training and not teacher.requires_grad
    assert found.network.training


def test_the_network_learns_the_teachers_labels_where_the_teacher_is_sure(monkeypatch):
    batch = batch_of(frame(0, labels=False), frame(1, labels=False))
    losses = {}
    for confidence in (0., 0.3, 1.1):
        found = module(monkeypatch, unlabelled_depth=0., confidence=confidence)
        losses[confidence] = found.unlabelled_loss(batch)
    with torch.no_grad():
        logits = found.network(semi.normalise(batch['image'].float() / 255)).semantics
    target = logits.argmax(1)
    every = torch.nn.functional.cross_entropy(logits, target, reduction='none').mean((1, 2))
    sure = (logits.softmax(1).amax(1) >= 0.3).float().mean((1, 2))
    assert 0 < sure.mean() < 1
    assert losses[0.].item() == pytest.approx(every.mean().item(), rel=1e-4)
    assert losses[0.3].item() == pytest.approx((sure * every).mean().item(), rel=1e-4)
    assert losses[1.1] == 0


def test_no_gradient_reaches_the_teacher_and_no_true_label_is_used(monkeypatch):
    found = module(monkeypatch)
    batch = batch_of(frame(0), frame(1))
    loss = found.unlabelled_loss(batch)
    other = found.unlabelled_loss({**batch, 'labels': torch.full((2, *SIZE), UNLABELLED)})
    assert loss.item() == pytest.approx(other.item(), rel=1e-6)
    loss.backward()
    assert all(parameter.grad is None for parameter in found.mean_teacher.parameters())
    assert all(parameter.grad is not None for parameter in found.network.parameters())


def test_annotated_depth_teaches_and_missing_depth_does_not(monkeypatch):
    found = module(monkeypatch, consistency_weight=0.)
    assert found.unlabelled_loss(batch_of(frame(0), frame(1))) > 0
    assert found.unlabelled_loss(batch_of(frame(0, False), frame(1, False))) == 0


@pytest.mark.parametrize('part, seen', [('class_mix', 'semantics'), ('affine_mix', 'semantics'),
                                        ('color_aug', 'depth')])
def test_each_augmentation_is_for_its_task_and_can_be_switched_off(monkeypatch, part, seen):
    pictures = []

    class Watched(Tiny):

        def forward(self, image):
            if self.training:
                pictures.append(image.detach())
            return super().forward(image)

    batch = batch_of(frame(0, labels=False), frame(1, labels=False))
    batch['depth'] = torch.stack((torch.full(SIZE, 1.), torch.full(SIZE, 4.)))
    batch['image'] = torch.stack((torch.full((3, *SIZE), 40), torch.full((3, *SIZE), 200)))
    plain = semi.normalise(batch['image'].float() / 255)
    for share in (0., 1.):
        pictures.clear()
        torch.manual_seed(0)
        found = module(monkeypatch, Watched(), **{part: share})
        if part == 'color_aug':
            found.each_colour.forward = lambda image: 0.5 * image
        else:
            found.motion = replace(found.motion, zoom=(1., 1.), smallest=0.)
        for _ in range(20):
            found.unlabelled_loss(batch)
        changed = {task: any(not torch.equal(picture, plain) for picture in pictures[offset::2])
                   for offset, task in enumerate(('semantics', 'depth'))}
        assert changed == {task: bool(share) and task == seen for task in changed}


def test_the_attention_has_its_own_rate_and_none_at_zero(monkeypatch):
    from jrn_perception.networks.symbiosis import SymbiosisNetwork
    for rate in (0.25, 0.):
        found = module(monkeypatch, SymbiosisNetwork(CLASSES), attention_rate=rate,
                       video_weight=1.)
        groups = found.parameter_groups()
        members = [{id(p) for p in group['params']} for group in groups]
        attention = {id(p) for p in found.network.attention.parameters()}
        assert [group['lr'] for group in groups if {id(p) for p in group['params']} == attention
                ] == ([0.25] if rate else [])
        assert not any(a & b for i, a in enumerate(members) for b in members[i + 1:])
        learning = {id(p) for p in found.network.parameters() if p.requires_grad}
        learning |= {id(p) for p in found.pose.parameters()}
        assert set.union(*members) == learning


def test_a_batch_of_labelled_frames_alone_is_a_step_of_the_usual_module(monkeypatch):
    found = module(monkeypatch)
    monkeypatch.setattr(semi.SymbiosisModule, 'current_epoch', 0, raising=False)
    batch = batch_of(frame(0), frame(1))
    alone = found.training_step(batch, 0)
    both = found.training_step({'labelled': batch, 'unlabelled': batch}, 0)
    extra = found.unlabelled_loss(batch)
    assert both.item() == pytest.approx((alone + extra).item(), rel=1e-5)
