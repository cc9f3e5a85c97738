"""Wake-ups: all tasks of an event loop are woken by one call, and who has stopped waiting leaves nothing behind."""

import asyncio
import threading

import pytest
import trio
import trio.testing

from video_oauth_auth.waiting import Shared, done_within

LONG = 60.0  # seconds; nobody waits for their end


class CountingLoop(asyncio.SelectorEventLoop):
    """Counts how often other threads wake it."""

    def __init__(self):
        super().__init__()
        self.woken = 0

    def call_soon_threadsafe(self, callback, *args, context=None):
        self.woken += 1
        return super().call_soon_threadsafe(callback, *args, context=context)


def from_another_thread(function, *args):
    thread = threading.Thread(target=function, args=args)
    thread.start()
    thread.join()


def left_behind(future):
    """Give how many callbacks the future still has to call."""
    return len(future._done_callbacks)


def test_one_call_wakes_500_tasks():
    future = Shared()

    async def main():
        tasks = [asyncio.create_task(done_within(future, LONG)) for _ in range(500)]
        await asyncio.sleep(0)
        assert left_behind(future) == 1
        from_another_thread(future.set_result, "token")
        return await asyncio.gather(*tasks)

    with asyncio.Runner(loop_factory=CountingLoop) as runner:
        loop = runner.get_loop()
        assert runner.run(main()) == [True] * 500
        assert loop.woken == 1


def test_tasks_of_many_event_loops_wait_for_the_same_future():
    future, results = Shared(), []
    waiting = threading.Barrier(9)

    async def main():
        tasks = [asyncio.create_task(done_within(future, LONG)) for _ in range(20)]
        await asyncio.sleep(0)
        waiting.wait(30)
        results.extend(await asyncio.gather(*tasks))

    threads = [threading.Thread(target=asyncio.run, args=(main(),)) for _ in range(8)]
    for thread in threads:
        thread.start()
    waiting.wait(30)
    assert left_behind(future) == 8
    future.set_result("token")
    for thread in threads:
        thread.join(30)
    assert results == [True] * 160


def test_cancelled_tasks_leave_nothing_behind():
    future = Shared()

    async def main():
        staying = asyncio.create_task(done_within(future, LONG))
        for _ in range(300):
            task = asyncio.create_task(done_within(future, LONG))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
        (wake_up,) = future.wake_ups.values()
        assert len(wake_up.waiting) == 1
        assert left_behind(future) == 1
        from_another_thread(future.set_result, "token")
        assert await staying
        assert not wake_up.waiting

    asyncio.run(main())
    assert future.result(0) == "token"


def test_a_task_that_is_cancelled_in_the_turn_of_the_wake_up_does_not_disturb_the_others():
    future = Shared()

    async def main():
        tasks = [asyncio.create_task(done_within(future, LONG)) for _ in range(5)]
        await asyncio.sleep(0)
        from_another_thread(future.set_result, "token")
        tasks[2].cancel()
        await asyncio.wait(tasks)
        assert [task.cancelled() for task in tasks] == [False, False, True, False, False]

    asyncio.run(main())


def test_each_task_has_a_deadline_of_its_own():
    future = Shared()

    async def main():
        patient = asyncio.create_task(done_within(future, LONG))
        for _ in range(3):
            assert not await done_within(future, 0.01)
        assert not patient.done()
        assert left_behind(future) == 1
        from_another_thread(future.set_result, "token")
        assert await patient

    asyncio.run(main())


def test_a_future_that_is_done_needs_no_waiting():
    future = Shared()

    async def main():
        early = asyncio.create_task(done_within(future, LONG))
        await asyncio.sleep(0)
        future.set_result("token")
        assert await done_within(future, LONG)  # before the wake-up of the first
        assert await early
        assert await done_within(future, LONG)  # after it

    asyncio.run(asyncio.wait_for(main(), 10))


def test_an_event_loop_that_is_closed_is_not_woken(caplog):
    future = Shared()

    async def main():
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(done_within(future, LONG), 0.01)

    asyncio.run(main())
    future.set_result("token")
    assert not caplog.records
    assert asyncio.run(done_within(future, LONG))


def test_one_call_wakes_all_tasks_of_trio(caplog):
    future, results = Shared(), []

    async def wait():
        results.append(await done_within(future, LONG))

    async def main():
        with trio.CancelScope() as given_up:
            async with trio.open_nursery() as nursery:
                for _ in range(100):
                    nursery.start_soon(done_within, future, LONG)
                await trio.testing.wait_all_tasks_blocked()
                given_up.cancel()
        assert not await done_within(future, 0.01)
        async with trio.open_nursery() as nursery:
            for _ in range(100):
                nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked()
            assert left_behind(future) == 1
            from_another_thread(future.set_result, "token")

    trio.run(main)
    assert results == [True] * 100
    assert not caplog.records


def test_a_run_of_trio_that_is_over_is_not_woken(caplog):
    future = Shared()

    async def main():
        with trio.move_on_after(0.01):
            await done_within(future, LONG)

    trio.run(main)
    future.set_result("token")
    assert not caplog.records
    assert trio.run(done_within, future, LONG)
