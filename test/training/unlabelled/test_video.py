# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Depth from video: neighbours seen through depth and motion, and what does not count."""

from jrn_perception.rooms.scenes import Scene
from jrn_perception.sources.sample import write_sample
from jrn_perception.training.views import Augmentation
import pytest
import torch

video = pytest.importorskip(
    'jrn_perception.training.unlabelled.video', reason="pip install '.[train]'")
clips = pytest.importorskip('jrn_perception.training.unlabelled.clips')

SIZE = (96, 128)


class Walk(list):
    """A drawn walk with depth and poses, whose neighbours are the frames beside."""

    labels = None

    def neighbours(self, index, step):
        return tuple(self[place] if 0 <= place < len(self) else None
                     for place in (index - step, index + step))


@pytest.fixture(scope='module')
def walk():
    scene = Scene(5)
    return Walk(scene.render(index, *SIZE) for index in range(3))


def batch_of(views, index=1):
    return {name: value[None] for name, value in views[index].items()}


def loss_of(batch, depth, transforms=None):
    others = batch['neighbours'].float() / 255
    return video.video_loss(depth, batch['image'].float() / 255, others, batch['known'],
                            batch['projection'],
                            batch['transforms'] if transforms is None else transforms).item()


@pytest.mark.parametrize('seed', range(4))
def test_the_true_depth_and_motion_explain_the_neighbours_in_every_window(walk, seed):
    torch.manual_seed(seed)
    views = clips.VideoViews(walk, SIZE, Augmentation((80, 96), (0.9, 1.6)),
                             focal_length=(90., 95.))
    batch = batch_of(views)
    depth = batch['depth'].nan_to_num(3.)
    right = loss_of(batch, depth)
    assert batch['known'].all() and right < 0.06
    assert right < 0.8 * loss_of(batch, 1.3 * depth)
    assert right < 0.8 * loss_of(batch, depth / 1.3)
    mirrored = batch['transforms'].clone()
    mirrored[..., 0, 3] *= -1
    assert right < 0.9 * loss_of(batch, depth, mirrored)


def test_warping_follows_the_pinhole_camera():
    """A plane 2 m away, seen from 0.1 m to the right, moves by f / 20 = 5 pixels to the left."""
    matrix = torch.tensor([[[100., 0., 16.], [0., 100., 12.], [0., 0., 1.]]])
    transform = torch.eye(4)[None].clone()
    transform[0, 0, 3] = -0.1
    other = torch.rand(1, 3, 24, 32)
    warped, visible = video.warp(other, torch.full((1, 24, 32), 2.), matrix, transform)
    torch.testing.assert_close(warped[..., 5:], other[..., :-5], atol=1e-4, rtol=0)
    assert visible[..., 5:].all() and not visible[..., :5].any()


def test_pixels_without_motion_do_not_count():
    picture = torch.rand(1, 3, 24, 32)
    matrix = torch.tensor([[[100., 0., 16.], [0., 100., 12.], [0., 0., 1.]]])
    moved = torch.eye(4).repeat(1, 2, 1, 1)
    moved[..., 0, 3] = 0.1
    depth = torch.full((1, 24, 32), 2., requires_grad=True)
    loss = video.video_loss(depth, picture, picture[:, None].repeat(1, 2, 1, 1, 1),
                            torch.ones(1, 2, dtype=torch.bool), matrix, moved)
    assert loss == 0


def test_unknown_cameras_and_neighbours_give_neither_loss_nor_nan():
    depth = torch.full((2, 24, 32), 2., requires_grad=True)
    pictures = torch.rand(2, 3, 24, 32), torch.rand(2, 2, 3, 24, 32)
    known = torch.tensor([[False, False], [False, True]])
    projection = torch.full((2, 3, 3), torch.nan)
    projection[1] = torch.tensor([[100., 0., 16.], [0., 100., 12.], [0., 0., 1.]])
    transforms = torch.full((2, 2, 4, 4), torch.nan)
    transforms[1, 1] = torch.eye(4)
    transforms[1, 1, 0, 3] = 0.1
    loss = video.video_loss(depth, *pictures, known, projection, transforms)
    loss.backward()
    assert loss > 0 and depth.grad.isfinite().all() and (depth.grad[0] == 0).all()
    nothing = video.video_loss(depth, *pictures, torch.zeros_like(known), projection, transforms)
    assert nothing == 0


