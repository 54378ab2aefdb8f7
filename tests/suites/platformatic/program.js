// What users of @platformatic/kafka do, one check a promise.
'use strict'

const assert = require('node:assert/strict')
const fs = require('node:fs')
const { once } = require('node:events')
const { AclOperations, AclPermissionTypes, Admin, ClientQuotaEntityTypes } = require('@platformatic/kafka')
const { ConfigResourceTypes, Consumer, FindCoordinatorKeyTypes } = require('@platformatic/kafka')
const { IncrementalAlterConfigOperationTypes, ListOffsetTimestamps, Producer } = require('@platformatic/kafka')
const { ResourcePatternTypes, ResourceTypes } = require('@platformatic/kafka')
const { stringDeserializers, stringSerializers } = require('@platformatic/kafka')
const { check, eventually, newName: name, restartBroker, run, Seen, tokenOf } = require('../node/checks.js')

const patient = {
  clientId: 'program',
  strict: true,
  connectTimeout: 30_000,
  requestTimeout: 60_000,
  timeout: 60_000,
  retries: 60,
  retryDelay: 500,
}
const plain = { ...patient, bootstrapBrokers: [process.env.KAFKA] }

/** Runs with a client, and closes it, with its streams. */
async function using(client, use) {
  try {
    return await use(client)
  } finally {
    await (client instanceof Admin ? client.close() : client.close(true))
  }
}

const asAdmin = (use, settings = plain) => using(new Admin(settings), use)
const asProducer = (options, use, settings = plain) =>
  using(new Producer({ ...settings, serializers: stringSerializers, ...options }), use)

/** Runs with a consumer and a stream of a topic; what comes from it is in `seen`. */
const asConsumer = (topic, { consumer = {}, ...stream }, use, settings = plain) => {
  const group = { groupId: name('group'), deserializers: stringDeserializers }
  return using(new Consumer({ ...settings, ...group, ...consumer }), async consumer => {
    const seen = new Seen()
    const messages = await consumer.consume({ topics: [topic], mode: 'earliest', maxWaitTime: 200, ...stream })
    messages.on('data', message => seen.push(message))
    messages.on('error', error => seen.fail(error))
    return await use(seen, consumer, messages)
  })
}

/** A new topic. */
async function newTopic(partitions = 1, settings = plain) {
  const topic = name('topic')
  await asAdmin(admin => admin.createTopics({ topics: [topic], partitions, replicas: 1 }), settings)
  return topic
}

const values = messages => messages.map(message => message.value)
const numbers = (topic, count, from = 0) => Array.from({ length: count }, (_, i) => ({ topic, value: `${from + i}` }))
const texts = (count, from = 0) => Array.from({ length: count }, (_, i) => `${from + i}`)
const send = (messages, options = {}, settings = plain) =>
  asProducer({}, producer => producer.send({ messages, ...options }), settings)

/** Reads so many messages of a topic and returns them. */
const read = (topic, count, options = {}, settings = plain) =>
  asConsumer(topic, options, async seen => [...(await seen.until(`${count} messages`, count))], settings)

/** For `assert.rejects`: an error that has this one of the protocol in it. */
const saying = id => error => {
  const all = [error]
  for (const one of all) all.push(...(one?.errors ?? []), ...(one?.cause ? [one.cause] : []))
  assert.ok(all.some(one => one?.apiId === id), `${all.map(one => one?.apiId ?? one?.message)} instead of ${id}`)
  return true
}

check('admin: topics are created, listed, grown and deleted', () => asAdmin(async admin => {
  const topic = name('topic')
  const [made] = await admin.createTopics({ topics: [topic], partitions: 2, replicas: 1 })
  assert.deepEqual([made.name, made.partitions, made.replicas], [topic, 2, 1])
  assert.ok((await admin.listTopics()).includes(topic))
  await admin.createPartitions({ topics: [{ name: topic, count: 3 }] })
  const metadata = await admin.metadata({ topics: [topic], forceUpdate: true })
  assert.equal(metadata.topics.get(topic).partitionsCount, 3)
  assert.equal(metadata.topics.get(topic).id, made.id)
  await admin.deleteTopics({ topics: [topic] })
  assert.ok(!(await admin.listTopics()).includes(topic))
}))

