// What users of kafkajs do, one check a promise.
'use strict'

const assert = require('node:assert/strict')
const { randomBytes } = require('node:crypto')
const fs = require('node:fs')
const { AclOperationTypes, AclPermissionTypes, AclResourceTypes } = require('kafkajs')
const { AssignerProtocol, CompressionCodecs, CompressionTypes, ConfigResourceTypes } = require('kafkajs')
const { Kafka, logLevel, PartitionAssigners, Partitioners, ResourcePatternTypes } = require('kafkajs')
const zstd = require('@mongodb-js/zstd')
const { check, eventually, newName: name, restartBroker, run, Seen, tokenOf } = require('../node/checks.js')

CompressionCodecs[CompressionTypes.Snappy] = require('kafkajs-snappy')
const Lz4 = require('kafkajs-lz4')
CompressionCodecs[CompressionTypes.LZ4] = new Lz4().codec
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: encoder => zstd.compress(encoder.buffer),
  decompress: buffer => zstd.decompress(buffer),
})

const settings = {
  clientId: 'program',
  logLevel: logLevel.NOTHING,
  connectionTimeout: 30_000,
  authenticationTimeout: 30_000,
  retry: { initialRetryTime: 100, retries: 12 },
}

const kafka = new Kafka({ ...settings, brokers: [process.env.KAFKA] })

/** Runs with a connected admin client. */
async function asAdmin(use, client = kafka) {
  const admin = client.admin()
  await admin.connect()
  try {
    return await use(admin)
  } finally {
    await admin.disconnect()
  }
}

async function asProducer(options, use, client = kafka) {
  const producer = client.producer({ createPartitioner: Partitioners.DefaultPartitioner, ...options })
  await producer.connect()
  try {
    return await use(producer)
  } finally {
    await producer.disconnect()
  }
}

/** For `assert.rejects`: an error that comes from one of these of the protocol. */
const saying = (...types) => error => {
  const all = []
  for (let one = error; one; one = one.cause ?? one.originalError) all.push(one)
  assert.ok(all.some(one => types.includes(one.type)), `${all.map(one => one.type ?? one.message)} instead of ${types}`)
  return true
}

/** A new topic. */
async function newTopic(numPartitions = 1) {
  const topic = name('topic')
  await asAdmin(admin => admin.createTopics({ topics: [{ topic, numPartitions }] }))
  return topic
}

/** Runs with a consumer that has subscribed; what it reads is in `seen`. */
async function asConsumer(topic, options, use, client = kafka) {
  const consumer = client.consumer({ groupId: name('group'), maxWaitTimeInMs: 100, ...options })
  const seen = new Seen()
  await consumer.connect()
  await consumer.subscribe({ topics: [topic], fromBeginning: options.fromBeginning ?? true })
  const eachMessage = async ({ partition, message }) => seen.push({ partition, ...message })
  await consumer.run({ eachMessage, ...options.run })
  try {
    return await use(seen, consumer)
  } finally {
    await consumer.disconnect()
  }
}

/** What became of an event of a consumer, so that it can be waited for. */
function watch(consumer, event) {
  const seen = new Seen()
  consumer.on(consumer.events[event], ({ payload }) => seen.push(payload))
  return seen
}

const values = messages => messages.map(message => message.value && message.value.toString())
const numbers = (count, from = 0) => Array.from({ length: count }, (_, i) => ({ value: `${from + i}` }))

const send = (topic, messages, options = {}) =>
  asProducer(options, producer => producer.send({ topic, messages }))

/** Reads so many messages of a topic and returns them. */
const read = (topic, count, options = {}, client = kafka) =>
  asConsumer(topic, options, async seen => [...(await seen.until(`${count} messages`, count))], client)

check('admin: topics are created, listed, grown and deleted', () => asAdmin(async admin => {
  const topic = name('topic')
  assert.equal(await admin.createTopics({ topics: [{ topic, numPartitions: 2 }] }), true)
  assert.ok((await admin.listTopics()).includes(topic))
  await admin.createPartitions({ topicPartitions: [{ topic, count: 3 }] })
  const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
  assert.deepEqual(topics[0].partitions.map(p => p.partitionId).sort(), [0, 1, 2])
  await admin.deleteTopics({ topics: [topic] })
  assert.ok(!(await admin.listTopics()).includes(topic))
}))

