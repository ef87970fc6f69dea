# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Procedural rooms: what is said of their depth and labels is true to the pixel."""

from jrn_perception.labels import NYU40
from jrn_perception.rooms.primitives import Geometry
from jrn_perception.rooms.scenes import camera_matrix, Scene, scenes
import numpy as np
import pytest


@pytest.fixture(scope='module')
def scene(room):
    return room(3)


@pytest.fixture(scope='module')
def rooms(room):
    return [room(seed) for seed in range(20, 25)]


def to_world(scene, frame, time):
    """Return the world points (H, W, 3) of a frame from its depth and camera matrix alone."""
    v, u = np.mgrid[:frame.depth.shape[0], :frame.depth.shape[1]]
    rays = np.stack((u, v, np.ones_like(u)), -1) @ np.linalg.inv(frame.camera_matrix).T
    pose = scene.pose(time)
    return pose.position + (rays * frame.depth[..., None].astype(float)) @ pose.rotation


def distances(box, points):
    """Return the signed distances of points (n, 3) from a box, negative inside."""
    cos, sin = np.cos(box.yaw), np.sin(box.yaw)
    away = points - box.centre
    own = np.stack((cos * away[:, 0] + sin * away[:, 1], cos * away[:, 1] - sin * away[:, 0],
                    away[:, 2]), 1)
    beyond = np.abs(own) - box.half
    return np.linalg.norm(beyond.clip(0), axis=1) + np.minimum(beyond.max(1), 0)


def test_same_seed_time_and_size_give_the_same_bytes(scene):
    scene.render(0.7, 120, 160)
    again = Scene(3)
    for time in (0.0, 1.2):
        one, two = scene.render(time, 120, 160), again.render(time, 120, 160)
        assert one.name == two.name and one.stamp_ns == two.stamp_ns == round(time * 1e9)
        for name in ('rgb', 'depth', 'labels', 'camera_matrix'):
            assert getattr(one, name).tobytes() == getattr(two, name).tobytes()
    assert one.name == 'scene-3@1.20s'
    assert not np.array_equal(one.rgb, scene.render(0.0, 120, 160).rgb)


def test_arrays_have_the_form_that_a_frame_promises(scene):
    frame = scene.render()
    assert frame.rgb.shape == (480, 640, 3) and frame.depth.shape == frame.labels.shape
    assert frame.rgb.dtype == frame.labels.dtype == np.uint8 and frame.depth.dtype == np.float32
    for array in (frame.rgb, frame.depth, frame.labels):
        assert array.flags.c_contiguous
    np.testing.assert_allclose(
        frame.camera_matrix, ((518.86, 0, 325.58), (0, 519.47, 253.74), (0, 0, 1)))


def test_floor_depth_follows_from_camera_height_and_pitch(scene):
    frame = scene.render(2.0)
    position, rotation = scene.pose(2.0)
    floor = frame.labels == NYU40.names.index('floor')
    assert floor.sum() > 1000
    v, u = np.nonzero(floor)
    fall = -(rotation[2, 2] + rotation[0, 2] * (u - 325.58) / 518.86
             + rotation[1, 2] * (v - 253.74) / 519.47)
    np.testing.assert_allclose(frame.depth[floor], position[2] / fall, rtol=3e-6)


def test_every_pixel_lies_on_a_surface_of_its_class_and_nothing_is_before_it(rooms):
    for scene in rooms:
        frame = scene.render(0.5, 60, 81)
        points = to_world(scene, frame, 0.5).reshape(-1, 3)
        labels = frame.labels.ravel()
        room, *others = scene.boxes
        inside = -distances(room, points)
        fits = np.abs(inside) < 2e-5
        for plane, name in ((points[:, 2], 'floor'), (scene.size[2] - points[:, 2], 'ceiling')):
            of_class = labels == NYU40.names.index(name)
            np.testing.assert_allclose(plane[of_class], 0, atol=2e-5)
        at_wall = np.minimum(points, scene.size - points)[:, :2].min(1) < 2e-5
        fits &= np.where(at_wall, labels == room.label, True)
        for box in others:
            fits |= (np.abs(distances(box, points)) < 2e-5) & (labels == box.label)
        assert fits.all()
        eye = scene.pose(0.5).position
        for part in np.linspace(0.02, 0.98, 25):
            between = eye + part * (points[::7] - eye)
            assert (distances(room, between) < 0).all()
            for box in others:
                assert distances(box, between).min() > -2e-5, box


def test_rooms_look_like_rooms(rooms):
    frames = [scene.render(0.0, 120, 160) for scene in rooms]
    for frame in frames:
        assert frame.labels.max() < len(NYU40)
        assert len(np.unique(frame.labels)) >= 5
        share = np.bincount(frame.labels.ravel(), minlength=len(NYU40)) / frame.labels.size
        assert share[NYU40.names.index('wall')] < 0.8
        assert 0.5 < frame.depth.min() and frame.depth.max() < 7.5
        assert 1.2 < np.median(frame.depth) < 4.5
        # Neither black nor burnt out: the means of NYU-Depth v2's pictures lie about 110 +- 27.
        assert 70 < frame.rgb.mean() < 160 and frame.rgb.std() > 25
    means = {frame.rgb.mean() for frame in frames}
    assert len(means) == len(frames)