check('admin: a topic with partitions assigned by hand, and configured', () => asAdmin(async admin => {
  const topic = name('topic')
  const { controllerId } = await admin.metadata({})
  const assignments = [0, 1].map(partition => ({ partition, brokers: [controllerId] }))
  const configs = [{ name: 'retention.ms', value: '123456' }]
  const [made] = await admin.createTopics({ topics: [topic], partitions: -1, replicas: -1, assignments, configs })
  assert.equal(made.partitions, 2)
  assert.equal(made.configuration['retention.ms'], '123456')
}))

check('admin: errors name what is wrong', async () => {
  const topic = await newTopic(2)
  const hasty = { ...plain, retries: 0 }
  await asAdmin(async admin => {
    await assert.rejects(admin.createTopics({ topics: [topic] }), saying('TOPIC_ALREADY_EXISTS'))
    await assert.rejects(admin.createTopics({ topics: ['not/allowed'] }), saying('INVALID_TOPIC_EXCEPTION'))
    await assert.rejects(admin.createTopics({ topics: [name('x')], replicas: 3 }), saying('INVALID_REPLICATION_FACTOR'))
    await assert.rejects(admin.createPartitions({ topics: [{ name: topic, count: 1 }] }), saying('INVALID_PARTITIONS'))
    await assert.rejects(admin.deleteTopics({ topics: [name('none')] }), saying('UNKNOWN_TOPIC_OR_PARTITION'))
    await assert.rejects(admin.deleteGroups({ groups: [name('none')] }), saying('GROUP_ID_NOT_FOUND'))
  }, hasty)
})

check('admin: configurations are described and altered', async () => {
  const topic = await newTopic()
  await asAdmin(async admin => {
    const resource = { resourceType: ConfigResourceTypes.TOPIC, resourceName: topic }
    const get = async key => {
      const resources = [{ ...resource, configurationKeys: [key] }]
      const [{ configs }] = await admin.describeConfigs({ resources, includeSynonyms: true, includeDocumentation: true })
      return configs.find(config => config.name === key).value
    }
    await admin.alterConfigs({ resources: [{ ...resource, configs: [{ name: 'retention.ms', value: '123456' }] }] })
    assert.equal(await get('retention.ms'), '123456')
    const { SET, APPEND, DELETE } = IncrementalAlterConfigOperationTypes
    const change = (name, configOperation, value) =>
      admin.incrementalAlterConfigs({ resources: [{ ...resource, configs: [{ name, configOperation, ...value }] }] })
    await change('retention.ms', SET, { value: '654321' })
    await change('cleanup.policy', APPEND, { value: 'compact' })
    assert.equal(await get('retention.ms'), '654321')
    assert.deepEqual((await get('cleanup.policy')).split(',').sort(), ['compact', 'delete'])
    await change('cleanup.policy', DELETE, {})
    assert.equal(await get('cleanup.policy'), 'delete')
    await assert.rejects(change('retention.ms', SET, { value: 'soon' }), saying('INVALID_CONFIG'))
  })
})

check('admin: the cluster and its coordinators', () => asAdmin(async admin => {
  const { id, brokers, controllerId } = await admin.metadata({})
  assert.ok(id)
  assert.deepEqual([...brokers.keys()], [controllerId])
  for (const keyType of [FindCoordinatorKeyTypes.GROUP, FindCoordinatorKeyTypes.TRANSACTION]) {
    const [found] = await admin.findCoordinator({ keyType, keys: ['some'] })
    assert.deepEqual([found.key, found.nodeId], ['some', controllerId])
  }
}))