check('admin: a topic that exists is not created again', async () => {
  const topic = await newTopic()
  assert.equal(await asAdmin(admin => admin.createTopics({ topics: [{ topic }] })), false)
})

check('admin: errors name what is wrong', async () => {
  const topic = await newTopic(2)
  await asAdmin(async admin => {
    const bad = admin.createTopics({ topics: [{ topic: 'not/allowed' }] })
    await assert.rejects(bad, error => error.errors[0].type === 'INVALID_TOPIC_EXCEPTION')
    const fewer = admin.createPartitions({ topicPartitions: [{ topic, count: 1 }] })
    await assert.rejects(fewer, { type: 'INVALID_PARTITIONS' })
    const copies = [{ topic: name('copies'), replicationFactor: 3 }]
    await assert.rejects(admin.createTopics({ topics: copies }), error => error.errors[0].type === 'INVALID_REPLICATION_FACTOR')
    const nowhere = admin.fetchTopicMetadata({ topics: [name('nowhere')] })
    await assert.rejects(nowhere, { type: 'UNKNOWN_TOPIC_OR_PARTITION' })
    const configEntries = [{ name: 'retention.ms', value: 'soon' }]
    const wrong = admin.alterConfigs({ resources: [{ type: ConfigResourceTypes.TOPIC, name: topic, configEntries }] })
    await assert.rejects(wrong, { type: 'INVALID_CONFIG' })
  })
})

check('admin: configurations are given, described and altered', async () => {
  const topic = name('topic')
  await asAdmin(async admin => {
    const configEntries = [{ name: 'retention.ms', value: '123456' }]
    await admin.createTopics({ topics: [{ topic, configEntries }] })
    const resource = { type: ConfigResourceTypes.TOPIC, name: topic }
    const retention = async () => {
      const asked = [{ ...resource, configNames: ['retention.ms'] }]
      const { resources } = await admin.describeConfigs({ resources: asked })
      return resources[0].configEntries[0].configValue
    }
    assert.equal(await retention(), '123456')
    const validated = [{ ...resource, configEntries: [{ name: 'retention.ms', value: '1' }] }]
    await admin.alterConfigs({ resources: validated, validateOnly: true })
    assert.equal(await retention(), '123456')
    await admin.alterConfigs({ resources: [{ ...resource, configEntries: [{ name: 'retention.ms', value: '654321' }] }] })
    assert.equal(await retention(), '654321')
  })
})

check("admin: a broker's configuration is described", () => asAdmin(async admin => {
  const { controller } = await admin.describeCluster()
  const resources = [{ type: ConfigResourceTypes.BROKER, name: `${controller}` }]
  const described = await admin.describeConfigs({ resources })
  assert.ok(described.resources[0].configEntries.some(entry => entry.configName === 'log.dirs'))
}))

check('admin: a topic is validated without being made', () => asAdmin(async admin => {
  const topic = name('topic')
  await admin.createTopics({ topics: [{ topic }], validateOnly: true, waitForLeaders: false })
  assert.ok(!(await admin.listTopics()).includes(topic))
}))

check('admin: partitions stay where they lie', async () => {
  const topic = await newTopic()
  await asAdmin(async admin => {
    const { controller } = await admin.describeCluster()
    const partitionAssignment = [{ partition: 0, replicas: [controller] }]
    await admin.alterPartitionReassignments({ topics: [{ topic, partitionAssignment }] })
    const { topics } = await admin.listPartitionReassignments({ topics: [{ topic, partitions: [0] }] })
    assert.deepEqual(topics, [])
  })
})

check('admin: the cluster is described', () => asAdmin(async admin => {
  const { brokers, controller, clusterId } = await admin.describeCluster()
  assert.equal(brokers.length, 1)
  assert.equal(controller, brokers[0].nodeId)
  assert.ok(clusterId)
}))

