"""Named checks of what aiokafka's users do, each one promise. Its source archive has no tests.

What each check did is printed as JSON, one a line; so is what is to be done to the broker, whose
answer comes by the standard input. Argument: addresses and files, as JSON.
"""

import asyncio
import base64
import contextlib
import itertools
import json
import sys
import time
import traceback

from aiokafka import (
    AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition, errors,
)
from aiokafka.abc import AbstractTokenProvider
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.helpers import create_ssl_context
from aiokafka.structs import OffsetAndMetadata

# How long one check may take, and what it waits for: long enough for a busy machine.
CHECK_MAX = 240
PATIENCE = 120

PLACES = json.loads(sys.argv[1])
SERVER = PLACES["PLAINTEXT"]
CODECS = ["gzip", "snappy", "lz4", "zstd", None]

checks = []
numbered = itertools.count()


def check(name):
    def add(run):
        checks.append((name, run))
        return run
    return add


def emit(**event):
    print(json.dumps(event), flush=True)


async def restart_broker():
    emit(event="broker", do="restart")
    answer = await asyncio.to_thread(sys.stdin.readline)
    assert answer == "done\n", answer


def named(stem):
    """A name that no other check uses."""
    return "%s-%d" % (stem, next(numbered))


@contextlib.asynccontextmanager
async def running(client):
    """Started, and stopped whatever happens: a client that was not keeps the program."""
    try:
        await client.start()
        yield client
    finally:
        await client.stop() if hasattr(client, "stop") else await client.close()


def admin(**settings):
    return running(AIOKafkaAdminClient(**{"bootstrap_servers": SERVER, **settings}))


def producer(**settings):
    return running(AIOKafkaProducer(**{"bootstrap_servers": SERVER, **settings}))


def consumer(*topics, **settings):
    settings = {"bootstrap_servers": SERVER, "auto_offset_reset": "earliest",
                "enable_auto_commit": False, "metadata_max_age_ms": 2000, **settings}
    return running(AIOKafkaConsumer(*topics, **settings))


def codes(rows, at=1):
    """The error codes of an answer's rows, by name."""
    return {row[0]: row[at] for row in rows}


async def new_topic(partitions=1, configs=None, **settings):
    topic = named("topic")
    async with admin(**settings) as client:
        wanted = NewTopic(topic, partitions, 1, topic_configs=configs)
        answer = await client.create_topics([wanted])
    assert codes(answer.topic_errors) == {topic: 0}, answer
    return topic


async def fill(topic, values, partition=0, **settings):
    async with producer(**settings) as client:
        sent = [await client.send(topic, str(value).encode(), partition=partition)
                for value in values]
        return await asyncio.gather(*sent)


async def take(client, count):
    """So many messages."""
    return [await asyncio.wait_for(client.getone(), PATIENCE) for _ in range(count)]


async def read(topic, partition=0, **settings):
    """All messages of a partition up to its end."""
    place = TopicPartition(topic, partition)
    found = []
    async with consumer(**settings) as client:
        client.assign([place])
        await client.seek_to_beginning(place)
        end = (await client.end_offsets([place]))[place]
        deadline = time.monotonic() + PATIENCE
        while await client.position(place) < end:
            assert time.monotonic() < deadline, "read %d, up to %d" % (len(found), end)
            for records in (await client.getmany(timeout_ms=500)).values():
                found += records
    return found


def texts(records):
    return [record.value.decode() for record in records]


def numbers(*bounds):
    return [str(number) for number in range(*bounds)]


async def until(what, holds):
    deadline = time.monotonic() + PATIENCE
    while not await holds():
        assert time.monotonic() < deadline, "it never came to be that " + what
        await asyncio.sleep(0.1)  # poll: for what was asked for, bounded by the deadline


# Producers.

async def comes_whole(codec, acks):
    topic = await new_topic()
    began = int(time.time() * 1000) - 60_000
    async with producer(compression_type=codec, acks=acks, linger_ms=20) as client:
        sent = []
        for at in range(200):
            sent.append(await client.send(
                topic, ("value %d" % at).encode() * 20, key=b"key %d" % at,
                timestamp_ms=began + at, headers=[("number", b"%d" % at)]))
        await client.flush()
        told = await asyncio.gather(*sent)
    if acks != 0:
        assert [one.offset for one in told] == list(range(200))
    await until("all have arrived", lambda: ends_at(topic, 200))
    records = await read(topic)
    assert [record.offset for record in records] == list(range(200))
    for at, record in enumerate(records):
        assert record.key == b"key %d" % at and record.value == (b"value %d" % at) * 20
        assert record.timestamp == began + at and record.timestamp_type == 0
        assert list(record.headers) == [("number", b"%d" % at)]