check('admin: the folders of a broker', async () => {
  const topic = await newTopic()
  await send(numbers(topic, 10))
  const [described] = await asAdmin(admin => admin.describeLogDirs({ topics: [{ name: topic, partitions: [0] }] }))
  assert.equal(described.results[0].topics[0].partitions[0].partitionIndex, 0)
  assert.ok(described.results[0].totalBytes > 0n)
})

check('admin: offsets are found, and records deleted', async () => {
  const topic = await newTopic()
  await send(numbers(topic, 10).map((m, i) => ({ ...m, timestamp: 1_700_000_000_000n + BigInt(i) })))
  await asAdmin(async admin => {
    const at = async timestamp => {
      const topics = [{ name: topic, partitions: [{ partitionIndex: 0, timestamp }] }]
      return (await admin.listOffsets({ topics }))[0].partitions[0].offset
    }
    assert.equal(await at(ListOffsetTimestamps.EARLIEST), 0n)
    assert.equal(await at(ListOffsetTimestamps.LATEST), 10n)
    assert.equal(await at(ListOffsetTimestamps.MAX), 9n)
    assert.equal(await at(1_700_000_000_004n), 4n)
    const deleted = await admin.deleteRecords({ topics: [{ name: topic, partitions: [{ partition: 0, offset: 7n }] }] })
    assert.equal(deleted[0].partitions[0].lowWatermark, 7n)
    assert.equal(await at(ListOffsetTimestamps.EARLIEST), 7n)
  })
  assert.deepEqual(values(await read(topic, 3)), ['7', '8', '9'])
})

check('admin: quotas are set, described and taken away', () => asAdmin(async admin => {
  const entities = [{ entityType: ClientQuotaEntityTypes.CLIENT_ID, entityName: name('client') }]
  const components = [{ entityType: entities[0].entityType, matchType: 0, match: entities[0].entityName }]
  const described = () => admin.describeClientQuotas({ components })
  await admin.alterClientQuotas({ entries: [{ entities, ops: [{ key: 'producer_byte_rate', value: 1e6, remove: false }] }] })
  assert.deepEqual((await described())[0].values, [{ key: 'producer_byte_rate', value: 1e6 }])
  await admin.alterClientQuotas({ entries: [{ entities, ops: [{ key: 'producer_byte_rate', remove: true }] }] })
  assert.deepEqual(await described(), [])
}))

check('producer: a message keeps its key, value, headers and time', async () => {
  const topic = await newTopic()
  const headers = new Map([['a', '1'], ['b', '']])
  const told = await send([{ topic, key: 'k', value: 'v', headers, timestamp: 1_234_567_890_123n }])
  assert.deepEqual(told.offsets, [{ topic, partition: 0, offset: 0n }])
  const [message] = await read(topic, 1)
  assert.deepEqual([message.key, message.value, message.timestamp], ['k', 'v', 1_234_567_890_123n])
  assert.deepEqual([...message.headers], [...headers])
})

check('producer: null and empty are told apart', async () => {
  const topic = await newTopic()
  const serializers = Object.fromEntries(['key', 'value', 'headerKey', 'headerValue'].map(part => [part, data => data]))
  const messages = [{ topic, key: Buffer.from('k'), value: null }, { topic, key: Buffer.alloc(0), value: Buffer.alloc(0) }]
  await asProducer({ serializers }, producer => producer.send({ messages }))
  const deserializers = Object.fromEntries(Object.keys(serializers).map(part => [part, data => data ?? null]))
  const [first, second] = await read(topic, 2, { consumer: { deserializers } })
  assert.deepEqual([first.key.toString(), first.value], ['k', null])
  assert.deepEqual([second.key?.length, second.value?.length], [0, 0])
})

for (const [label, acks] of [['none', 0], ['the leader', 1], ['all', -1]]) {
  check(`producer: waits for ${label}`, async () => {
    const topic = await newTopic()
    await asProducer({}, async producer => {
      await producer.send({ acks, messages: numbers(topic, 20) })
      assert.deepEqual(values(await read(topic, 20)), texts(20))
    })
  })
}

