"""A program that registers itself and stays. Arguments: server, path, session time-out in seconds.
Says which session it has, now and whenever told to look (a line on its input)."""

import sys

from kazoo.client import KazooClient
from kazoo.protocol.states import KazooState

from events import emit

server, path, timeout = sys.argv[1], sys.argv[2], float(sys.argv[3])
zk = KazooClient(hosts=server, timeout=timeout)
# A connection of kazoo's tries again for ever; its first session is the one that counts here.
lost = []
zk.add_listener(lambda state: lost.append(state) if state == KazooState.LOST else None)
zk.start(60)
zk.create(path, b"here", ephemeral=True, makepath=True)
emit("registered", session=zk.client_id[0])
for _ in sys.stdin:
    stat = zk.retry(zk.exists, path)
    emit("looked", session=zk.client_id[0], there=stat is not None, lost=bool(lost),
         owner=stat.owner_session_id if stat else None)
zk.stop()