check('admin: offsets are found by place and by time, and records deleted', async () => {
  const topic = await newTopic()
  await asProducer({}, producer => producer.send({
    topic, messages: numbers(10).map((m, i) => ({ ...m, timestamp: `${1000 + i}` })),
  }))
  await asAdmin(async admin => {
    const [{ low, high }] = await admin.fetchTopicOffsets(topic)
    assert.deepEqual([low, high], ['0', '10'])
    const [{ offset }] = await admin.fetchTopicOffsetsByTimestamp(topic, 1004)
    assert.equal(offset, '4')
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '7' }] })
    assert.equal((await admin.fetchTopicOffsets(topic))[0].low, '7')
  })
  assert.deepEqual(values(await read(topic, 3)), ['7', '8', '9'])
})


check('producer: a message keeps its key, value, headers and time', async () => {
  const topic = await newTopic()
  const sent = { key: 'k', value: 'v', headers: { a: '1', b: Buffer.from([0, 255]) }, timestamp: '1234567890123' }
  await asProducer({}, producer => producer.send({ topic, messages: [sent] }))
  const [message] = await read(topic, 1)
  assert.equal(message.key.toString(), 'k')
  assert.equal(message.value.toString(), 'v')
  assert.equal(message.headers.a.toString(), '1')
  assert.deepEqual(message.headers.b, Buffer.from([0, 255]))
  assert.equal(message.timestamp, sent.timestamp)
})

check('producer: null and empty are told apart', async () => {
  const topic = await newTopic()
  const messages = [{ key: null, value: null }, { key: '', value: '' }]
  await asProducer({}, producer => producer.send({ topic, messages }))
  const [first, second] = await read(topic, 2)
  assert.deepEqual([first.key, first.value], [null, null])
  assert.deepEqual([second.key.length, second.value.length], [0, 0])
})

for (const [label, acks] of [['none', 0], ['the leader', 1], ['all', -1]]) {
  check(`producer: waits for ${label}`, async () => {
    const topic = await newTopic()
    const told = await asProducer({}, producer => producer.send({ topic, acks, messages: numbers(20) }))
    assert.equal(acks === 0 || told[0].baseOffset === '0', true)
    assert.deepEqual(values(await read(topic, 20)), values(numbers(20)))
  })
}

for (const codec of ['GZIP', 'Snappy', 'LZ4', 'ZSTD']) {
  check(`producer: compresses with ${codec}`, async () => {
    const topic = await newTopic()
    const messages = numbers(50).map(({ value }) => ({ value: value.repeat(100) }))
    await asProducer({}, producer => producer.send({ topic, messages, compression: CompressionTypes[codec] }))
    assert.deepEqual(values(await read(topic, 50)), values(messages))
  })
}

check('producer: a value of 900,000 bytes', async () => {
  const topic = await newTopic()
  const value = randomBytes(900_000)
  await send(topic, [{ value }])
  assert.deepEqual((await read(topic, 1))[0].value, value)
})

check('producer: ten thousand messages, each once and in order', async () => {
  const topic = await newTopic(3)
  const messages = Array.from({ length: 10_000 }, (_, i) => ({ value: `${i}`, partition: i % 3 }))
  await asProducer({ idempotent: true }, async producer => {
    for (let i = 0; i < messages.length; i += 500) await producer.send({ topic, messages: messages.slice(i, i + 500) })
  })
  const got = await read(topic, 10_000)
  for (const partition of [0, 1, 2]) {
    const sent = values(messages.filter(m => m.partition === partition))
    assert.deepEqual(values(got.filter(m => m.partition === partition)), sent)
  }
})

check('producer: one request for several topics', async () => {
  const topics = [await newTopic(), await newTopic()]
  const topicMessages = topics.map(topic => ({ topic, messages: numbers(5) }))
  await asProducer({}, producer => producer.sendBatch({ topicMessages }))
  for (const topic of topics) assert.deepEqual(values(await read(topic, 5)), values(numbers(5)))
})