for (const compression of ['none', 'gzip', 'snappy', 'lz4', 'zstd']) {
  check(`producer: compresses with ${compression}`, async () => {
    const topic = await newTopic()
    const messages = texts(50).map(text => ({ topic, value: text.repeat(100) }))
    await send(messages, { compression })
    assert.deepEqual(values(await read(topic, 50)), values(messages))
  })
}

check('producer: one request for several topics', async () => {
  const topics = [await newTopic(), await newTopic()]
  await send(topics.flatMap(topic => numbers(topic, 5)))
  for (const topic of topics) assert.deepEqual(values(await read(topic, 5)), texts(5))
})

check('producer: equal keys go to one partition, and a partition can be named or computed', async () => {
  const topic = await newTopic(4)
  await send([...numbers(topic, 20).map(m => ({ ...m, key: 'same' })), { topic, value: 'named', partition: 3 }])
  await send([{ topic, value: 'computed' }], { partitioner: () => 2 })
  const got = await read(topic, 22)
  assert.equal(new Set(got.filter(m => m.key === 'same').map(m => m.partition)).size, 1)
  assert.equal(got.find(m => m.value === 'named').partition, 3)
  assert.equal(got.find(m => m.value === 'computed').partition, 2)
})

check('producer: idempotent; ten thousand messages, each once and in order', async () => {
  const topic = await newTopic(3)
  const messages = numbers(topic, 10_000).map((m, i) => ({ ...m, partition: i % 3 }))
  await asProducer({ idempotent: true, acks: -1 }, async producer => {
    for (let i = 0; i < messages.length; i += 500) await producer.send({ messages: messages.slice(i, i + 500) })
    assert.ok(producer.producerId >= 0n)
  })
  const got = await read(topic, 10_000)
  for (const partition of [0, 1, 2]) {
    const sent = values(messages.filter(m => m.partition === partition))
    assert.deepEqual(values(got.filter(m => m.partition === partition)), sent)
  }
})

check('producer: a stream of messages', async () => {
  const topic = await newTopic()
  await asProducer({}, async producer => {
    const stream = producer.asStream({ batchSize: 25, batchTime: 10 })
    for (const message of numbers(topic, 100)) if (!stream.write(message)) await once(stream, 'drain')
    await stream.close()
  })
  assert.deepEqual(values(await read(topic, 100)), texts(100))
})

check('producer: a message that is too large is refused', async () => {
  const topic = name('topic')
  const configs = [{ name: 'max.message.bytes', value: '2000' }]
  await asAdmin(admin => admin.createTopics({ topics: [topic], partitions: 1, replicas: 1, configs }))
  await assert.rejects(send([{ topic, value: 'x'.repeat(5000) }]), saying('MESSAGE_TOO_LARGE'))
})

check('producer: a topic is made on first use, where that is asked for', async () => {
  const topic = name('made')
  await assert.rejects(send(numbers(topic, 1), {}, { ...plain, retries: 0 }))
  assert.ok(!(await asAdmin(admin => admin.listTopics())).includes(topic))
  await send(numbers(topic, 1), { autocreateTopics: true })
  assert.deepEqual(values(await read(topic, 1)), ['0'])
})

// A producer whose transactional id others had before it must say that it is nobody yet. The client
// claims to be producer 0 otherwise, and is refused, by Apache Kafka too.
const anew = { producerId: -1n, producerEpoch: -1 }

check('transactions: committed is read, aborted is not', async () => {
  const topic = await newTopic()
  await asProducer({ transactionalId: name('tx'), idempotent: true }, async producer => {
    for (const [value, end] of [['yes', 'commit'], ['no', 'abort'], ['also', 'commit']]) {
      const transaction = await producer.beginTransaction()
      await transaction.send({ messages: [{ topic, value }] })
      await transaction[end]()
      assert.ok(transaction.completed)
    }
  })
  assert.deepEqual(values(await read(topic, 2)), ['yes', 'also'])
  assert.deepEqual(values(await read(topic, 3, { isolationLevel: 0 })), ['yes', 'no', 'also'])
})

