# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The HTML report of a recording: text from outside is escaped, nothing is loaded."""

from dataclasses import replace
from html.parser import HTMLParser

from jrn_perception.evaluation.recordings.bag import evaluate_bag
from jrn_perception.evaluation.recordings.session import Request
from jrn_perception.evaluation.reports.bag_document import bag_document, timings
from jrn_perception.evaluation.reports.rows import headline, recording_tables
from jrn_perception.labels import LabelSet
from jrn_perception.sources import sample
import pytest

pytest.importorskip('rosbags.rosbag2')
pytest.importorskip('jinja2')
pytest.importorskip('matplotlib')
write_html = pytest.importorskip('jrn_perception.evaluation.reports.page').write_html

EVIL = '<script>alert("1")</script>'
VOID = {'meta', 'img'}


class Page(HTMLParser):
    """The elements of a page, its text, and a check that all elements are closed."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.text, self._open = [], [], []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if data.strip():
            self.text.append(data.strip())


@pytest.fixture(scope='module')
def evaluated(perception, tmp_path_factory):
    path = tmp_path_factory.mktemp('bag') / 'sample'
    sample.write_sample(path, 3, size=(96, 128))
    evaluation = evaluate_bag(perception, path, Request(
        depth=sample.DEPTH_TOPIC, labels=sample.LABEL_TOPIC, worst=1))
    return evaluation, bag_document(evaluation, perception)


def page_of(evaluation, document, path):
    write_html(evaluation, document, timings(evaluation), path / 'new' / 'report.html')
    return Page((path / 'new' / 'report.html').read_text(encoding='utf-8'))


def test_the_page_has_the_headline_and_every_table(evaluated, tmp_path):
    evaluation, document = evaluated
    page = page_of(evaluation, document, tmp_path)
    assert headline(document) in page.text
    assert page.text.count('sample – jrn cat1') == 2  # The title twice.
    for table in recording_tables(document, timings(evaluation)):
        for cell in (table.title, *table.heads, *(cell for row in table.rows for cell in row)):
            assert not cell or cell in page.text, cell
    assert len([tag for tag, _ in page.elements if tag == 'table']) == 8
    assert not [text for text in page.text if text.startswith(('Note', 'Partial'))]
    titles = [text for text in page.text if ', worst 1: ' in text]
    assert [title.partition(',')[0] for title in titles] == ['rel', 'pixel accuracy (%)']
    assert page.text.count('true depth') == 3  # A table's head, and two frames.
    swatches = [attrs for tag, attrs in page.elements if tag == 'span']
    shown = [share for share in document['semantics']['classes'].values() if share]
    assert len(swatches) == len(shown) and 'rgb(' in swatches[0]['style']


def test_names_from_outside_are_text(evaluated, tmp_path):
    evaluation, document = evaluated
    labels = evaluation.totals.labels
    named = LabelSet(labels.name, (EVIL, *labels.names[1:]), labels.colours)
    semantics, source = document['semantics'], document['source']
    document = document | {
        'partial': True, 'reason': f'/topic {EVIL}', 'notes': [f'note {EVIL}'],
        'source': source | {'recording': EVIL},
        'rates': {EVIL: document['rates'][sample.IMAGE_TOPIC]},
        'semantics': semantics | {'classes': dict.fromkeys(named.names, 0.2)}}
    totals, before = evaluation.totals, evaluation.totals.labels
    totals.labels = named
    worst = totals.worst['rel']
    heap = worst._heap
    worst._heap = [each._replace(name=EVIL) for each in heap]
    try:
        page = page_of(replace(evaluation), document, tmp_path)
    finally:
        totals.labels, worst._heap = before, heap
    tags = {tag for tag, _ in page.elements}
    assert not tags & {'script', 'link', 'iframe'} and {'table', 'img', 'figure'} <= tags
    # Title, heading, headline, reason, note, class in table and legend, topic, worst frame.
    assert len([text for text in page.text if EVIL in text]) == 9
    assert f'Partial: /topic {EVIL}' in page.text and f'Note: note {EVIL}' in page.text
    for tag, attrs in page.elements:
        assert not any(name.startswith('on') for name in attrs)
        for name in ('src', 'href'):
            assert attrs.get(name, 'data:image/').startswith('data:image/'), tag
