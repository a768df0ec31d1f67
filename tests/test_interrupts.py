"""Ctrl-C and SIGTERM wait for a safe point: nothing that other threads need is left locked."""

import concurrent.futures
import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
import time

import pytest

import whoplays
from conftest import COMMAND_S, RATE, tone
from whoplays.inference.live import Source, listen
from whoplays.runtime.interrupts import SIGNALS, deferred_interrupts, terminated_as_interrupted
from whoplays.runtime.packages import needed
from whoplays.runtime.processes import Processes
from whoplays.runtime.threads import in_order

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals are of POSIX systems")


@pytest.fixture(autouse=True)
def terminated():
    """SIGTERM as the command has it."""
    with terminated_as_interrupted():
        yield


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_delayed_until_it_is_checked_for(number):
    reached = False
    with pytest.raises(KeyboardInterrupt), deferred_interrupts() as check:
        signal.raise_signal(number)
        reached = True
        check()
        reached = False
    assert reached and signal.getsignal(number) is signal.default_int_handler


@pytest.mark.parametrize("number", SIGNALS)
def test_a_second_one_does_not_wait(number):
    with pytest.raises(KeyboardInterrupt), deferred_interrupts():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(number)
        pytest.fail("it waited")


def test_one_that_was_not_checked_for_is_raised_at_the_end():
    ended = False
    with pytest.raises(KeyboardInterrupt), deferred_interrupts():
        signal.raise_signal(signal.SIGINT)
        ended = True
    assert ended


def test_an_error_is_not_hidden_by_an_earlier_signal():
    with pytest.raises(ZeroDivisionError), deferred_interrupts():
        signal.raise_signal(signal.SIGINT)
        raise ZeroDivisionError


def test_the_programs_own_handler_is_called_at_the_safe_point():
    handled = []
    before = signal.signal(signal.SIGINT, lambda number, frame: handled.append(number))
    try:
        with deferred_interrupts() as check:
            signal.raise_signal(signal.SIGINT)
            assert handled == []
            check()
            check()
            assert handled == [signal.SIGINT]
    finally:
        signal.signal(signal.SIGINT, before)


def test_an_ignored_signal_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with deferred_interrupts() as check:
            signal.raise_signal(signal.SIGINT)
            check()
    finally:
        signal.signal(signal.SIGINT, before)


def test_one_inside_another_hands_on_its_signal():
    with pytest.raises(KeyboardInterrupt), deferred_interrupts() as check:
        with deferred_interrupts():
            signal.raise_signal(signal.SIGINT)
        check()


def test_other_threads_change_nothing():
    found = []

    def enter():
        with terminated_as_interrupted(), deferred_interrupts() as check:
            check()
            found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert found == [signal.default_int_handler]


@pytest.mark.parametrize("number", SIGNALS)
def test_the_command_says_that_it_was_stopped(number):
    command = [sys.executable, "-m", "whoplays", "predict", "-"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdin.write(bytes(1 << 20))  # more than a pipe holds: it is being read
    process.send_signal(number)
    _, err = process.communicate(timeout=COMMAND_S)
    assert (process.returncode, err) == (130, b"whoplays: stopped\n")


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_while_the_command_loads_stops_it(number):
    code = f"""
import signal, sys
import whoplays.__main__ as command
class Finder:
    def find_spec(self, name, *more):
        if name == "whoplays.cli":
            signal.raise_signal({int(number)})
sys.meta_path.insert(0, Finder())
command.main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=COMMAND_S)
    assert (done.returncode, done.stderr) == (130, b"whoplays: stopped\n")


def test_a_signal_while_a_package_loads_does_not_make_it_look_broken():
    with pytest.raises(KeyboardInterrupt), needed("this"):
        signal.raise_signal(signal.SIGINT)
        import onnxruntime  # noqa: F401


# ---------------------------------------------------------------- threads and processes


@contextlib.contextmanager
def interrupted_in(function):
    """Send SIGINT once, when a function of the standard library returns to this thread."""
    raised = []

    def trace(frame, event, argument):
        if frame.f_code is function.__code__ and event == "return" and not raised:
            raised.append(event)
            sys.settrace(None)
            signal.raise_signal(signal.SIGINT)
        return trace

    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(None)
    assert raised


LOCKING = [threading.Condition.__enter__, concurrent.futures._base._AcquireFutures.__enter__]


def ends_soon(iterator):
    """Go through an iterator that is interrupted; return whether that ended, and nothing was left locked."""
    with pytest.raises(KeyboardInterrupt):
        for _ in iterator:
            pass
    return all(thread is threading.main_thread() or thread.daemon for thread in threading.enumerate())


@pytest.mark.parametrize("function", LOCKING)
def test_threads_end_when_a_signal_comes_where_their_futures_are_locked(function):
    begun, over = [], threading.Event()

    def work(number):
        begun.append(number)
        over.wait(COMMAND_S)
        return number

    with interrupted_in(function):
        assert ends_soon(in_order(work, range(50), 2, stop=over.set))
    assert len(begun) <= 4


def test_threads_give_results_in_order_and_raise_what_the_work_raises():
    assert list(in_order(lambda n: n * n, range(20), 3)) == [n * n for n in range(20)]
    assert list(in_order(str, [], 3)) == []
    found = in_order(lambda n: 1 // n, [2, 1, 0, 1], 2)
    assert [next(found), next(found)] == [0, 1]
    with pytest.raises(ZeroDivisionError):
        next(found)


def test_threads_begin_no_more_than_requested():
    begun = []
    found = in_order(lambda n: begun.append(n) or n, iter(range(100)), 1, ahead=2)
    next(found)
    found.close()
    assert len(begun) <= 3


def test_processes_end_when_a_signal_comes_where_their_futures_are_locked():
    with Processes(1) as processes:
        list(processes.map(abs, [-1]))  # started
        with interrupted_in(LOCKING[1]), pytest.raises(KeyboardInterrupt):
            list(processes.map(time.sleep, [0.5, 0.5, 0.5, 0.5]))
    assert not [thread for thread in threading.enumerate() if "ExecutorManager" in type(thread).__name__]


def test_a_worker_process_ignores_ctrl_c():
    ask = ["__import__('os').getpid()"]
    with Processes(1) as processes:
        ((_, pid),) = processes.map(eval, ask)
        os.kill(pid, signal.SIGINT)
        assert list(processes.map(eval, ask)) == [(0, pid)]


def test_worker_processes_end_with_a_process_that_is_killed():
    code = """
import time
from whoplays.runtime.processes import Processes
if __name__ == "__main__":
    with Processes(2) as processes:
        print(list(processes.map(abs, range(4))), flush=True)
        time.sleep(3600)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout.readline()
    process.kill()
    process.communicate(timeout=120)  # all that hold its output have ended


# ---------------------------------------------------------------- live


def test_ctrl_c_while_a_block_is_handed_over_keeps_the_prediction(tiny_model):
    class Tone(Source):
        sample_rate = RATE

        def blocks(self):
            while True:
                yield tone(440.0, 0.1)

        def close(self):
            pass

    with interrupted_in(queue.Queue.put):
        prediction = listen(whoplays.load(tiny_model), Tone(), show=lambda live: None)
    assert prediction.duration >= 0.1