check('producer: equal keys go to one partition, and a partition can be named', async () => {
  const topic = await newTopic(4)
  const messages = [...numbers(20).map(m => ({ ...m, key: 'same' })), { value: 'named', partition: 3 }]
  await asProducer({}, producer => producer.send({ topic, messages }))
  const got = await read(topic, 21)
  assert.equal(new Set(got.filter(m => m.key).map(m => m.partition)).size, 1)
  assert.equal(got.find(m => m.value.toString() === 'named').partition, 3)
})

check('producer: idempotent, and in order', async () => {
  const topic = await newTopic()
  await asProducer({ idempotent: true }, async producer => {
    for (let i = 0; i < 10; i++) await producer.send({ topic, messages: numbers(10, i * 10) })
  })
  assert.deepEqual(values(await read(topic, 100)), values(numbers(100)))
})

check('producer: a message that is too large is refused', async () => {
  const topic = await newTopic()
  await asAdmin(admin => admin.alterConfigs({ resources: [{
    type: ConfigResourceTypes.TOPIC, name: topic, configEntries: [{ name: 'max.message.bytes', value: '2000' }],
  }] }))
  const messages = [{ value: Buffer.alloc(5000) }]
  await asProducer({}, producer => assert.rejects(producer.send({ topic, messages }), { type: 'MESSAGE_TOO_LARGE' }))
})

check('producer: a topic that may not be made is not', async () => {
  const topic = name('missing')
  const sent = send(topic, numbers(1), { allowAutoTopicCreation: false, retry: { retries: 1 } })
  await assert.rejects(sent, saying('UNKNOWN_TOPIC_OR_PARTITION'))
  assert.ok(!(await asAdmin(admin => admin.listTopics())).includes(topic))
})

check('producer: a topic is made on first use', async () => {
  const topic = name('made')
  await asProducer({}, producer => producer.send({ topic, messages: numbers(1) }))
  assert.deepEqual(values(await read(topic, 1)), ['0'])
})

check('group: members share the partitions, and the rest take over', async () => {
  const topic = await newTopic(4)
  const options = { groupId: name('group'), heartbeatInterval: 300, sessionTimeout: 60_000, rebalanceTimeout: 60_000 }
  const has = count => joins => joins.at(-1)?.memberAssignment[topic]?.length === count
  await asConsumer(topic, options, async (first, one) => {
    const joins = watch(one, 'GROUP_JOIN')
    await asConsumer(topic, options, async (second, two) => {
      await joins.until('half of the partitions', has(2))
      await send(topic, numbers(40).map((m, i) => ({ ...m, partition: i % 4 })))
      const ofBoth = () => new Set(values([...first.items, ...second.items])).size
      await eventually('forty messages', async () => ofBoth(), count => count === 40)
      // What was asked for before the partitions moved may still have come to the first.
      const round = [0, 1, 2, 3].map(partition => ({ value: 'round', partition }))
      const rounds = () => send(topic, round).then(() => [first.items.length, second.items.length])
      await eventually('messages for both', rounds, counts => counts.every(count => count > 0))
      assert.equal((await two.describeGroup()).members.length, 2)
    })
    await joins.until('all partitions', has(4))
    await send(topic, [{ value: 'last', partition: 3 }])
    await first.until('the message of a partition taken over', items => values(items).includes('last'))
  })
})

check('group: an assigner of its own', async () => {
  const topic = await newTopic(3)
  const all = ({ cluster }) => ({
    name: 'AllToOne',
    version: 1,
    async assign({ members, topics }) {
      const [{ memberId }] = members
      const assignment = Object.fromEntries(topics.map(topic => [topic, cluster.findTopicPartitionMetadata(topic).map(p => p.partitionId)]))
      return [{ memberId, memberAssignment: AssignerProtocol.MemberAssignment.encode({ version: 1, assignment }) }]
    },
    protocol: ({ topics }) => ({ name: 'AllToOne', metadata: AssignerProtocol.MemberMetadata.encode({ version: 1, topics }) }),
  })
  await send(topic, numbers(9).map((m, i) => ({ ...m, partition: i % 3 })))
  await asConsumer(topic, { partitionAssigners: [all, PartitionAssigners.roundRobin] }, async (seen, consumer) => {
    await seen.until('nine messages', 9)
    assert.equal((await consumer.describeGroup()).protocol, 'AllToOne')
  })
})

