"""The article's look at the brokers, both ways of reading its third line."""

from kazoo.client import KazooClient

from events import emit, text

zk = KazooClient(hosts='localhost:2181')
zk.start()
# kazoo returns a plain list ...
brokers = zk.get_children('/brokers/ids')
# ... and the pair that the article unpacks only when asked for.
again, _ = zk.get_children('/brokers/ids', include_data=True)
for broker in brokers:
    data, stat = zk.get('/brokers/ids/' + broker)
    emit("broker", id=broker, data=text(data), ephemeral=stat.owner_session_id is not None)
emit("brokers", plain=brokers, with_data=again)
zk.stop()
