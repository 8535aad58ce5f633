import os
import signal
import threading

import pytest

from deeprob.errors import Interrupted
from deeprob.tracking.signals import Interruption, received


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_remembered_and_the_second_ends_at_once(number):
    before = signal.getsignal(number)
    with Interruption() as interruption:
        assert not interruption()
        os.kill(os.getpid(), number)
        assert interruption()
        assert interruption.number == number
        with pytest.raises(Interrupted) as caught:
            os.kill(os.getpid(), number)
        assert caught.value.status == 128 + number
    assert signal.getsignal(number) is before


def test_a_thread_goes_without_handlers():
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def work() -> None:
        with Interruption() as interruption:
            seen.append((interruption(), signal.getsignal(signal.SIGINT) is before))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(False, True)]


def test_a_signal_in_a_nested_block_has_come_in_all_of_them():
    with Interruption() as outer:
        with Interruption() as inner:
            os.kill(os.getpid(), signal.SIGTERM)
            assert inner.number == signal.SIGTERM
        assert outer.number == signal.SIGTERM
        assert received()
        with Interruption() as later:
            assert later.number == signal.SIGTERM
            with pytest.raises(Interrupted):
                os.kill(os.getpid(), signal.SIGTERM)
    assert not received()
    with Interruption() as fresh:
        assert not fresh()