async def ends_at(topic, offset):
    place = TopicPartition(topic, 0)
    async with consumer() as client:
        return (await client.end_offsets([place]))[place] == offset


for codec, acks in itertools.product(CODECS, [0, 1, "all"]):
    check("producer: codec %s, acks %s: messages come whole" % (codec, acks))(
        lambda codec=codec, acks=acks: comes_whole(codec, acks))


@check("producer: a batch that its user made is sent as one")
async def batches():
    topic = await new_topic()
    async with producer() as client:
        batch = client.create_batch()
        for at in range(10):
            assert batch.append(key=None, value=b"%d" % at, timestamp=None) is not None
        batch.close()
        told = await (await client.send_batch(batch, topic, partition=0))
        assert told.offset == 0
    assert texts(await read(topic)) == numbers(10)


@check("producer: a key stays with its partition, and partitions are told")
async def keys():
    topic = await new_topic(5)
    homes = {}
    async with producer() as client:
        assert await client.partitions_for(topic) == set(range(5))
        for at in range(60):
            key = b"key %d" % (at % 12)
            told = await client.send_and_wait(topic, b"", key=key)
            assert homes.setdefault(key, told.partition) == told.partition
    assert len(set(homes.values())) > 1


@check("producer: a message that is too large is refused by the broker, the next one is not")
async def too_large():
    topic = await new_topic(configs={"max.message.bytes": "10000"})
    async with producer() as client:
        try:
            await client.send_and_wait(topic, b"x" * 20_000)
            raise AssertionError("it was taken")
        except errors.MessageSizeTooLargeError:
            pass
        assert (await client.send_and_wait(topic, b"x")).offset == 0


async def through_restart(**settings):
    topic = await new_topic()
    async with producer(request_timeout_ms=60_000, **settings) as client:
        sent = []
        for at in range(2000):
            sent.append(await client.send(topic, b"%d" % at))
            if at == 1000:
                # Some are stored, some are on their way.
                await sent[100]
                await restart_broker()
        await asyncio.wait_for(asyncio.gather(*sent), PATIENCE)
    return texts(await read(topic))


@check("producer: idempotent: each once and in order, though the broker is killed")
async def idempotent():
    seen = await through_restart(enable_idempotence=True, linger_ms=2)
    assert seen == numbers(2000), len(seen)


@check("producer: not idempotent: at least once, though the broker is killed")
async def at_least_once():
    seen = await through_restart(acks="all", linger_ms=2)
    assert set(seen) == set(numbers(2000))


# Transactions.

@check("transactions: committed messages are read, aborted ones are not")
async def transactions():
    topic = await new_topic()
    async with producer(transactional_id=named("id")) as client:
        for at in range(6):
            with contextlib.suppress(ZeroDivisionError):
                async with client.transaction():
                    await client.send_and_wait(topic, b"%d" % at)
                    if at % 2:
                        raise ZeroDivisionError
    assert texts(await read(topic, isolation_level="read_committed")) == ["0", "2", "4"]
    assert texts(await read(topic)) == numbers(6)


@check("transactions: an open one holds readers back, and their last stable offset says so")
async def open_transaction():
    topic = await new_topic()
    place = TopicPartition(topic, 0)
    async with producer(transactional_id=named("id")) as client:
        await fill(topic, ["before"])
        await client.begin_transaction()
        await client.send_and_wait(topic, b"within")
        async with consumer(topic, isolation_level="read_committed") as reader:
            assert texts(await take(reader, 1)) == ["before"]
            assert reader.last_stable_offset(place) == 1 and reader.highwater(place) == 2
            await client.commit_transaction()
            assert texts(await take(reader, 1)) == ["within"]


