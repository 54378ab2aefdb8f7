"""Makes a node and reads it over TLS. Arguments: server, authority, certificate with key."""

import sys

from kazoo.client import KazooClient

from events import emit

server, authority, identity = sys.argv[1:4]
zk = KazooClient(hosts=server, use_ssl=True, ca=authority, certfile=identity, keyfile=identity,
                 verify_certs=True)
zk.start(60)
zk.create('/made', b'over TLS')
emit("read", value=zk.get('/made')[0].decode())
zk.stop()
