"""Says what kazoo's watches see of access rules, until its input ends. Argument: server."""

import sys

from kazoo.client import KazooClient
from kazoo.exceptions import NoNodeError

from events import emit, told, text

end = told()
zk = KazooClient(hosts=sys.argv[1], timeout=20)
zk.start(60)


def data(path):
    try:
        return text(zk.get(path)[0])
    except NoNodeError:
        return None  # Gone meanwhile: the watch fires again.


def follow(path):
    @zk.ChildrenWatch(path)
    def changed(children):
        nodes = {name: data(f"{path}/{name}") for name in children}
        emit("children", path=path, nodes=nodes)


for path in ["/kafka-acl/Topic", "/kafka-acl-changes", "/kafka-acl-extended/prefixed/Group",
             "/kafka-acl-extended-changes"]:
    follow(path)


@zk.DataWatch("/kafka-acl/Topic/orders")
def written(data, stat):
    emit("written", data=text(data), version=stat and stat.version)


emit("ready")
end.wait()
zk.stop()
