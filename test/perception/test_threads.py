# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Work ahead: in order, in other threads, never too far, and with the first error."""

from concurrent.futures import ThreadPoolExecutor
import threading
import time

from jrn_perception.perception.threads import ahead, until, WAITING
import pytest


@pytest.fixture
def pool():
    with ThreadPoolExecutor(2) as pool:
        yield pool


def test_results_come_in_order_from_other_threads(pool):
    first_may_end = threading.Event()
    threads = set()

    def work(item):
        threads.add(threading.get_ident())
        if item == 0:
            assert first_may_end.wait(10)
        if item == 1:
            first_may_end.set()  # Item 1 is done while item 0 still runs.
        return item * 2

    assert list(ahead(work, range(20), pool, 4)) == list(range(0, 40, 2))
    assert threading.get_ident() not in threads


def test_no_more_than_the_limit_is_begun_ahead(pool):
    taken = []

    def source():
        for item in range(10):
            taken.append(item)
            yield item

    def work(item):
        time.sleep(0.1)
        return item

    results = ahead(work, source(), pool, 3)
    assert next(results) == 0 and len(taken) == 4
    # The second was done at the same time: it does not wait for another to begin.
    assert next(results) == 1 and len(taken) <= 5


def test_what_is_not_wanted_keeps_its_place_and_costs_nothing(pool):
    items = [1, 'a', 'b', 2, 'c', 3, 'd']
    found = ahead(lambda item: item * 10, items, pool, 1, lambda item: isinstance(item, int))
    assert list(found) == [10, 'a', 'b', 20, 'c', 30, 'd']
    only = ahead(None, iter(['a', 'b']), pool, 1, lambda item: False)
    assert next(only) == 'a'


def test_what_is_not_wanted_does_not_pile_up(pool):
    taken, may_end = [], threading.Event()

    def source():
        for item in range(1000):
            taken.append(item)
            yield item
            if item == 100:
                may_end.set()

    # As soon as what is before them is done they go.
    results = ahead(lambda item: item, source(), pool, 4, lambda item: item == 0)
    assert next(results) == 0 and next(results) == 1
    assert len(taken) <= 4 * WAITING + 1
    # While it runs, they wait up to a number.
    taken.clear()
    results = ahead(lambda item: may_end.wait(0.2), source(), pool, 4, lambda item: item == 0)
    assert next(results) is False
    assert len(taken) == 4 * WAITING + 1


def test_an_error_is_raised_in_its_place(pool):
    results = ahead(lambda item: 1 // item, [1, 1, 0, 1], pool, 2)
    assert [next(results), next(results)] == [1, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_what_comes_until_it_has_ended():
    taken = []
    for item in until(lambda: len(taken) == 3, range(10)):
        taken.append(item)
    assert taken == [0, 1, 2]
    assert list(until(lambda: False, range(3))) == [0, 1, 2]