check('group: a message whose handling fails comes again', async () => {
  const topic = await newTopic()
  await send(topic, numbers(5))
  const handled = new Seen()
  let failures = 0
  const eachMessage = async ({ message }) => {
    if (message.offset === '3' && failures++ === 0) throw new Error('once')
    handled.push(message)
  }
  await asConsumer(topic, { run: { eachMessage } }, () => handled.until('five messages', 5))
  assert.deepEqual(values(handled.items), ['0', '1', '2', '3', '4'])
  assert.equal(failures, 2)
})

check('group: goes on where it committed', async () => {
  const topic = await newTopic()
  const groupId = name('group')
  await asProducer({}, producer => producer.send({ topic, messages: numbers(10) }))
  await asConsumer(topic, { groupId, run: { autoCommit: false } }, async (seen, consumer) => {
    await seen.until('ten messages', 10)
    await consumer.commitOffsets([{ topic, partition: 0, offset: '6', metadata: 'half' }])
  })
  await asAdmin(async admin => {
    const [{ partitions }] = await admin.fetchOffsets({ groupId, topics: [topic] })
    assert.deepEqual([partitions[0].offset, partitions[0].metadata], ['6', 'half'])
  })
  assert.deepEqual(values(await read(topic, 4, { groupId })), ['6', '7', '8', '9'])
})

check('group: described, its offsets set and reset, deleted', async () => {
  const topic = await newTopic()
  const groupId = name('group')
  await asProducer({}, producer => producer.send({ topic, messages: numbers(5) }))
  await asConsumer(topic, { groupId }, async seen => {
    await seen.until('five messages', 5)
    const { groups } = await asAdmin(admin => admin.describeGroups([groupId]))
    assert.deepEqual([groups[0].state, groups[0].members.length], ['Stable', 1])
  })
  await asAdmin(async admin => {
    assert.ok((await admin.listGroups()).groups.some(group => group.groupId === groupId))
    await admin.setOffsets({ groupId, topic, partitions: [{ partition: 0, offset: '3' }] })
    const offset = async more => (await admin.fetchOffsets({ groupId, ...more }))[0].partitions[0].offset
    assert.equal(await offset({ topics: [topic] }), '3')
    assert.equal(await offset({}), '3')
    await admin.resetOffsets({ groupId, topic, earliest: true })
    assert.equal(await offset({ topics: [topic], resolveOffsets: true }), '0')
    await admin.resetOffsets({ groupId, topic, earliest: false })
    assert.equal(await offset({ topics: [topic], resolveOffsets: true }), '5')
    await admin.deleteGroups([groupId])
    assert.ok(!(await admin.listGroups()).groups.some(group => group.groupId === groupId))
  })
})

check('consumer: seeks, pauses and resumes', async () => {
  const topic = await newTopic()
  await asProducer({}, async producer => {
    await producer.send({ topic, messages: numbers(10) })
    await asConsumer(topic, {}, async (seen, consumer) => {
      await seen.until('ten messages', 10)
      consumer.seek({ topic, partition: 0, offset: '8' })
      await seen.until('two again', 12)
      assert.deepEqual(values(seen.items.slice(10)), ['8', '9'])
      consumer.pause([{ topic }])
      await producer.send({ topic, messages: numbers(1, 10) })
      assert.equal(consumer.paused().length, 1)
      consumer.resume([{ topic }])
      await seen.until('one more', 13)
    })
  })
})

check('consumer: a paused partition gives nothing until it is resumed', async () => {
  const topic = await newTopic(2)
  await asConsumer(topic, {}, async (seen, consumer) => {
    await send(topic, [0, 1].map(partition => ({ value: 'first', partition })))
    await seen.until('one message of each', 2)
    consumer.pause([{ topic, partitions: [0] }])
    await send(topic, [{ value: 'held back', partition: 0 }])
    await send(topic, [{ value: 'read', partition: 1 }])
    await seen.until('a third message', 3)
    assert.equal(seen.items[2].value.toString(), 'read')
    consumer.resume([{ topic, partitions: [0] }])
    await seen.until('the one held back', 4)
    assert.equal(seen.items[3].value.toString(), 'held back')
  })
})