check('transactions: a second producer of the same name shuts out the first', async () => {
  const topic = await newTopic()
  const options = { transactionalId: name('tx'), idempotent: true }
  await asProducer(options, async old => {
    const lost = await old.beginTransaction()
    await lost.send({ messages: [{ topic, value: 'lost' }] })
    await asProducer(options, async young => {
      const transaction = await young.beginTransaction(anew)
      await transaction.send({ messages: [{ topic, value: 'kept' }] })
      await transaction.commit()
    })
    await assert.rejects(lost.commit())
  }, { ...plain, retries: 0 })
  assert.deepEqual(values(await read(topic, 1)), ['kept'])
})

check('transactions: offsets are part of them', async () => {
  const [from, to] = [await newTopic(), await newTopic()]
  const consumer = { groupId: name('group') }
  await send(numbers(from, 4))
  await asConsumer(from, { consumer, autocommit: false }, async (seen, consumer) => {
    const committed = async () => {
      const offsets = await consumer.listCommittedOffsets({ topics: [{ topic: from, partitions: [0] }] })
      return offsets.get(from)[0]
    }
    const [first, second] = await seen.until('four messages', 4)
    await asProducer({ transactionalId: name('tx'), idempotent: true }, async producer => {
      const work = async (message, end) => {
        const transaction = await producer.beginTransaction()
        await transaction.addConsumer(consumer)
        await transaction.send({ messages: [{ topic: to, value: message.value }] })
        await transaction.addOffset(message)
        await transaction[end]()
      }
      await work(first, 'commit')
      assert.equal(await committed(), 1n)
      await work(second, 'abort')
      assert.equal(await committed(), 1n)
      await work(second, 'commit')
      assert.equal(await committed(), 2n)
    })
  })
  assert.deepEqual(values(await read(to, 2)), ['0', '1'])
})

const modes = { classic: {}, consumer: { groupProtocol: 'consumer' } }

for (const [protocol, options] of Object.entries(modes)) {
  check(`${protocol} group: members share the partitions, and the rest take over`, async () => {
    const topic = await newTopic(4)
    const consumer = { ...options, groupId: name('group') }
    if (protocol === 'classic') Object.assign(consumer, { heartbeatInterval: 300, rebalanceTimeout: 60_000 })
    const has = count => async member => member.assignments?.flatMap(a => a.partitions).length === count
    await asConsumer(topic, { consumer }, async (first, one) => {
      await asConsumer(topic, { consumer }, async (second, two) => {
        const shared = async () => (await has(2)(one)) && (await has(2)(two))
        await eventually('half of the partitions for each', shared, yes => yes)
        const ofBoth = () => new Set(values([...first.items, ...second.items])).size
        await send(numbers(topic, 40).map((m, i) => ({ ...m, partition: i % 4 })))
        await eventually('forty messages', async () => ofBoth(), count => count === 40)
        // What was asked for before the partitions moved may still have come to the first.
        const round = [0, 1, 2, 3].map(partition => ({ topic, value: 'round', partition }))
        const rounds = () => send(round).then(() => [first.items.length, second.items.length])
        await eventually('messages for both', rounds, counts => counts.every(count => count > 0))
      })
      await eventually('all partitions', () => has(4)(one), yes => yes)
      await send([0, 1, 2, 3].map(partition => ({ topic, value: `last ${partition}`, partition })))
      const last = items => new Set(values(items).filter(value => value.startsWith('last'))).size === 4
      await first.until('what partitions taken over give', last)
    })
  })

  check(`${protocol} group: goes on where it committed`, async () => {
    const topic = await newTopic()
    const consumer = { ...options, groupId: name('group') }
    await send(numbers(topic, 10))
    await asConsumer(topic, { consumer, autocommit: false }, async (seen, member) => {
      await seen.until('ten messages', 10)
      await member.commit({ offsets: [{ topic, partition: 0, offset: 6n, leaderEpoch: 0 }] })
      assert.deepEqual([...(await member.getLag({ topics: [topic] }))], [[topic, [4n]]])
    })
    const rest = await read(topic, 4, { consumer, mode: 'committed' })
    assert.deepEqual(values(rest), ['6', '7', '8', '9'])
  })

  check(`${protocol} group: static members keep their place`, async () => {
    const topic = await newTopic(2)
    const consumer = { ...options, groupId: name('group'), groupInstanceId: 'one' }
    const first = await asConsumer(topic, { consumer }, async (seen, member) => {
      await send([0, 1].map(partition => ({ topic, value: 'before', partition })))
      await seen.until('two messages', 2)
      assert.equal(member.groupInstanceId, 'one')
      return member.assignments.flatMap(a => a.partitions).sort()
    })
    assert.deepEqual(first, [0, 1])
    await asConsumer(topic, { consumer, mode: 'committed', fallbackMode: 'earliest' }, async seen => {
      await send([{ topic, value: 'after', partition: 1 }])
      await seen.until('a message of the one that came back', items => values(items).includes('after'))
    })
  })
}

