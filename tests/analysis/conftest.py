import pytest

from ovdet_cli.analysis.cuts import RunCuts
from tests.analysis.store_of import Asked, open_store, write_run
from tests.analysis.wild_feed import CUT, make_feed


@pytest.fixture(scope="session", params=range(3))
def wild(request, tmp_path_factory):
    """A random feed, and a store of it that no test changes."""
    feed = make_feed(request.param)
    run = write_run(tmp_path_factory.mktemp("wild"), *feed.records)
    with open_store(Asked(feed.posts, cuts=(RunCuts("run0", CUT, recorded=0.1),)), run) as (store, _):
        yield feed, store