check('consumer: begins at the end, where it is told to', async () => {
  const topic = await newTopic()
  await send(topic, numbers(5))
  await asConsumer(topic, { fromBeginning: false }, async (seen, consumer) => {
    await watch(consumer, 'FETCH').until('a fetch', 1)
    await send(topic, numbers(1, 5))
    await seen.until('one message', 1)
    assert.deepEqual(values(seen.items), ['5'])
  })
})

check('consumer: stops and runs again where it was', async () => {
  const topic = await newTopic()
  await asConsumer(topic, {}, async (seen, consumer) => {
    await send(topic, numbers(5))
    await seen.until('five messages', 5)
    await consumer.stop()
    await send(topic, numbers(5, 5))
    await consumer.run({ eachMessage: async ({ message }) => seen.push(message) })
    await seen.until('the rest', 10)
    assert.deepEqual(values(seen.items), values(numbers(10)))
  })
})

check('consumer: several partitions at once, and few bytes of each', async () => {
  const topic = await newTopic(4)
  const messages = numbers(80).map((m, i) => ({ value: m.value.padEnd(1000), partition: i % 4 }))
  await send(topic, messages)
  const options = { maxBytesPerPartition: 1500, minBytes: 1, maxBytes: 4000 }
  const seen = new Seen()
  const run = { partitionsConsumedConcurrently: 4, eachMessage: async ({ message }) => seen.push(message) }
  await asConsumer(topic, { ...options, run }, () => seen.until('eighty messages', 80))
  assert.deepEqual(new Set(values(seen.items)), new Set(values(messages)))
})

check('consumer: whole batches, resolved one by one', async () => {
  const topic = await newTopic()
  await asProducer({}, producer => producer.send({ topic, messages: numbers(30) }))
  const batches = new Seen()
  const eachBatch = async ({ batch, resolveOffset, heartbeat, commitOffsetsIfNecessary }) => {
    for (const message of batch.messages) {
      resolveOffset(message.offset)
      await heartbeat()
    }
    await commitOffsetsIfNecessary()
    batches.push(batch.messages.length)
  }
  const all = sizes => sizes.reduce((sum, size) => sum + size, 0) === 30
  await asConsumer(topic, { run: { eachMessage: undefined, eachBatch } }, () => batches.until('thirty messages', all))
})

check('consumer: topics by a regular expression', async () => {
  const prefix = name('regex')
  const topics = [`${prefix}-a`, `${prefix}-b`]
  await asAdmin(admin => admin.createTopics({ topics: topics.map(topic => ({ topic })) }))
  await asProducer({}, producer => producer.sendBatch({ topicMessages: topics.map(topic => ({ topic, messages: numbers(2) })) }))
  assert.equal((await read(new RegExp(`^${prefix}-.*`), 4)).length, 4)
})

check('transactions: committed is read, aborted is not', async () => {
  const topic = await newTopic()
  const options = { transactionalId: name('tx'), idempotent: true, maxInFlightRequests: 1 }
  await asProducer(options, async producer => {
    for (const [value, end] of [['yes', 'commit'], ['no', 'abort'], ['also', 'commit']]) {
      const transaction = await producer.transaction()
      await transaction.send({ topic, messages: [{ value }] })
      await transaction[end]()
    }
  })
  assert.deepEqual(values(await read(topic, 2)), ['yes', 'also'])
  assert.deepEqual(values(await read(topic, 3, { readUncommitted: true })), ['yes', 'no', 'also'])
})

check('transactions: offsets are part of them', async () => {
  const topic = await newTopic()
  const groupId = name('group')
  const topics = [{ topic, partitions: [{ partition: 0, offset: '5' }] }]
  const options = { transactionalId: name('tx'), idempotent: true, maxInFlightRequests: 1 }
  const committed = () => asAdmin(async admin => (await admin.fetchOffsets({ groupId, topics: [topic] }))[0].partitions[0].offset)
  await asProducer(options, async producer => {
    const aborted = await producer.transaction()
    await aborted.sendOffsets({ consumerGroupId: groupId, topics })
    await aborted.abort()
    assert.equal(await committed(), '-1')
    const transaction = await producer.transaction()
    await transaction.send({ topic, messages: numbers(1) })
    await transaction.sendOffsets({ consumerGroupId: groupId, topics })
    await transaction.commit()
    assert.equal(await committed(), '5')
  })
})

