# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Documents on the terminal: every cell as it is, numbers with the digits of their metric."""

import math

from jrn_perception.evaluation.reports.rows import number, percent, recording_tables
import pytest

tables = pytest.importorskip('jrn_perception.evaluation.reports.tables')

MISSING = float('nan')
RATE = {'messages': 3, 'seconds': 0.2, 'hz': 10.0,
        'period_s': {'mean': 0.1, 'deviation': 0.0, 'largest': 0.1}}
STAGES = {'stages_ms': {'inference': {
    'mean': 1.0, 'p50': 1.25, 'p95': 2.0, 'p99': MISSING, 'largest': 3.0}}}


def document(topic='/image', recording='walk', note=''):
    return {
        'network': {'architecture': 'jrn', 'variant': 'cat1'}, 'partial': False,
        'protocol': {'focal_correction': None, 'confidence': 0.5},
        'source': {'recording': recording, 'frames': 3, 'image': {'topic': topic},
                   'damaged': {'count': 0}, 'with_depth': 0, 'with_labels': 0},
        'drift': {'labels': {'mean': 0.125, 'largest': 0.5, 'pairs': 2},
                  'depth': {'mean': None, 'largest': None, 'pairs': 0}},
        'depth': {'invalid_share': 0.0625}, 'rates': {topic: RATE}, 'notes': [note] * bool(note)}


def printed(capsys, *arguments):
    tables.print_bag(*arguments, tables.console())
    return capsys.readouterr().out


def test_numbers_as_text():
    assert [number(value) for value in (1.0, None, math.nan)] == ['1.0000', '–', '–']
    assert (number(1.005, 2, '+'), number(-1, 2, '+')) == ('+1.00', '-1.00')
    assert (percent(0.12345), percent(None)) == ('12.35 %', '–')


def test_the_tables_of_a_recording_without_ground_truth():
    found = recording_tables(document(), STAGES)
    assert [table.title for table in found] == ['without ground truth', 'topic', 'latency (ms)']
    assert found[0].rows == [['labels that change, frame to frame', '12.50 %', '50.00 %'],
                             ['pixels without valid depth', '6.25 %', '']]
    assert found[1].rows == [['/image', '3', '10.00', '0.1000', '0.0000', '0.1000']]
    assert found[2].rows == [['inference', '1.00', '1.25', '2.00', '–', '3.00']]


def test_a_recording_is_printed_with_its_notes(capsys):
    text = printed(capsys, document(note='a note'), STAGES)
    assert text.startswith('jrn cat1 on walk: 3 frames of /image, 0 damaged, 0 with depth, 0 with '
                           'labels\n')
    assert text.endswith('note: a note\n')
    for word in ('labels that change', 'Hz', 'p95', '12.50 %'):
        assert word in text


def test_brackets_in_names_are_no_markup(capsys):
    text = printed(capsys, document('/image[red]', 'walk[bold]', 'a [note]'), STAGES)
    assert 'on walk[bold]: 3 frames of /image[red],' in text and 'note: a [note]' in text
    assert text.count('/image[red]') == 2
