# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Which topics of a recording are pictures, depth and labels, and the names of the labels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from jrn_perception.messages import label_info
from jrn_perception.messages.images import BadImage
from jrn_perception.messages.maps import to_depth, to_labels
from jrn_perception.recordings.reader import COMPRESSED, IMAGE, Recording, RecordingError, Topic

if TYPE_CHECKING:
    from jrn_perception.evaluation.recordings.session import Request


def topics_of(recording: Recording, request: Request) -> dict[str, Topic]:
    """Return the topics of a request by role: image, and depth and labels if it names them."""
    named = [name for name in (request.depth, request.labels) if name]
    predicted = request.predicted
    if predicted is None:
        topics = {'image': recording.image_topic(request.image, named)}
    else:
        # Predictions lead instead of pictures.
        topics = {'image': map_topic(recording, predicted.depth or predicted.labels,
                                     'a prediction')}
        if predicted.depth and predicted.labels:
            topics['predicted_labels'] = map_topic(recording, predicted.labels, 'a prediction')
    for role, name in (('depth', request.depth), ('labels', request.labels)):
        if name:
            topics[role] = map_topic(recording, name, role)
    if len({topic.name for topic in topics.values()}) < len(topics):
        raise ValueError(f'{recording.path}: pictures, depth and labels need a topic each')
    if request.range_topic:
        # The true depth may be the range image as well.
        topics['range'] = recording.topic(request.range_topic)
    return topics


def map_topic(recording: Recording, name: str, role: str) -> Topic:
    """Return the topic called ``name``; RecordingError if it has no images."""
    topic = recording.topic(name)
    if topic.msgtype not in (IMAGE, COMPRESSED):
        raise RecordingError(f'{recording.path}: {name} is {topic.msgtype}; {role} is an Image or '
                             'CompressedImage')
    return topic


def maps_of(recording: Recording, role: str) -> list[str]:
    """Return the topics whose first messages could be true depth or labels."""
    if role == 'labels' and not recording.of_type(label_info.LABEL_INFO):
        return []
    found = []
    for topic in recording.of_type(IMAGE, COMPRESSED):
        try:
            msg = recording.decode(recording.first(topic))
            (to_depth if role == 'depth' else to_labels)(msg)
        except (BadImage, RecordingError):
            continue
        found.append(topic.name)
    return found


def class_names(recording: Recording, labels: Topic, label_map: Path | None) -> dict[int, str]:
    """
    Return the names of a label topic's ids: from the file, else from the recording's LabelInfo.

    The LabelInfo is in the topic's namespace or above, or is the recording's only LabelInfo.
    Raises RecordingError.
    """
    if label_map is not None:
        return label_info.read_names(label_map)
    infos = {topic.name: topic for topic in recording.of_type(label_info.LABEL_INFO)}
    namespace, found = labels.name, None
    while namespace and found is None:
        namespace = namespace.rpartition('/')[0]
        found = infos.get(f'{namespace}/label_info')
    if found is None and len(infos) == 1:
        found = next(iter(infos.values()))
    if found is None:
        raise RecordingError(f'{recording.path}: {len(infos) or "no"} topics of LabelInfo that '
                             f'could belong to {labels.name}: name a file with --label-map')
    return label_info.names_of(recording.first(found).data)