check('transactions: a second producer of the same name shuts out the first', async () => {
  const topic = await newTopic()
  const options = { transactionalId: name('tx'), idempotent: true, maxInFlightRequests: 1, retry: { retries: 1 } }
  await asProducer(options, async old => {
    const lost = await old.transaction()
    await lost.send({ topic, messages: [{ value: 'lost' }] })
    await asProducer(options, async young => {
      const transaction = await young.transaction()
      await transaction.send({ topic, messages: [{ value: 'kept' }] })
      await transaction.commit()
    })
    await assert.rejects(lost.commit(), saying('INVALID_PRODUCER_EPOCH', 'PRODUCER_FENCED'))
  })
  assert.deepEqual(values(await read(topic, 1)), ['kept'])
})

check('transactions: one topic becomes another, exactly once, though the work fails', async () => {
  const [from, to] = [await newTopic(), await newTopic()]
  const groupId = name('group')
  await send(from, numbers(10))
  const options = { transactionalId: name('tx'), idempotent: true, maxInFlightRequests: 1 }
  const failed = new Set()
  await asProducer(options, async producer => {
    const done = new Seen()
    const eachBatch = async ({ batch, resolveOffset, isRunning, isStale }) => {
      for (const { value, offset } of batch.messages) {
        if (!isRunning() || isStale()) return
        const transaction = await producer.transaction()
        await transaction.send({ topic: to, messages: [{ value }] })
        const partitions = [{ partition: batch.partition, offset: `${Number(offset) + 1}` }]
        await transaction.sendOffsets({ consumerGroupId: groupId, topics: [{ topic: from, partitions }] })
        if (Number(offset) % 4 === 3 && !failed.has(offset)) {
          failed.add(offset)
          await transaction.abort()
          throw new Error('once')
        }
        await transaction.commit()
        resolveOffset(offset)
        done.push(offset)
      }
    }
    const run = { eachMessage: undefined, eachBatch, autoCommit: false, eachBatchAutoResolve: false }
    await asConsumer(from, { groupId, run }, () => done.until('ten transactions', all => new Set(all).size === 10))
  })
  assert.equal(failed.size, 2)
  assert.deepEqual(values(await read(to, 10)), values(numbers(10)))
})

check('killed broker: nothing that was acknowledged is lost, and all go on', async () => {
  const topic = await newTopic(2)
  const groupId = name('group')
  await asProducer({ idempotent: true }, producer => asConsumer(topic, { groupId }, async seen => {
    await producer.send({ topic, messages: numbers(10) })
    await seen.until('ten messages', 10)
    await restartBroker()
    await producer.send({ topic, messages: numbers(10, 10) })
    await seen.until('the rest', items => new Set(values(items)).size === 20)
  }))
  assert.deepEqual(new Set(values(await read(topic, 20))), new Set(values(numbers(20))))
})

check('killed broker: offsets that were committed are', async () => {
  const topic = await newTopic()
  const groupId = name('group')
  await send(topic, numbers(10))
  await asConsumer(topic, { groupId, run: { autoCommit: false } }, async (seen, consumer) => {
    await seen.until('ten messages', 10)
    await consumer.commitOffsets([{ topic, partition: 0, offset: '7' }])
  })
  await restartBroker()
  assert.deepEqual(values(await read(topic, 3, { groupId })), ['7', '8', '9'])
})