@check("transactions: a group's offsets are part of them")
async def transaction_offsets():
    topic, group = await new_topic(), named("group")
    place = TopicPartition(topic, 0)
    async with producer(transactional_id=named("id")) as client, admin() as asks:
        async with client.transaction():
            await client.send_and_wait(topic, b"x")
            await client.send_offsets_to_transaction({place: 7}, group)
        assert (await asks.list_consumer_group_offsets(group))[place].offset == 7
        await client.begin_transaction()
        await client.send_offsets_to_transaction({place: 9}, group)
        await client.abort_transaction()
        assert (await asks.list_consumer_group_offsets(group))[place].offset == 7


@check("transactions: a second producer of the same name puts an end to the first")
async def fenced():
    topic, name = await new_topic(), named("id")
    first = AIOKafkaProducer(bootstrap_servers=SERVER, transactional_id=name)
    await first.start()
    try:
        await first.begin_transaction()
        await first.send_and_wait(topic, b"of the first")
        async with producer(transactional_id=name) as second:
            async with second.transaction():
                await second.send_and_wait(topic, b"of the second")
            try:
                await first.commit_transaction()
                raise AssertionError("the first went on")
            except errors.ProducerFenced:
                pass
    finally:
        with contextlib.suppress(errors.KafkaError):
            await first.stop()
    found = texts(await read(topic, isolation_level="read_committed"))
    assert found == ["of the second"], found


@check("transactions: what is read and written on the way is each once, though the broker is killed")
async def copied():
    source, target, group = await new_topic(), await new_topic(), named("group")
    place = TopicPartition(source, 0)
    await fill(source, range(300))
    records = await read(source)
    async with producer(transactional_id=named("id"), request_timeout_ms=60_000) as client:
        for at in range(0, 300, 10):
            async with client.transaction():
                for record in records[at:at + 10]:
                    await client.send(target, record.value)
                if at == 150:
                    await client.flush()
                    await restart_broker()
                await client.send_offsets_to_transaction({place: at + 10}, group)
    assert texts(await read(target, isolation_level="read_committed")) == numbers(300)
    async with admin() as asks:
        assert (await asks.list_consumer_group_offsets(group))[place].offset == 300


# Consumers without a group.

@check("consumer: partitions by hand, seeking, positions and ends")
async def by_hand():
    topic = await new_topic(2)
    await fill(topic, range(10), 0)
    await fill(topic, range(100, 105), 1)
    zero, one = TopicPartition(topic, 0), TopicPartition(topic, 1)
    async with consumer() as client:
        client.assign([zero, one])
        assert client.assignment() == {zero, one}
        assert await client.beginning_offsets([zero, one]) == {zero: 0, one: 0}
        assert await client.end_offsets([zero, one]) == {zero: 10, one: 5}
        assert sorted(texts(await take(client, 15))) == sorted(numbers(10) + numbers(100, 105))
        client.seek(zero, 7)
        assert texts(await take(client, 3)) == ["7", "8", "9"]
        assert await client.position(zero) == 10 and client.highwater(zero) == 10
        await client.seek_to_beginning(one)
        record = await asyncio.wait_for(client.getone(one), PATIENCE)
        assert record.value == b"100"
        await client.seek_to_end(one)
        assert await client.position(one) == 5
        assert topic in await client.topics()
        assert client.partitions_for_topic(topic) == {0, 1}


@check("consumer: offsets by time")
async def by_time():
    topic = await new_topic()
    place = TopicPartition(topic, 0)
    began = int(time.time() * 1000) - 600_000
    async with producer() as client:
        for at in range(10):
            await client.send_and_wait(topic, b"%d" % at, timestamp_ms=began + at * 1000)
    async with consumer() as client:
        for asked, wanted in [(began, 0), (began + 4500, 5), (began + 9000, 9)]:
            found = (await client.offsets_for_times({place: asked}))[place]
            assert (found.offset, found.timestamp) == (wanted, began + wanted * 1000), found
        assert (await client.offsets_for_times({place: began + 60_000}))[place] is None


