# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""AffineMix, ClassMix and ColorAug: what moves, by how much, and what keeps its colours."""

from jrn_perception.labels import CITYSCAPES19, custom, NYU40, UNLABELLED
from jrn_perception.rooms.scenes import Scene
import pytest
import torch

mix = pytest.importorskip('jrn_perception.training.mix')
colour = pytest.importorskip(
    'jrn_perception.training.unlabelled.colour', reason="pip install '.[train]'")
SIZE = (48, 64)
CHAIR = NYU40.names.index('chair')
CENTRE = torch.tensor([[32., 24.], [32., 24.]])


def views(depth=4.):
    """Return a view with one chair of 16 x 8 pixels 2 m away, and an empty one."""
    image = torch.zeros(2, 3, *SIZE)
    labels = torch.zeros(2, *SIZE, dtype=torch.int64)
    metres = torch.full((2, *SIZE), depth)
    rows, columns = slice(20, 28), slice(20, 36)
    image[0, :, rows, columns], labels[0, rows, columns], metres[0, rows, columns] = 1., CHAIR, 2.
    weight = torch.tensor([0.25, 1.]).view(2, 1, 1).expand(2, *SIZE)
    return mix.Annotated(image, metres, labels, weight)


def moved(seeds, motion, given=None):
    """Return the second view after AffineMix, of the first seed for which something moved."""
    given = given or views()
    for seed in range(seeds):
        torch.manual_seed(seed)
        found = mix.move_instances(given, CENTRE, motion, 1.)
        if (found.labels[1] == CHAIR).any():
            return mix.Annotated(*(value[1] for value in found))
    return None


@pytest.mark.parametrize('scale', [0.5, 1., 2.])
def test_an_instance_is_scaled_about_the_principal_point_and_its_depth_divided(scale):
    found = moved(20, mix.Motion((CHAIR,), (scale, scale)), views(depth=9.))
    rows, columns = torch.nonzero(found.labels == CHAIR, as_tuple=True)
    edges = [columns.min(), columns.max() + 1, rows.min(), rows.max() + 1]
    expected = [32 + scale * (20 - 32), 32 + scale * (36 - 32), 24 + scale * (20 - 24),
                24 + scale * (28 - 24)]
    assert [float(edge) for edge in edges] == expected
    mask = found.labels == CHAIR
    assert mask.sum() == 16 * 8 * scale ** 2
    torch.testing.assert_close(found.depth[mask], torch.full((int(mask.sum()),), 2 / scale))
    assert (found.depth[~mask] == 9).all()
    assert (found.weight[mask] == 0.25).all() and (found.weight[~mask] == 1).all()
    assert found.image[:, mask].mean() > 0.8 and not found.image[:, 0].any()


def test_only_what_is_nearer_by_the_margin_is_covered():
    for depth, margin, covered in ((2.1, 0.03, True), (2.1, 0.1, False), (1.9, 0., False),
                                   (torch.nan, 0., False)):
        found = moved(20, mix.Motion((CHAIR,), (1., 1.), margin), views(depth))
        assert (found is not None) == covered, (depth, margin)


def test_what_is_small_fixed_or_would_leave_the_view_stays():
    still = {'small': mix.Motion((CHAIR,), (1., 1.), smallest=0.05),
             'fixed': mix.Motion((0,), (1., 1.))}
    assert all(moved(20, motion) is None for motion in still.values())
    far = views()._replace()
    torch.manual_seed(0)
    corner = torch.tensor([[0., 0.], [0., 0.]])
    for _ in range(20):
        result = mix.move_instances(far, corner, mix.Motion((CHAIR,), (2.5, 2.5)), 1.)
        assert torch.equal(result.labels[1], far.labels[1])


def test_each_region_is_an_instance_and_half_of_them_move():
    given = views()
    given.labels[0, 40:46, 2:20], given.depth[0, 40:46, 2:20] = CHAIR, 2.
    counts = {}
    for seed in range(60):
        torch.manual_seed(seed)
        found = mix.move_instances(given, CENTRE, mix.Motion((CHAIR,), (1., 1.)), 1.)
        both = (found.labels[1, 24, 24] == CHAIR).item(), (found.labels[1, 42, 6] == CHAIR).item()
        counts[both] = counts.get(both, 0) + 1
    assert set(counts) == {(False, False), (False, True), (True, False), (True, True)}
    assert min(counts.values()) >= 6


def test_a_share_of_zero_changes_nothing():
    given = views()
    for found in (mix.move_instances(given, CENTRE, mix.Motion((CHAIR,)), 0.),
                  mix.class_mix(given, 0.)):
        assert all(torch.equal(new, old) for new, old in zip(found, given))


def test_class_mix_pastes_whole_classes_wherever_they_are():
    given = views(depth=1.)  # Nearer than the chair.
    seen = set()
    for seed in range(20):
        torch.manual_seed(seed)
        found = mix.class_mix(given, 1.)
        chairs = int((found.labels[1] == CHAIR).sum())
        assert chairs in (0, 16 * 8)
        seen.add(chairs)
    assert seen == {0, 16 * 8}


def test_movable_classes():
    assert CHAIR in mix.movable(NYU40) and NYU40.names.index('wall') not in mix.movable(NYU40)
    assert [CITYSCAPES19.names[index] for index in mix.movable(CITYSCAPES19)] == [
        'person', 'rider', 'car', 'truck', 'bus', 'train', 'motorcycle', 'bicycle']
    assert mix.movable(custom(['pallet', 'rack'])) == (0, 1)


def test_groups_of_colours():
    groups = colour.colour_groups(NYU40)
    names = {name: int(groups[index]) for index, name in enumerate(NYU40.names)}
    examples = 'floor', 'wall', 'ceiling', 'sofa', 'lamp'
    assert [names[name] for name in examples] == list(range(5))
    assert groups[UNLABELLED] == groups[40] == colour.GROUPS
    assert colour.colour_groups(CITYSCAPES19)[:7].tolist() == [0, 1, 2, 3, 4, 0, 1]


def test_each_group_gets_its_own_colours():
    frame = Scene(3).render(0, *SIZE)
    image = torch.from_numpy(frame.rgb).permute(2, 0, 1)[None] / 255
    labels, calls = torch.from_numpy(frame.labels).long()[None], []

    def jitter(picture):
        calls.append(1)
        return picture + len(calls)

    groups = colour.colour_groups(NYU40)
    found = (colour.color_aug(image, labels, groups, jitter) - image)[0]
    inner = torch.nn.functional.max_pool2d(
        torch.nn.functional.one_hot(groups[labels], 6).permute(0, 3, 1, 2).float(), 5, 1, 2
    ).sum(1)[0] == 1
    assert len(calls) == colour.GROUPS + 1 and inner.any()
    torch.testing.assert_close(found[:, inner], (groups[labels][0][inner] + 1.).expand(3, -1))
    # Borders blend.
    assert found.min() >= 1 - 1e-5 and found.max() <= 6 + 1e-5
