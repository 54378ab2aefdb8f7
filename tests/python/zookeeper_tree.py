"""What the tree below / promises, seen with kazoo. Argument: server."""

import socket
import sys

from kazoo.client import KazooClient
from kazoo.exceptions import (
    BadVersionError, InvalidACLError, NoAuthError, NoChildrenForEphemeralsError, NodeExistsError,
    NoNodeError, NotEmptyError, RolledBackError, RuntimeInconsistency,
)
from kazoo.security import ACL, Id, make_digest_acl

from events import emit

SERVER = sys.argv[1]


def connected(hosts=SERVER, **more):
    zk = KazooClient(hosts=hosts, timeout=10, **more)
    zk.start(60)
    return zk


def refused(error, call, *args, **more):
    try:
        call(*args, **more)
    except error:
        return
    raise AssertionError(f"{call.__name__} {args}: no {error.__name__}")


def number(name):
    """A number out of `mntr`."""
    host, port = SERVER.split(":")
    with socket.create_connection((host, int(port))) as stream:
        stream.sendall(b"mntr")
        lines = stream.makefile().read().splitlines()
    return int(dict(line.split("\t") for line in lines)["zk_" + name])


zk, other = connected(), connected()

# Nodes and versions.
path, stat = zk.create("/app/a/b", b"one", makepath=True, include_data=True)
assert (path, stat.version, stat.czxid) == ("/app/a/b", 0, stat.mzxid)
refused(NodeExistsError, zk.create, "/app/a/b")
refused(NoNodeError, zk.create, "/none/a")
refused(NotEmptyError, zk.delete, "/app/a")
refused(BadVersionError, zk.set, "/app/a/b", b"", version=7)
assert zk.set("/app/a/b", b"two", version=0).version == 1
assert other.get("/app/a/b")[0] == b"two"
assert zk.create("/app/n-", sequence=True) == "/app/n-0000000001"
zk.create("/app/e", ephemeral=True)
refused(NoChildrenForEphemeralsError, zk.create, "/app/e/x")
assert other.exists("/app/e").owner_session_id == zk.client_id[0]
emit("nodes")

# The Kafka layout stays as it is; consumers of old may write theirs.
for node in ("/brokers/x", "/admin/reassign_partitions", "/config/x", "/zookeeper/x"):
    refused(NoAuthError, zk.create, node)
refused(NoAuthError, zk.set, "/controller", b"")
refused(NoAuthError, zk.delete, "/brokers")
zk.create("/consumers/group/offsets/topic/0", b"17", makepath=True)
emit("layout")

# Chroots, as Burrow, old consumers and others use them.
below = connected(SERVER + "/kafka")
below.ensure_path("/")
below.create("/lock", b"mine", ephemeral=True)
assert zk.get("/kafka/lock")[0] == b"mine"
emit("chroot")

# Transactions.
transaction = zk.transaction()
transaction.create("/tx")
transaction.create("/tx/a", b"1")
transaction.set_data("/tx", b"2")
transaction.check("/tx", 1)
results = transaction.commit()
assert results[:2] == ["/tx", "/tx/a"] and results[2].version == 1, results
transaction = zk.transaction()
transaction.delete("/tx/a")
transaction.check("/tx", 7)
transaction.create("/tx/b")
results = [type(result) for result in transaction.commit()]
assert results == [RolledBackError, BadVersionError, RuntimeInconsistency], results
assert zk.get_children("/tx") == ["a"]
emit("transactions")

# Access lists.
ann, bob = connected(auth_data=[("digest", "ann:secret")]), connected()
everything = make_digest_acl("ann", "secret", all=True)
ann.create("/private", b"x", acl=[everything])
refused(NoAuthError, bob.get, "/private")
refused(NoAuthError, bob.get_children, "/private")
refused(NoAuthError, bob.set, "/private", b"")
refused(NoAuthError, bob.create, "/private/x")
refused(InvalidACLError, bob.create, "/bad", acl=[ACL(31, Id("digest", "nobody"))])
bob.add_auth("digest", "ann:guess")
refused(NoAuthError, bob.get, "/private")
bob.add_auth("digest", "ann:secret")
assert bob.get("/private")[0] == b"x"
acls, stat = bob.get_acls("/private")
assert acls == [everything] and stat.aversion == 0
emit("access")

# What is counted.
nodes, ephemerals = number("znode_count"), number("ephemerals_count")
watches = number("watch_count")
for n in range(10):
    other.create(f"/app/counted-{n}", ephemeral=n < 4)
    other.exists(f"/app/counted-{n}", watch=print)
assert number("znode_count") == nodes + 10
assert number("ephemerals_count") == ephemerals + 4
assert number("watch_count") == watches + 10
other.stop()
assert number("ephemerals_count") == ephemerals
assert number("watch_count") == watches
emit("counts")