def test_picture_depth_and_labels_share_their_edges(rooms):
    sharper = []
    for scene in rooms:
        frame = scene.render(0.0, 240, 320)
        jump = np.abs(np.diff(frame.depth, axis=1)) > 0.1
        jump |= np.diff(frame.labels.astype(int), axis=1) != 0
        contrast = np.abs(np.diff(frame.rgb.astype(float), axis=1)).sum(-1)
        at = [contrast[:, 8:-8][np.roll(jump, shift, axis=1)[:, 8:-8]].mean()
              for shift in range(-4, 5)]
        assert np.argmax(at) == 4, at
        sharper.append(at[4] / np.mean((at[0], at[-1])))
    assert np.mean(sharper) > 1.5


def test_outlines_are_mixed_by_the_area_that_each_face_fills(rooms):
    fine, height, width = 5, 96, 128
    for scene in rooms:
        pose, geometry = scene.pose(0.0), Geometry(scene.boxes)
        faces = geometry.seen(pose, camera_matrix(height, width), height, width).faces
        rows, columns, share = geometry.coverage(pose, camera_matrix(height, width), faces)
        np.testing.assert_allclose(share.sum(0), 1)
        around = np.pad(faces, 1, 'edge')
        others = (around[:-2, 1:-1], around[2:, 1:-1], around[1:-1, :-2], around[1:-1, 2:])
        outline = np.zeros(faces.shape, bool)
        outline[rows[0], columns[0]] = True
        np.testing.assert_array_equal(outline, np.any([side != faces for side in others], axis=0))
        size = height * fine, width * fine
        parts = geometry.seen(pose, camera_matrix(*size), *size).faces
        parts = parts.reshape(height, fine, width, fine).swapaxes(1, 2)[rows[0], columns[0]]
        own = faces[rows[0], columns[0]]
        area = (parts == own[:, None, None]).mean((1, 2))
        drawn = (share * (faces[rows, columns] == own)).sum(0)
        # Without mixing, every pixel would show its own face only.
        error, stairs = np.abs(drawn - area).mean(), np.abs(1 - area).mean()
        assert stairs > 0.12 and error < 0.45 * stairs
        assert abs(drawn.mean() - area.mean()) < 0.04


@pytest.mark.parametrize('height, width', [(479, 641), (31, 57), (240, 320)])
def test_intrinsics_scale_with_the_size_and_the_view_stays(scene, height, width):
    frame, full = scene.render(1.0, height, width), scene.render(1.0)
    assert frame.rgb.shape == (height, width, 3)
    matrix = frame.camera_matrix
    np.testing.assert_allclose(
        (matrix[0, 0] / width, matrix[1, 1] / height), (518.86 / 640, 519.47 / 480))
    np.testing.assert_allclose(
        ((matrix[0, 2] + 0.5) / width, (matrix[1, 2] + 0.5) / height),
        (326.08 / 640, 254.24 / 480))
    rows = ((np.arange(height) + 0.5) * 480 / height).astype(int)
    columns = ((np.arange(width) + 0.5) * 640 / width).astype(int)
    assert (full.labels[np.ix_(rows, columns)] == frame.labels).mean() > 0.94


def test_camera_walks_smoothly_and_never_through_anything(rooms):
    for scene in rooms:
        poses = [scene.pose(0.1 * k) for k in range(101)]
        positions = np.array([pose.position for pose in poses])
        assert distances(scene.boxes[0], positions).max() < -0.25
        assert min(distances(box, positions).min() for box in scene.boxes[1:]) > 0.2
        steps = np.linalg.norm(np.diff(positions, axis=0), axis=1)
        assert steps.min() > 0 and steps.max() < 0.05
        for one, two in zip(poses, poses[1:]):
            np.testing.assert_allclose(two.rotation @ two.rotation.T, np.eye(3), atol=1e-9)
            assert np.linalg.det(two.rotation) == pytest.approx(1)
            turn = np.trace(one.rotation.T @ two.rotation)
            assert 0 < np.degrees(np.arccos(min(1, (turn - 1) / 2))) < 2.5
        assert positions[:, 2].min() > 1.0 and positions[:, 2].max() < 1.6


def test_successive_frames_change_slightly(scene):
    frames = [scene.render(0.1 * k, 120, 160) for k in range(6)]
    for one, two in zip(frames, frames[1:]):
        assert 0 < np.abs(one.depth - two.depth).mean() < 0.1
        assert 0.8 < (one.labels == two.labels).mean() < 1
        assert np.abs(one.rgb.astype(int) - two.rgb).mean() < 25


def test_scenes_are_different_rooms():
    frames = list(scenes(3, seed=7, height=48, width=64))
    assert [frame.name for frame in frames] == [f'scene-{k}@0.00s' for k in (7, 8, 9)]
    assert frames[0].rgb.tobytes() == Scene(7).render(0.0, 48, 64).rgb.tobytes()
    assert len({frame.depth.tobytes() for frame in frames}) == 3


def test_negative_time_is_refused(scene):
    with pytest.raises(ValueError, match='negative'):
        scene.render(-0.1)