@check("consumer: many at once, paused and resumed")
async def many():
    topic = await new_topic(2)
    await fill(topic, range(50), 0)
    await fill(topic, range(50, 100), 1)
    zero, one = TopicPartition(topic, 0), TopicPartition(topic, 1)
    async with consumer() as client:
        client.assign([zero, one])
        client.pause(zero)
        assert client.paused() == {zero}
        seen = []
        while len(seen) < 50:
            batch = await asyncio.wait_for(client.getmany(timeout_ms=1000, max_records=7), PATIENCE)
            assert sum(map(len, batch.values())) <= 7 and zero not in batch
            seen += [record for records in batch.values() for record in records]
        assert texts(seen) == numbers(50, 100)
        client.resume(zero)
        assert texts(await take(client, 50)) == numbers(50)


@check("consumer: an offset that is not there is told, if nothing says where to begin")
async def out_of_range():
    topic = await new_topic()
    await fill(topic, range(5))
    place = TopicPartition(topic, 0)
    async with consumer(auto_offset_reset="none") as client:
        client.assign([place])
        client.seek(place, 100)
        try:
            await asyncio.wait_for(client.getone(), PATIENCE)
            raise AssertionError("something came")
        except errors.OffsetOutOfRangeError as error:
            assert error.args[0] == {place: 100}, error.args


@check("consumer: it goes on where it was, though the broker is killed")
async def consumer_through_restart():
    topic = await new_topic()
    await fill(topic, range(100))
    async with consumer(topic) as client:
        assert texts(await take(client, 100)) == numbers(100)
        await restart_broker()
        await fill(topic, range(100, 200), request_timeout_ms=60_000)
        assert texts(await take(client, 100)) == numbers(100, 200)


# Groups.

class Listener(ConsumerRebalanceListener):
    """Keeps what a member is given and what it is told to give back."""

    def __init__(self):
        self.given, self.told = set(), []

    async def on_partitions_revoked(self, revoked):
        self.told.append(("revoked", set(revoked)))

    async def on_partitions_assigned(self, assigned):
        self.told.append(("assigned", set(assigned)))
        self.given = set(assigned)


MEMBER = {"heartbeat_interval_ms": 300, "session_timeout_ms": 30_000, "rebalance_timeout_ms": 60_000}


@contextlib.asynccontextmanager
async def member(topic, group, **settings):
    listener = Listener()
    async with consumer(group_id=group, **{**MEMBER, **settings}) as client:
        client.subscribe([topic], listener=listener)
        yield client, listener


async def take_all(members, count, seen):
    """So many different messages, from all members together."""
    deadline = time.monotonic() + PATIENCE
    while len(seen) < count:
        assert time.monotonic() < deadline, "%d of %d came" % (len(seen), count)
        for client, _ in members:
            for records in (await client.getmany(timeout_ms=100)).values():
                for record in records:
                    seen.setdefault(record.value.decode(), []).append(client)


async def share(members, each):
    async def holds():
        for client, _ in members:
            # Members join while they are asked for messages.
            await client.getmany(timeout_ms=50, max_records=1)
        return all(len(listener.given) == each for _, listener in members)
    await until("each member has %d partitions" % each, holds)


@check("groups: members share, are told what they have, and take over what one leaves")
async def members_share():
    topic, group = await new_topic(6), named("group")
    async with member(topic, group) as one, member(topic, group) as two:
        async with member(topic, group) as three:
            await share([one, two, three], 2)
            given = [listener.given for _, listener in (one, two, three)]
            assert set.union(*given) == {TopicPartition(topic, at) for at in range(6)}
            for at in range(6):
                await fill(topic, range(at * 100, at * 100 + 20), at)
            seen = {}
            await take_all([one, two, three], 120, seen)
            assert all(len(by) == 1 for by in seen.values()), "each came once"
            assert len({by[0] for by in seen.values()}) == 3
            for client, _ in (one, two, three):
                await client.commit()
        await share([one, two], 3)
        assert one[1].told[-1][0] == "assigned"
        assert any(what == "revoked" for what, _ in one[1].told)


@check("groups: offsets are committed with metadata, and a new member goes on there")
async def commits():
    topic, group = await new_topic(), named("group")
    place = TopicPartition(topic, 0)
    await fill(topic, range(20))
    async with consumer(topic, group_id=group, **MEMBER) as client:
        assert texts(await take(client, 20)) == numbers(20)
        await client.commit({place: OffsetAndMetadata(12, "twelve")})
        assert await client.committed(place) == 12
        client.seek(place, 3)
        await client.seek_to_committed(place)
        assert await client.position(place) == 12
    async with consumer(topic, group_id=group, **MEMBER) as client:
        assert texts(await take(client, 8)) == numbers(12, 20)
        await client.commit()
    async with admin() as asks:
        found = await asks.list_consumer_group_offsets(group)
        assert found[place].offset == 20


