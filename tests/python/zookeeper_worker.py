"""A worker among others that are killed at any moment. Arguments: server, name. It takes a lock,
items from a queue and its turn as leader, over and over until its input is closed, and checks that
nobody else has what it has."""

import sys

from kazoo.client import KazooClient
from kazoo.exceptions import NodeExistsError
from kazoo.retry import KazooRetry

from events import emit, told

server, name = sys.argv[1], sys.argv[2]
zk = KazooClient(hosts=server, timeout=4, connection_retry=KazooRetry(max_tries=-1, max_delay=0.2))
zk.start(60)
ended = told()


def alone(what):
    """Leaves a mark that vanishes with our session, as the lock's own node does. One that is there
    already is of somebody who has the same lock."""
    mark = f"/inside/{what}"
    try:
        zk.create(mark, name.encode(), ephemeral=True)
    except NodeExistsError:
        emit("violation", what=what, by=name)
        raise
    count, stat = zk.get(f"/counted/{what}")
    zk.set(f"/counted/{what}", str(int(count) + 1).encode(), version=stat.version)
    zk.delete(mark)
    emit("inside", what=what)


queue = zk.LockingQueue("/work")
while not ended.is_set():
    with zk.Lock("/locks/one", name):
        alone("lock")
    election = zk.Election("/locks/leader", name)
    election.run(alone, "leader")
    item = queue.get(timeout=0.2)
    if item is not None:
        try:
            zk.create("/done/" + item.decode(), name.encode())
        except NodeExistsError:
            # Whoever did it was killed before saying so.
            emit("again", item=item.decode())
        if queue.consume():
            emit("consumed", item=item.decode())
zk.stop()