check('group: every message commits itself', async () => {
  const topic = await newTopic()
  const consumer = { groupId: name('group') }
  await send(numbers(topic, 5))
  await asConsumer(topic, { consumer, autocommit: false }, async seen => {
    const messages = await seen.until('five messages', 5)
    await messages[2].commit()
  })
  assert.deepEqual(values(await read(topic, 2, { consumer, mode: 'committed' })), ['3', '4'])
})

check('group: commits by itself', async () => {
  const topic = await newTopic()
  const consumer = { groupId: name('group') }
  await send(numbers(topic, 5))
  await asConsumer(topic, { consumer, autocommit: 100 }, async (seen, member) => {
    await seen.until('five messages', 5)
    const committed = async () => (await member.listCommittedOffsets({ topics: [{ topic, partitions: [0] }] })).get(topic)[0]
    await eventually('a commit', async () => `${await committed()}`, offset => offset === '5')
  })
  await send(numbers(topic, 1, 5))
  assert.deepEqual(values(await read(topic, 1, { consumer, mode: 'committed' })), ['5'])
})

check('group: described, its offsets altered and deleted, its members removed, deleted', async () => {
  const topic = await newTopic(2)
  const groupId = name('group')
  await asAdmin(async admin => {
    await asConsumer(topic, { consumer: { groupId, groupInstanceId: 'one' } }, async (seen, member) => {
      const group = (await admin.describeGroups({ groups: [groupId] })).get(groupId)
      assert.deepEqual([group.state, group.members.size], ['Stable', 1])
      assert.equal([...group.members.values()][0].groupInstanceId, 'one')
      assert.ok((await admin.listGroups()).has(groupId))
      await member.commit({ offsets: [{ topic, partition: 0, offset: 1n, leaderEpoch: 0 }] })
    })
    await admin.removeMembersFromConsumerGroup({ groupId })
    assert.equal((await admin.describeGroups({ groups: [groupId] })).get(groupId).members.size, 0)
    const offsets = async () => {
      const [group] = await admin.listConsumerGroupOffsets({ groups: [groupId] })
      const partitions = group.topics.flatMap(topic => topic.partitions)
      return partitions.map(p => [p.partitionIndex, p.committedOffset]).sort()
    }
    assert.deepEqual(await offsets(), [[0, 1n]])
    const partitionOffsets = [0, 1].map(partition => ({ partition, offset: 5n }))
    await admin.alterConsumerGroupOffsets({ groupId, topics: [{ name: topic, partitionOffsets }] })
    assert.deepEqual(await offsets(), [[0, 5n], [1, 5n]])
    await admin.deleteConsumerGroupOffsets({ groupId, topics: [{ name: topic, partitionIndexes: [0] }] })
    assert.deepEqual(await offsets(), [[1, 5n]])
    await admin.deleteGroups({ groups: [groupId] })
    assert.ok(!(await admin.listGroups()).has(groupId))
  })
})