@check("groups: offsets are committed by themselves")
async def commits_by_itself():
    topic, group = await new_topic(), named("group")
    place = TopicPartition(topic, 0)
    await fill(topic, range(10))
    settings = {**MEMBER, "enable_auto_commit": True, "auto_commit_interval_ms": 200}
    async with consumer(topic, group_id=group, **settings) as client, admin() as asks:
        await take(client, 10)

        async def committed():
            found = await asks.list_consumer_group_offsets(group)
            return place in found and found[place].offset == 10
        await until("all is committed", committed)


@check("groups: a pattern finds topics, and those that are made later")
async def patterns():
    stem = named("pattern")
    async with admin() as asks, consumer(group_id=named("group"), **MEMBER) as client:
        await asks.create_topics([NewTopic(stem + "-a", 1, 1)])
        client.subscribe(pattern="^%s-.*" % stem)
        await fill(stem + "-a", ["one"])
        assert texts(await take(client, 1)) == ["one"]
        # Or it would come again when the group shares the next topic out.
        await client.commit()
        await asks.create_topics([NewTopic(stem + "-b", 1, 1)])
        await fill(stem + "-b", ["two"])
        assert texts(await take(client, 1)) == ["two"]


@check("groups: a static member comes back to what it had, and nobody else notices")
async def static_members():
    topic, group = await new_topic(2), named("group")
    settings = {"session_timeout_ms": 60_000}
    async with member(topic, group, group_instance_id="stays", **settings) as stays:
        async with member(topic, group, group_instance_id="leaves", **settings) as leaves:
            await share([stays, leaves], 1)
            had, told = leaves[1].given, len(stays[1].told)
        async with member(topic, group, group_instance_id="leaves", **settings) as back:
            await share([back], 1)
            assert back[1].given == had
            await stays[0].getmany(timeout_ms=1000)
            assert len(stays[1].told) == told, stays[1].told


@check("groups: members go on after the broker is killed, and nothing is lost")
async def group_through_restart():
    topic, group = await new_topic(4), named("group")
    async with member(topic, group) as one, member(topic, group) as two:
        await share([one, two], 2)
        seen = {}
        for at in range(4):
            await fill(topic, range(at * 1000, at * 1000 + 50), at)
        await take_all([one, two], 200, seen)
        await restart_broker()
        for at in range(4):
            await fill(topic, range(at * 1000 + 50, at * 1000 + 100), at, request_timeout_ms=60_000)
        await take_all([one, two], 400, seen)


# The admin client.

@check("admin: topics are made, described, listed and deleted")
async def admin_topics():
    topic = named("topic")
    async with admin() as client:
        answer = await client.create_topics([NewTopic(topic, 3, 1)], validate_only=True)
        assert codes(answer.topic_errors) == {topic: 0}
        assert topic not in await client.list_topics()
        wanted = NewTopic(topic, 3, 1, topic_configs={"retention.ms": "60000"})
        assert codes((await client.create_topics([wanted])).topic_errors) == {topic: 0}
        exists = errors.TopicAlreadyExistsError.errno
        assert codes((await client.create_topics([wanted])).topic_errors) == {topic: exists}
        assert topic in await client.list_topics()
        [described] = await client.describe_topics([topic])
        assert (described["topic"], described["error_code"]) == (topic, 0)
        assert [one["leader"] for one in described["partitions"]] == [0, 0, 0]
        answer = await client.delete_topics([topic])
        assert codes(answer.topic_error_codes) == {topic: 0}
        assert topic not in await client.list_topics()


@check("admin: partitions are added, not taken away")
async def admin_partitions():
    topic = await new_topic(2)
    async with admin() as client:
        await client.create_partitions({topic: NewPartitions(5)})
        [described] = await client.describe_topics([topic])
        assert len(described["partitions"]) == 5
        try:
            await client.create_partitions({topic: NewPartitions(1)})
            raise AssertionError("they were taken away")
        except errors.InvalidPartitionsError:
            pass


