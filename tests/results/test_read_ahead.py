import threading

from ovdet_cli.results.read_ahead import ReadAhead


def readers():
    return [thread for thread in threading.enumerate() if thread.name == "read ahead"]


def test_files_are_read_one_ahead_and_no_thread_is_left(tmp_path):
    paths = [tmp_path / f"{number}.bin" for number in range(4)]
    for path in paths:
        path.write_bytes(bytes(9_000_000))
    with ReadAhead(paths) as ahead:
        for number in range(3):  # broken off before the last
            ahead.wait_for(number)
    assert not readers()


def test_a_file_that_is_gone_is_for_whoever_maps_it_to_tell(tmp_path):
    with ReadAhead([tmp_path / "a", tmp_path / "b"]) as ahead:
        ahead.wait_for(0)
        ahead.wait_for(1)
    assert not readers()