check('group: groups of the new protocol are listed as such', async () => {
  const topic = await newTopic()
  const consumer = { groupId: name('group'), ...modes.consumer }
  await asConsumer(topic, { consumer }, async () => {
    const groups = await asAdmin(admin => admin.listGroups({ types: ['consumer'] }))
    assert.equal(groups.get(consumer.groupId).groupType.toLowerCase(), 'consumer')
  })
})

check('consumer: begins where it is told to', async () => {
  const topic = await newTopic()
  await send(numbers(topic, 5))
  const offsets = [{ topic, partition: 0, offset: 3n }]
  assert.deepEqual(values(await read(topic, 2, { mode: 'manual', offsets })), ['3', '4'])
  await asConsumer(topic, { mode: 'latest' }, async (seen, consumer, stream) => {
    await once(stream, 'fetch')
    await send(numbers(topic, 1, 5))
    assert.deepEqual(values(await seen.until('one message', 1)), ['5'])
  })
})

check('consumer: pauses and resumes', async () => {
  const topic = await newTopic()
  await asConsumer(topic, {}, async (seen, consumer, stream) => {
    await send(numbers(topic, 5))
    await seen.until('five messages', 5)
    stream.pause()
    await send(numbers(topic, 5, 5))
    assert.equal(seen.items.length, 5)
    stream.resume()
    assert.deepEqual(values(await seen.until('the rest', 10)), texts(10))
  })
})

check('consumer: an iterator over messages', async () => {
  const topic = await newTopic()
  await send(numbers(topic, 10))
  const options = { ...plain, groupId: name('group'), deserializers: stringDeserializers }
  await using(new Consumer(options), async consumer => {
    const got = []
    for await (const message of await consumer.consume({ topics: [topic], mode: 'earliest', maxWaitTime: 200 })) {
      got.push(message.value)
      if (got.length === 10) break
    }
    assert.deepEqual(got, texts(10))
  })
})

check('consumer: offsets by place and by time', async () => {
  const topic = await newTopic()
  await send(numbers(topic, 10).map((m, i) => ({ ...m, timestamp: 1_700_000_000_000n + BigInt(i) })))
  await using(new Consumer({ ...plain, groupId: name('group') }), async consumer => {
    assert.deepEqual((await consumer.listOffsets({ topics: [topic] })).get(topic), [10n])
    const timestamp = 1_700_000_000_006n
    const found = await consumer.listOffsetsWithTimestamps({ topics: [topic], timestamp })
    assert.deepEqual(found.get(topic).get(0), { offset: 6n, timestamp })
  })
})

check('killed broker: nothing that was acknowledged is lost, and all go on', async () => {
  const topic = await newTopic(2)
  await asProducer({ idempotent: true, acks: -1 }, producer => asConsumer(topic, {}, async seen => {
    await producer.send({ messages: numbers(topic, 10) })
    await seen.until('ten messages', 10)
    await restartBroker()
    await producer.send({ messages: numbers(topic, 10, 10) })
    await seen.until('the rest', items => new Set(values(items)).size === 20)
  }))
  assert.deepEqual(new Set(values(await read(topic, 20))), new Set(texts(20)))
})

check('killed broker: offsets that were committed are', async () => {
  const topic = await newTopic()
  const consumer = { groupId: name('group') }
  await send(numbers(topic, 10))
  await asConsumer(topic, { consumer, autocommit: false }, async (seen, member) => {
    await seen.until('ten messages', 10)
    await member.commit({ offsets: [{ topic, partition: 0, offset: 7n, leaderEpoch: 0 }] })
  })
  await restartBroker()
  assert.deepEqual(values(await read(topic, 3, { consumer, mode: 'committed' })), ['7', '8', '9'])
})

