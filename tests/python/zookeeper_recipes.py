"""kazoo's recipes, each with several clients at once, and what it promises. Argument: server."""

import sys
import threading
import time

from kazoo.client import KazooClient
from kazoo.recipe.watchers import PatientChildrenWatch

from events import emit

SERVER = sys.argv[1]
CLIENTS = 5
PATIENCE = 60


def connected():
    zk = KazooClient(hosts=SERVER, timeout=10)
    zk.start(PATIENCE)
    return zk


CLIENT = [connected() for _ in range(CLIENTS)]


def together(work):
    """Runs work(client, number) for all clients at once and returns what they returned."""
    results, errors = [None] * CLIENTS, []

    def run(number):
        try:
            results[number] = work(CLIENT[number], number)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive(), f"{work.__name__} does not end"
    if errors:
        raise errors[0]
    return results


def lock():
    CLIENT[0].create("/lock/counted", b"0", makepath=True)
    inside = []

    def work(zk, number):
        for _ in range(10):
            with zk.Lock("/lock/one", str(number)):
                inside.append(number)
                assert inside == [number], f"{inside} are in"
                # A read and a write that only the lock makes one.
                count = int(zk.get("/lock/counted")[0])
                zk.set("/lock/counted", str(count + 1).encode())
                inside.remove(number)

    together(work)
    assert CLIENT[0].get("/lock/counted")[0] == b"50"
    assert CLIENT[0].get_children("/lock/one") == []


def read_write_lock():
    readers, writers = [], []

    def work(zk, number):
        for _ in range(5):
            if number == 0:
                with zk.WriteLock("/rwlock", "w"):
                    writers.append(number)
                    assert not readers, "a reader beside the writer"
                    writers.remove(number)
            else:
                with zk.ReadLock("/rwlock", "r"):
                    readers.append(number)
                    assert not writers, "a writer beside a reader"
                    readers.remove(number)

    together(work)


def semaphore():
    inside = []

    def work(zk, number):
        for _ in range(5):
            with zk.Semaphore("/semaphore", str(number), max_leases=2):
                inside.append(number)
                assert len(inside) <= 2, f"{inside} are in"
                inside.remove(number)

    together(work)


def election():
    leading, led = [], []

    def work(zk, number):
        def lead():
            leading.append(number)
            assert leading == [number], f"{leading} lead"
            led.append(number)
            leading.remove(number)

        zk.Election("/election", str(number)).run(lead)

    together(work)
    assert sorted(led) == list(range(CLIENTS))


def queue():
    queue = CLIENT[0].Queue("/queue")
    for n in range(40):
        queue.put(str(n).encode(), priority=50 if n % 2 else 100)
    first = queue.get()
    assert first == b"1", "the lower number goes first"

    def work(zk, number):
        mine, got = zk.Queue("/queue"), []
        while (item := mine.get()) is not None:
            got.append(int(item))
        return got

    taken = [item for got in together(work) for item in got]
    assert sorted(taken + [1]) == list(range(40)), "each once"


def locking_queue():
    CLIENT[0].LockingQueue("/lqueue").put_all([str(n).encode() for n in range(40)])

    def work(zk, number):
        mine, got = zk.LockingQueue("/lqueue"), []
        while (item := mine.get(timeout=1)) is not None:
            got.append(int(item))
            assert mine.consume()
        return got

    taken = [item for got in together(work) for item in got]
    assert sorted(taken) == list(range(40)), "each once"


def barrier():
    barrier = CLIENT[0].Barrier("/barrier")
    barrier.create()
    passed = []

    def work(zk, number):
        if number == 0:
            assert not passed
            barrier.remove()
        else:
            assert zk.Barrier("/barrier").wait(PATIENCE)
            passed.append(number)

    together(work)
    assert len(passed) == CLIENTS - 1


def double_barrier():
    inside = []

    def work(zk, number):
        barrier = zk.DoubleBarrier("/dbarrier", CLIENTS, str(number))
        barrier.enter()
        inside.append(number)
        barrier.leave()
        assert len(inside) == CLIENTS, "left before all were in"

    together(work)


def party():
    def work(zk, number):
        zk.Party("/party", str(number)).join()

    together(work)
    assert sorted(CLIENT[0].Party("/party")) == [str(n) for n in range(CLIENTS)]
    assert len(CLIENT[0].ShallowParty("/party")) == CLIENTS


def counter():
    def work(zk, number):
        mine = zk.Counter("/counter")
        for _ in range(10):
            mine += 1

    together(work)
    assert CLIENT[0].Counter("/counter").value == 10 * CLIENTS


def lease():
    from datetime import timedelta

    def work(zk, number):
        return bool(zk.NonBlockingLease("/lease", timedelta(hours=1), str(number)))

    assert sum(together(work)) == 1, "one has it"


def tree_cache():
    from kazoo.recipe.cache import TreeCache

    CLIENT[0].ensure_path("/cache/a")
    cache = TreeCache(CLIENT[1], "/cache")
    cache.start()
    for n in range(20):
        CLIENT[0].create(f"/cache/a/{n}", str(n).encode())
    CLIENT[0].set("/cache/a/7", b"new")
    CLIENT[0].delete("/cache/a/8")
    end = time.monotonic() + PATIENCE
    def shown():
        seven = cache.get_data("/cache/a/7")
        return seven and seven.data == b"new" and len(cache.get_children("/cache/a")) == 19

    while not shown():
        assert time.monotonic() < end
        time.sleep(0.01)  # poll: the cache tells of single changes only; PATIENCE bounds it
    cache.close()


def watchers():
    seen, children = [], []
    done = threading.Event()
    CLIENT[0].create("/watched", b"0")

    @CLIENT[1].DataWatch("/watched")
    def data(value, stat, event):
        seen.append(value)
        if value is None:
            done.set()

    @CLIENT[2].ChildrenWatch("/watched")
    def names(found):
        children.append(len(found))

    for n in range(1, 20):
        CLIENT[0].set("/watched", str(n).encode())
        CLIENT[3].create(f"/watched/{n}")
    CLIENT[0].delete("/watched", recursive=True)
    assert done.wait(PATIENCE)
    numbers = [int(value) for value in seen if value is not None]
    assert numbers == sorted(set(numbers)), f"{numbers}: in order, none twice"
    assert PatientChildrenWatch(CLIENT[1], "/party", 0.1).start().get(timeout=PATIENCE)


for recipe in (lock, read_write_lock, semaphore, election, queue, locking_queue, barrier,
               double_barrier, party, counter, lease, tree_cache, watchers):
    recipe()
    emit("held", recipe=recipe.__name__)
for zk in CLIENT:
    zk.stop()
    zk.close()
