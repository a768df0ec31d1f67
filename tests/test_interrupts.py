"""Ctrl-C and SIGTERM wait for a safe point: nothing that other threads need is left locked."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from conftest import COMMAND_S
from whoplays.runtime.interrupts import SIGNALS, deferred_interrupts, terminated_as_interrupted

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals are of POSIX systems")


@pytest.fixture(autouse=True)
def terminated():
    """SIGTERM as the command has it."""
    with terminated_as_interrupted():
        yield


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_waits_until_it_is_asked_for(number):
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


def test_one_that_nobody_asked_for_comes_at_the_end():
    ended = False
    with pytest.raises(KeyboardInterrupt), deferred_interrupts():
        signal.raise_signal(signal.SIGINT)
        ended = True
    assert ended


def test_an_error_is_not_hidden_by_a_signal_that_came_before_it():
    with pytest.raises(ZeroDivisionError), deferred_interrupts():
        signal.raise_signal(signal.SIGINT)
        raise ZeroDivisionError


def test_the_programs_own_handler_is_called_at_the_safe_point():
    came = []
    before = signal.signal(signal.SIGINT, lambda number, frame: came.append(number))
    try:
        with deferred_interrupts() as check:
            signal.raise_signal(signal.SIGINT)
            assert came == []
            check()
            check()
            assert came == [signal.SIGINT]
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


def test_one_inside_another_hands_on_what_came():
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
    _, told = process.communicate(timeout=COMMAND_S)
    assert (process.returncode, told) == (130, b"whoplays: stopped\n")
