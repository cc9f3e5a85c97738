"""Workers: a few for jobs that end quickly, up to 32 for jobs that hang, none when nothing is left to do."""

import threading

import pytest

from video_oauth_auth import workers

from .engine import library_threads, settle


class Jobs:
    """Jobs that hang until they are let go, and how many of them ran at once."""

    def __init__(self):
        self._changed = threading.Condition()
        self._released = False
        self.running = self.most = self.done = 0

    def hang(self):
        with self._changed:
            self.running += 1
            self.most = max(self.most, self.running)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._released, 60)
            self.running -= 1
            self.done += 1
            self._changed.notify_all()

    def wait_until(self, condition):
        with self._changed:
            assert self._changed.wait_for(condition, 10), vars(self)

    def release(self):
        with self._changed:
            self._released = True
            self._changed.notify_all()


@pytest.fixture
def jobs():
    settle()
    hanging = Jobs()
    yield hanging
    hanging.release()
    settle()


def test_jobs_that_hang_get_32_workers_though_nothing_more_is_submitted(jobs):
    for _ in range(50):
        assert workers.submit(jobs.hang)
    jobs.wait_until(lambda: jobs.running == workers.MOST_AT_ONCE)
    assert len(library_threads()) == workers.MOST_AT_ONCE
    jobs.release()
    jobs.wait_until(lambda: jobs.done == 50)
    assert jobs.most == workers.MOST_AT_ONCE
    settle()
    assert library_threads() == []


@pytest.mark.parametrize("hanging", [1, 4, 5, 31])
def test_jobs_that_hang_do_not_hold_up_the_next_one(jobs, hanging):
    for _ in range(hanging):
        workers.submit(jobs.hang)
    done = threading.Event()
    workers.submit(done.set)
    assert done.wait(10)
    assert jobs.done == 0


def test_few_workers_do_what_ends_quickly(jobs, monkeypatch):
    """A job stays young for 3 s here, so that the speed of the machine does not matter."""
    monkeypatch.setattr(workers, "NEW", 3.0)
    for _ in range(50):
        workers.submit(jobs.hang)
    jobs.wait_until(lambda: jobs.running == workers.NEW_AT_ONCE)
    assert len(library_threads()) == workers.NEW_AT_ONCE + 1  # and one that stands by
    jobs.release()
    jobs.wait_until(lambda: jobs.done == 50)
    assert jobs.most == workers.NEW_AT_ONCE


def test_a_job_that_raises_ends_no_worker_and_no_queue(jobs):
    def fail():
        raise SystemExit

    for _ in range(100):
        workers.submit(fail)
    workers.submit(jobs.hang)
    jobs.wait_until(lambda: jobs.running == 1)


def refuse(error):
    def start(_):
        raise error

    return start


def test_where_no_thread_can_be_had_a_worker_that_lives_comes_to_the_job(jobs, monkeypatch):
    workers.submit(jobs.hang)
    jobs.wait_until(lambda: jobs.running == 1)
    done = threading.Event()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse(RuntimeError("can't start new thread")))
        assert workers.submit(done.set)
        assert not done.is_set()
        jobs.release()
        assert done.wait(10)


def test_where_no_thread_can_be_had_and_no_worker_lives_the_job_is_not_kept(jobs, monkeypatch):
    done = threading.Event()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse(RuntimeError("can't start new thread")))
        assert not workers.submit(done.set)
    workers.submit(jobs.hang)
    jobs.wait_until(lambda: jobs.running == 1)
    assert not done.is_set()


def test_ctrl_c_while_threads_start_uses_up_no_worker(jobs, monkeypatch):
    for _ in range(2 * workers.MOST_AT_ONCE):
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse(KeyboardInterrupt()))
            with pytest.raises(KeyboardInterrupt):
                workers.submit(lambda: None)
    for _ in range(workers.MOST_AT_ONCE):
        workers.submit(jobs.hang)
    jobs.wait_until(lambda: jobs.running == workers.MOST_AT_ONCE)
