# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The pages in a browser: pictures load, tables sort, nothing is fetched, no script fails."""

from dataclasses import replace

import browser
from jrn_perception.evaluation.recordings.session import Request
from jrn_perception.fleet.engine import Network
from jrn_perception.fleet.remote import Store
from jrn_perception.sources import sample
import pytest

pytest.importorskip('rosbags.rosbag2')
measuring = pytest.importorskip('jrn_perception.evaluation.fleet.measuring',
                                reason="needs pip install '.[evaluate]'")
fleet_module = pytest.importorskip('jrn_perception.evaluation.fleet.fleet')
thresholds = pytest.importorskip('jrn_perception.evaluation.fleet.thresholds')
fleet_document = pytest.importorskip('jrn_perception.evaluation.fleet.document').fleet_document
fleet_page = pytest.importorskip('jrn_perception.evaluation.fleet.page').fleet_page

EVIL = '<script>alert("1")</script>'
ORDER = "[...document.querySelectorAll('#recordings tbody tr')].map(row => row.cells[%d].%s)"
LOADED = ('[...document.images].map(image => image.complete && image.naturalWidth > 0 '
          '&& image.naturalHeight > 0)')

pytestmark = pytest.mark.skipif(browser.find() is None,
                                reason=f'none of {", ".join(browser.NAMES)} is installed')


@pytest.fixture(scope='module')
def rows(tmp_path_factory):
    """Return three measured recordings, one without truth, and one that failed."""
    folder = tmp_path_factory.mktemp('fleet')
    request = Request(depth=sample.DEPTH_TOPIC, labels=sample.LABEL_TOPIC, worst=2)
    network = Network('jrn', 'cat1', 'random', device='cpu', height=64)
    found = []
    for seed, frames in ((1, 2), (2, 3), (3, 2)):
        path = folder / f'r{seed}'
        sample.write_sample(path, frames, seed, (96, 128))
        task = measuring.Task(f'r{seed}', str(path), network, request, str(folder / 'out'), True)
        found.append(measuring.measure(task))
    assert [row.state for row in found] == ['done'] * 3
    document = {key: value for key, value in found[2].document.items() if key != 'output'}
    found[2] = replace(found[2], name=f'r3 {EVIL}', document=document)
    found.append(measuring.Row('r4', '/r4', 'failed', f'damaged {EVIL}'))
    return folder / 'out', found


@pytest.fixture(scope='module')
def page(rows, tmp_path_factory):
    folder, found = rows
    fleet = fleet_module.total(found, Store(str(folder)))
    bounds = [thresholds.Threshold('rel', None, 1e-3), thresholds.Threshold('rel', 0, None, 0.5)]
    verdicts = thresholds.judge(bounds, found)
    document = fleet_document(fleet, verdicts)
    (folder / 'fleet.html').write_text(fleet_page(fleet, document, True), encoding='utf-8')
    with browser.opened(folder / 'fleet.html', tmp_path_factory.mktemp('profile')) as opened:
        yield opened


def require_quiet(page, path):
    """Fail if a script failed, or anything but the file itself was asked for."""
    assert not page.of('Runtime.exceptionThrown') and not page.of('Log.entryAdded')
    asked = [event['request']['url'] for event in page.of('Network.requestWillBeSent')]
    assert asked[0] == path.resolve().as_uri()
    assert all(url.startswith('data:') for url in asked[1:])


def test_the_page_of_a_fleet_shows_its_pictures_and_asks_nobody(page, rows):
    loaded = page.evaluate(LOADED)
    assert len(loaded) == 4 * 5 and all(loaded)  # Two frames by two measures, five pictures each.
    require_quiet(page, rows[0] / 'fleet.html')
    assert page.evaluate("document.querySelectorAll('script').length") == 1
    text = page.evaluate('document.body.innerText')
    for part in ('jrn cat1 on 4 recordings: 3 measured', f'damaged {EVIL}', f'r3 {EVIL}',
                 'missed', 'rel ≤ 0.001', 'worst 2'):
        assert part in text, part
    links = page.evaluate("[...document.querySelectorAll('a')].map(link => "
                          "link.getAttribute('href'))")
    assert len(links) == 3 and all((rows[0] / link).is_file() for link in links)


def test_the_table_of_a_fleet_sorts_by_every_column(page, rows):
    def column(index, what='dataset.order'):
        return page.evaluate(ORDER % (index, what))

    heads = page.evaluate("[...document.querySelectorAll('#recordings th')].map(head => "
                          'head.textContent)')
    assert heads[:4] == ['recording', 'state', 'frames', 'rel']
    # Before a click: the worst first, a recording without the number last.
    start = column(3)
    assert start[:2] == sorted(start[:2], key=float, reverse=True) and start[2] == ''
    for index, head in enumerate(heads):
        for up in (True, False):
            page.evaluate(f"document.querySelectorAll('#recordings th')[{index}]"
                          ".querySelector('button').click()")
            found = column(index)
            known = [text for text in found if text]
            key = str if index < 2 else float
            assert known == sorted(known, key=key, reverse=not up), head
            assert found[len(known):] == [''] * (3 - len(known))
            assert page.evaluate("[...document.querySelectorAll('[aria-sort]')].map(head => "
                                 '[head.cellIndex, head.ariaSort])') == [
                [index, 'ascending' if up else 'descending']]
    assert not page.of('Runtime.exceptionThrown')


def test_the_report_of_a_recording_shows_its_pictures_and_asks_nobody(rows, tmp_path):
    folder, found = rows
    path = folder / 'recordings' / f'{found[0].key}.html'
    with browser.opened(path, tmp_path) as page:
        loaded = page.evaluate(LOADED)
        # Six plots, and five pictures of two frames by two measures.
        assert len(loaded) == 6 + 20 and all(loaded)
        require_quiet(page, path)
        assert 'jrn cat1 on r1: 2 frames' in page.evaluate('document.body.innerText')
