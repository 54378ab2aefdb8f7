"""The work of zookeeper_worker.py. Arguments: server, `prepare` or `await`, number of items."""

import sys
import threading

from kazoo.client import KazooClient

from events import emit

server, command, items = sys.argv[1], sys.argv[2], int(sys.argv[3])
zk = KazooClient(hosts=server, timeout=10)
zk.start(60)
if command == "prepare":
    for path in ("/inside", "/counted", "/done"):
        zk.ensure_path(path)
    for what in ("lock", "leader"):
        zk.create(f"/counted/{what}", b"0")
    zk.LockingQueue("/work").put_all([str(n).encode() for n in range(items)])
else:
    finished = threading.Event()

    @zk.ChildrenWatch("/done")
    def look(children):
        if len(children) == items:
            finished.set()

    if not finished.wait(200):
        sys.exit(f"not all done: {sorted(zk.get_children('/done'))}")
    emit("done", inside=sum(int(zk.get(f"/counted/{what}")[0]) for what in ("lock", "leader")))
zk.stop()