def test_the_camera_does_not_move_at_first_and_learns_to():
    network = video.PoseNetwork()
    images = torch.rand(2, 2, 3, 32, 32)
    matrices = network(*images)
    torch.testing.assert_close(matrices, torch.eye(4).repeat(2, 1, 1))
    matrices[:, 0, 3].sum().backward()
    assert network.predict.bias.grad[3] > 0 and network.predict.bias.grad[4] == 0
    assert sum(parameter.numel() for parameter in network.parameters()) == 394_582


def test_smooth_depth_costs_less_unless_the_picture_has_an_edge():
    picture = torch.zeros(1, 3, 16, 16)
    flat, step = torch.full((1, 16, 16), 2.), torch.full((1, 16, 16), 2.)
    step[..., 8:] = 4.
    assert video.smoothness(flat, picture) == 0
    plain = video.smoothness(step, picture)
    picture[..., 8:] = 1.
    assert 0 < video.smoothness(step, picture) < 0.5 * plain


def test_a_recording_is_a_clip_with_cameras(tmp_path):
    pytest.importorskip('rosbags', reason='rosbags is not installed')
    write_sample(tmp_path / 'walk', 4, size=(60, 80))
    clip = clips.Clip(str(tmp_path / 'walk'), (30, 40))
    assert len(clip) == 4 and clip[0].rgb.shape == (30, 40, 3)
    assert clip[0].focal_length[0] == pytest.approx(518.86 * 40 / 640, rel=1e-4)
    before, after = clip.neighbours(0, 1)
    assert before is None and after is clip[1]
    views = clips.VideoViews(clip, (30, 40), step=2)
    assert views[1]['known'].tolist() == [False, True]
    assert views[1]['transforms'].isnan().all()


def test_pictures_without_a_camera_are_no_clip(tmp_path):
    import cv2
    for index in range(3):
        cv2.imwrite(str(tmp_path / f'{index}.png'), Scene(1).render(0, 48, 64).rgb)
    with pytest.raises(ValueError, match='has no calibrated camera'):
        clips.Clip(str(tmp_path), (48, 64))


def test_the_depth_of_unlabelled_frames_counts_inside_their_region_and_labels_never():
    frames = [Scene(1).render(0, 48, 64)]
    whole, part = (clips.Unlabelled(frames, region) for region in (
        clips.WHOLE, (slice(8, 40), slice(None))))
    assert whole[0].labels is None and frames[0].labels is not None
    samples = [clips.VideoViews(each, (48, 64), region=each.region)[0] for each in (whole, part)]
    assert (samples[0]['labels'] == 255).all()
    assert samples[0]['depth'].isfinite().all()
    assert samples[1]['depth'].isfinite().sum() == 32 * 64
    assert not samples[0]['known'].any()


def test_depth_is_found_by_descending_the_loss(walk):
    batch = batch_of(clips.VideoViews(walk, SIZE))
    true = batch['depth'].nan_to_num(3.)
    scale = torch.tensor(0.35, requires_grad=True)  # Of the logarithm: 1.42 times too far.
    optimiser = torch.optim.Adam([scale], 0.02)
    for _ in range(40):
        optimiser.zero_grad()
        video.video_loss(true * scale.exp(), batch['image'].float() / 255,
                         batch['neighbours'].float() / 255, batch['known'], batch['projection'],
                         batch['transforms']).backward()
        optimiser.step()
    assert abs(scale.item()) < 0.08
