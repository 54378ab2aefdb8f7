"""Waits until a node has these children. Arguments: server, path, the names."""

import sys
import threading

from kazoo.client import KazooClient

from events import emit

zk = KazooClient(hosts=sys.argv[1], timeout=10)
zk.start(60)
wanted, seen = sorted(sys.argv[3:]), threading.Event()


@zk.ChildrenWatch(sys.argv[2])
def look(children):
    emit("children", children=sorted(children))
    if sorted(children) == wanted:
        seen.set()


if not seen.wait(60):
    sys.exit("they did not come")
emit("seen")
zk.stop()
