import threading
import time

import pytest
import torch

from deeprob.features.cores import on_all_cores

CPU = torch.device("cpu")


@pytest.fixture
def two_threads():
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("two_threads")
def test_results_keep_the_order_of_their_chunks():
    def late(chunk):
        time.sleep(0.01 * (chunk == 0))
        return chunk**2

    assert list(on_all_cores(late, range(20), CPU)) == [chunk**2 for chunk in range(20)]


@pytest.mark.usefixtures("two_threads")
def test_two_cores_work_at_once_with_a_thread_each():
    meeting = threading.Barrier(2, timeout=10)

    def meet(_):
        meeting.wait()
        return torch.get_num_threads()

    assert list(on_all_cores(meet, range(4), CPU)) == [1] * 4
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
def test_later_threads_have_as_many_as_ever():
    list(on_all_cores(lambda chunk: chunk, range(4), CPU))
    seen = []
    (thread := threading.Thread(target=lambda: seen.append(torch.get_num_threads()))).start()
    thread.join()
    assert seen == [2]


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize(("chunks", "device"), [(1, "cpu"), (4, "cuda"), (0, "cpu")])
def test_a_single_chunk_or_a_gpu_needs_no_threads(chunks, device):
    main = threading.current_thread()
    threads = list(on_all_cores(lambda _: threading.current_thread(), range(chunks), torch.device(device)))
    assert threads == [main] * chunks


@pytest.mark.usefixtures("two_threads")
def test_an_error_ends_the_others_and_arrives():
    begun = []

    def fail(chunk):
        begun.append(chunk)
        time.sleep(0.01)
        if chunk == 2:
            raise ValueError("chunk 2")

    with pytest.raises(ValueError, match="chunk 2"):
        list(on_all_cores(fail, range(1000), CPU))
    assert len(begun) < 20