check('killed broker: what was committed stays, what was open is aborted', async () => {
  const topic = await newTopic()
  const options = { transactionalId: name('tx'), idempotent: true }
  await asProducer(options, async producer => {
    const transaction = await producer.beginTransaction()
    await transaction.send({ messages: [{ topic, value: 'committed' }] })
    await transaction.commit()
    const open = await producer.beginTransaction()
    await open.send({ messages: [{ topic, value: 'open' }] })
    await restartBroker()
  })
  await asProducer(options, async producer => {
    const transaction = await producer.beginTransaction(anew)
    await transaction.send({ messages: [{ topic, value: 'after' }] })
    await transaction.commit()
  })
  assert.deepEqual(values(await read(topic, 2)), ['committed', 'after'])
})

// A broker with a listener of each protected kind, and access rules.

const file = of => fs.readFileSync(process.env[of], 'utf8')
const secured = (protocol, more) => ({
  ...patient,
  bootstrapBrokers: [process.env[protocol]],
  ...(protocol.endsWith('SSL') && { tls: { ca: [file('CA')] }, tlsServerName: true }),
  ...more,
})
const bob = (mechanism, password = "bob's secret") => ({ sasl: { mechanism, username: 'bob', password } })
const tokenFor = user => ({ sasl: { mechanism: 'OAUTHBEARER', token: () => tokenOf(user) } })

async function getsIn(settings) {
  const topic = await newTopic(1, settings)
  await send(numbers(topic, 3), {}, settings)
  assert.deepEqual(values(await read(topic, 3, {}, settings)), texts(3))
}

const isRefused = settings =>
  asAdmin(admin => assert.rejects(admin.listTopics()), { ...settings, retries: 0 })

for (const protocol of ['SASL_SSL', 'SASL_PLAINTEXT']) {
  for (const mechanism of ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512']) {
    check(`security: ${mechanism} over ${protocol}`, () => getsIn(secured(protocol, bob(mechanism))))
    check(`security: a wrong password for ${mechanism} over ${protocol}`, () =>
      isRefused(secured(protocol, bob(mechanism, 'wrong'))))
  }
  check(`security: a token over ${protocol}`, () => getsIn(secured(protocol, tokenFor('carol'))))
}

check("security: a client's certificate", () =>
  getsIn(secured('SSL', { tls: { ca: [file('CA')], cert: file('CLIENT'), key: file('CLIENT') } })))

check('security: no certificate, no login, no trust: nobody gets in', async () => {
  await isRefused(secured('SSL', {}))
  await isRefused(secured('SASL_SSL', {}))
  await isRefused(secured('SASL_SSL', { ...bob('PLAIN'), tls: {} }))
})

check('access rules: created, described, enforced and deleted', async () => {
  const [root, mallory] = [secured('SASL_SSL', bob('SCRAM-SHA-512')), secured('SASL_SSL', tokenFor('mallory'))]
  const topic = await newTopic(1, root)
  const target = {
    resourceType: ResourceTypes.TOPIC, resourceName: topic, resourcePatternType: ResourcePatternTypes.LITERAL,
    principal: 'User:mallory', host: '*', permissionType: AclPermissionTypes.ALLOW,
  }
  const creations = [AclOperations.WRITE, AclOperations.DESCRIBE].map(operation => ({ ...target, operation }))
  const filter = { ...target, operation: AclOperations.ANY }
  const write = () => send(numbers(topic, 1), {}, { ...mallory, retries: 0 })
  await asAdmin(async admin => {
    await assert.rejects(write(), saying('TOPIC_AUTHORIZATION_FAILED'))
    await admin.createAcls({ creations })
    const described = await admin.describeAcls({ filter })
    assert.deepEqual(described.map(resource => [resource.resourceName, resource.acls.length]), [[topic, 2]])
    await write()
    assert.equal((await admin.deleteAcls({ filters: [filter] })).length, 2)
    await assert.rejects(write(), saying('TOPIC_AUTHORIZATION_FAILED'))
  }, root)
})

run()
