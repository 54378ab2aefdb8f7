"""When what a client of nats-py wrote has been handled."""


async def flushed(nc):
    # The PING of a flush is written before what waits in the client's buffer: only that of a second one comes after it.
    await nc.flush(20)
    await nc.flush(20)