check('killed broker: what was committed stays, what was open is aborted', async () => {
  const topic = await newTopic()
  const options = { transactionalId: name('tx'), idempotent: true, maxInFlightRequests: 1 }
  await asProducer(options, async producer => {
    const transaction = await producer.transaction()
    await transaction.send({ topic, messages: [{ value: 'committed' }] })
    await transaction.commit()
    const open = await producer.transaction()
    await open.send({ topic, messages: [{ value: 'open' }] })
    await restartBroker()
  })
  await asProducer(options, async producer => {
    const transaction = await producer.transaction()
    await transaction.send({ topic, messages: [{ value: 'after' }] })
    await transaction.commit()
  })
  assert.deepEqual(values(await read(topic, 2)), ['committed', 'after'])
})

// A broker with a listener of each protected kind, and access rules.

const file = of => fs.readFileSync(process.env[of], 'utf8')
const secured = (protocol, more) => new Kafka({
  ...settings,
  brokers: [process.env[protocol]],
  ...(protocol.endsWith('SSL') && { ssl: { ca: [file('CA')] } }),
  ...more,
})
const bob = (mechanism, password = "bob's secret") => ({ sasl: { mechanism, username: 'bob', password } })
const tokenFor = user => ({
  sasl: { mechanism: 'oauthbearer', oauthBearerProvider: async () => ({ value: tokenOf(user) }) },
})

async function getsIn(client) {
  const topic = name('topic')
  await asProducer({}, producer => producer.send({ topic, messages: numbers(3) }), client)
  assert.equal((await read(topic, 3, {}, client)).length, 3)
}

async function isRefused(protocol, more, how) {
  const admin = secured(protocol, { retry: { retries: 0 }, ...more }).admin()
  try {
    await assert.rejects(admin.connect().then(() => admin.listTopics()), how)
  } finally {
    await admin.disconnect()
  }
}

for (const protocol of ['SASL_SSL', 'SASL_PLAINTEXT']) {
  for (const mechanism of ['plain', 'scram-sha-256', 'scram-sha-512']) {
    check(`security: ${mechanism} over ${protocol}`, () => getsIn(secured(protocol, bob(mechanism))))
    check(`security: a wrong password for ${mechanism} over ${protocol}`, () =>
      isRefused(protocol, bob(mechanism, 'wrong'), { name: 'KafkaJSSASLAuthenticationError' }))
  }
  check(`security: a token over ${protocol}`, () => getsIn(secured(protocol, tokenFor('carol'))))
}

check("security: a client's certificate", () =>
  getsIn(secured('SSL', { ssl: { ca: [file('CA')], cert: file('CLIENT'), key: file('CLIENT') } })))

check('security: no certificate, no login, no trust: nobody gets in', async () => {
  await isRefused('SSL', {})
  await isRefused('SASL_SSL', {})
  await isRefused('SASL_SSL', { ...bob('plain'), ssl: true })
})

check('access rules: created, described, enforced and deleted', async () => {
  const [root, mallory] = [secured('SASL_SSL', bob('scram-sha-512')), secured('SASL_SSL', tokenFor('mallory'))]
  const topic = name('topic')
  const rule = {
    resourceType: AclResourceTypes.TOPIC, resourceName: topic, resourcePatternType: ResourcePatternTypes.LITERAL,
    principal: 'User:mallory', host: '*', permissionType: AclPermissionTypes.ALLOW,
  }
  const acl = [{ ...rule, operation: AclOperationTypes.WRITE }, { ...rule, operation: AclOperationTypes.DESCRIBE }]
  const write = () => asProducer({ retry: { retries: 0 } }, producer => producer.send({ topic, messages: numbers(1) }), mallory)
  const denied = saying('TOPIC_AUTHORIZATION_FAILED')
  await asAdmin(async admin => {
    await admin.createTopics({ topics: [{ topic }] })
    await assert.rejects(write(), denied)
    assert.equal(await admin.createAcls({ acl }), true)
    const { resources } = await admin.describeAcls({ ...rule, operation: AclOperationTypes.ANY })
    assert.deepEqual(resources.map(resource => [resource.resourceName, resource.acls.length]), [[topic, 2]])
    await write()
    const { filterResponses } = await admin.deleteAcls({ filters: [{ ...rule, operation: AclOperationTypes.ANY }] })
    assert.equal(filterResponses[0].matchingAcls.length, 2)
    await assert.rejects(write(), denied)
  }, root)
})

run()
