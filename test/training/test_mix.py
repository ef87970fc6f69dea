# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Mixed views: what moves, where to, and what stays as it was."""

from jrn_perception.labels import UNLABELLED
import pytest
import torch

affine_mix = pytest.importorskip('jrn_perception.training.mix').affine_mix
BATCH, CLASSES, SIZE = 6, 40, (24, 32)


def views(seed=0):
    """Return a batch whose image, depth and labels tell which view each pixel is from."""
    generator = torch.Generator().manual_seed(seed)
    view = torch.arange(BATCH).view(-1, 1, 1).expand(BATCH, *SIZE)
    labels = torch.randint(0, CLASSES, (BATCH, *SIZE), generator=generator)
    # Whole centimetres and the view in the third decimal place.
    depth = torch.randint(100, 400, (BATCH, *SIZE), generator=generator) / 100 + view / 1000
    return view[:, None].float().repeat(1, 3, 1, 1), depth, labels


def test_things_move_with_their_picture_depth_and_label_to_where_they_are_nearest():
    torch.manual_seed(1)
    image, depth, labels = views()
    mixed, near, classes = affine_mix(image, depth, labels, 1.)
    source = mixed[:, 0].long()
    own = torch.arange(BATCH).view(-1, 1, 1)
    moved = source != own
    # From the view before, and nothing else.
    assert torch.equal(source[moved], ((own - 1) % BATCH).expand_as(source)[moved])
    assert torch.equal(near[moved], depth.roll(1, 0)[moved])
    assert torch.equal(classes[moved], labels.roll(1, 0)[moved])
    assert torch.equal(near[~moved], depth[~moved])
    assert torch.equal(classes[~moved], labels[~moved])
    assert (near[moved] < depth[moved]).all()
    # About half of the classes, and each of them wherever it is nearer.
    nearer = depth.roll(1, 0) < depth
    for index in range(BATCH):
        before = labels[index - 1]
        taken = {int(label) for label in before[moved[index]]}
        assert 10 <= len(taken) <= 30
        chosen = torch.isin(before, torch.tensor(sorted(taken)))
        assert torch.equal(moved[index], chosen & nearer[index])


def test_the_share_of_views_is_what_was_asked():
    torch.manual_seed(2)
    batch = views()
    assert all(torch.equal(a, b) for a, b in zip(affine_mix(*batch, 0.), batch))
    changed = [(affine_mix(*batch, 0.25)[0] != batch[0]).flatten(1).any(1).sum().item()
               for _ in range(100)]
    assert sum(changed) == pytest.approx(0.25 * 100 * BATCH, rel=0.25)


@pytest.mark.parametrize('missing', ['depth', 'labels'])
def test_what_is_not_annotated_neither_moves_nor_is_covered(missing):
    torch.manual_seed(3)
    image, depth, labels = views()
    if missing == 'depth':
        depth[2] = torch.nan
    else:
        labels[2] = UNLABELLED
    mixed, near, _ = affine_mix(image, depth, labels, 1.)
    # View 3 takes nothing from view 2; nothing can be known to be in front of what has no depth.
    assert (mixed[3] == 3).all()
    assert (mixed[2] == 2).all() == (missing == 'depth')
    assert (near.isnan().flatten(1).any(1) == depth.isnan().flatten(1).any(1)).all()
    assert (mixed[4] != 4).any()