@check("admin: settings of topics and of the broker")
async def admin_configs():
    topic = await new_topic()

    async def value_of(client, kind, name, key):
        [answer] = await client.describe_configs([ConfigResource(kind, name, {key: None})])
        [resource] = answer.resources
        assert resource[0] == 0, resource
        [entry] = resource[4]
        return entry[1]
    async with admin() as client:
        await client.alter_configs(
            [ConfigResource(ConfigResourceType.TOPIC, topic, {"retention.ms": "60000"})])
        assert await value_of(client, ConfigResourceType.TOPIC, topic, "retention.ms") == "60000"
        assert await value_of(client, ConfigResourceType.BROKER, "0", "num.partitions") == "1"


@check("admin: records are deleted")
async def admin_records():
    topic = await new_topic()
    await fill(topic, range(10))
    place = TopicPartition(topic, 0)
    async with admin() as client:
        assert await client.delete_records({place: RecordsToDelete(4)}) == {place: 4}
    assert texts(await read(topic)) == numbers(4, 10)


@check("admin: groups are listed and described")
async def admin_groups():
    topic, group = await new_topic(2), named("group")
    async with member(topic, group) as one, admin() as client:
        await share([one], 2)
        assert (group, "consumer") in [row[:2] for row in await client.list_consumer_groups()]
        assert await client.find_coordinator(group) == 0
        [answer] = await client.describe_consumer_groups([group])
        [described] = answer.to_object()["groups"]
        assert (described["error_code"], described["group"]) == (0, group)
        assert (described["state"], described["protocol_type"]) == ("Stable", "consumer")
        assert len(described["members"]) == 1


@check("admin: the cluster is described")
async def admin_cluster():
    async with admin() as client:
        described = await client.describe_cluster()
        [broker] = described["brokers"]
        assert described["controller_id"] == broker["node_id"] == 0
        assert broker["port"] == int(SERVER.rsplit(":", 1)[1])


# TLS and logins: a second broker.

class Token(AbstractTokenProvider):
    async def token(self):
        def part(value):
            return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
        now = int(time.time())
        claims = {"sub": "carol", "iat": now - 60, "exp": now + 3600}
        return part({"alg": "none"}) + "." + part(claims) + "."


def secured(protocol, **settings):
    if protocol.endswith("SSL"):
        settings["ssl_context"] = create_ssl_context(
            cafile=PLACES["ca"], certfile=settings.pop("certificate", None))
    return {"bootstrap_servers": PLACES[protocol], "security_protocol": protocol, **settings}


async def lets_in(settings):
    topic = await new_topic(**settings)
    await fill(topic, ["secret"], **settings)
    assert texts(await read(topic, **settings)) == ["secret"]


async def refuses(settings):
    try:
        async with producer(**settings):
            raise AssertionError("it was let in")
    except errors.KafkaError:
        pass


@check("TLS: a client with a certificate is let in, one without is not")
async def tls():
    await lets_in(secured("SSL", certificate=PLACES["certificate"]))
    await refuses(secured("SSL"))


async def passwords(protocol, mechanism):
    settings = secured(protocol, sasl_mechanism=mechanism, sasl_plain_username="bob",
                       sasl_plain_password="bob's secret")
    await lets_in(settings)
    await refuses({**settings, "sasl_plain_password": "wrong"})


for protocol, mechanism in itertools.product(
        ["SASL_SSL", "SASL_PLAINTEXT"], ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]):
    check("%s, %s: the right password lets in, a wrong one does not" % (protocol, mechanism))(
        lambda protocol=protocol, mechanism=mechanism: passwords(protocol, mechanism))

for protocol in ["SASL_SSL", "SASL_PLAINTEXT"]:
    check("%s, OAUTHBEARER: a token lets in" % protocol)(
        lambda protocol=protocol: lets_in(secured(
            protocol, sasl_mechanism="OAUTHBEARER", sasl_oauth_token_provider=Token())))


async def main():
    for name, run in checks:
        how = None
        try:
            await asyncio.wait_for(run(), CHECK_MAX)
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)
            own = [frame.lineno for frame in place if frame.filename == __file__]
            how = "%r at lines %s" % (error, own)
        emit(event="test", name=name, failed=how)
    emit(event="end")


asyncio.run(main())
