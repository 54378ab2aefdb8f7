"""Lists the children of a node. Arguments: server, path."""

import sys

from kazoo.client import KazooClient

from events import emit

zk = KazooClient(hosts=sys.argv[1])
zk.start()
emit("children", children=zk.get_children(sys.argv[2]))
zk.stop()
