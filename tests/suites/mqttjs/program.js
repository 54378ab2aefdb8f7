// What users of mqtt.js do, one check a promise.
'use strict'

const assert = require('node:assert/strict')
const { once } = require('node:events')
const mqtt = require('mqtt')
const { check, newName: name, run, Seen } = require('../node/checks.js')

const url = process.env.MQTT

const connect = async options => {
  const client = mqtt.connect(url, { reconnectPeriod: 0, connectTimeout: 60_000, ...options })
  client.seen = new Seen()
  client.on('message', (topic, payload, packet) => client.seen.push({ topic, text: payload.toString(), packet }))
  const [connack] = await once(client, 'connect')
  client.connack = connack
  return client
}

for (const protocolVersion of [3, 4, 5]) {
  const old = protocolVersion === 3 ? { protocolId: 'MQIsdp', clientId: name().slice(0, 20) } : {}
  for (const qos of [0, 1, 2]) {
    check(`version ${protocolVersion} delivers with QoS ${qos}`, async () => {
      const client = await connect({ protocolVersion, ...old })
      const topic = name()
      const [granted] = await client.subscribeAsync(`${topic}/+`, { qos })
      assert.equal(granted.qos, qos)
      for (let number = 0; number < 100; number++) await client.publishAsync(`${topic}/a`, String(number), { qos })
      const seen = await client.seen.until('100 messages', 100)
      assert.deepEqual(seen.map(({ text }) => Number(text)), [...Array(100).keys()])
      assert(seen.every(({ packet }) => packet.qos === qos))
      await client.endAsync()
    })
  }
}

check('a client is told what the broker allows', async () => {
  const client = await connect({ protocolVersion: 5 })
  const { properties } = client.connack
  assert(properties.topicAliasMaximum > 0 && properties.receiveMaximum > 0 && properties.maximumPacketSize > 0)
  await client.endAsync()
})

check('a client without a name gets one', async () => {
  const client = await connect({ protocolVersion: 5, clientId: '', clean: true })
  assert.match(client.connack.properties.assignedClientIdentifier, /^auto-/)
  await client.endAsync()
})

check('aliases of topics are used in both directions', async () => {
  const properties = { topicAliasMaximum: 10 }
  const client = await connect({ protocolVersion: 5, properties, autoAssignTopicAlias: true })
  const topic = name()
  await client.subscribeAsync(topic, { qos: 1 })
  for (let number = 0; number < 20; number++) await client.publishAsync(topic, String(number), { qos: 1 })
  const seen = await client.seen.until('20 messages', 20)
  assert(seen.every(message => message.topic === topic))
  await client.endAsync()
})

check('user properties keep their order', async () => {
  const client = await connect({ protocolVersion: 5 })
  const topic = name()
  await client.subscribeAsync(topic, { qos: 1, properties: { subscriptionIdentifier: 5 } })
  const userProperties = { z: ['1', '2'], a: '3' }
  await client.publishAsync(topic, 'x', { qos: 1, properties: { userProperties, contentType: 'text/plain' } })
  const [{ packet }] = await client.seen.until('a message', 1)
  assert.deepEqual({ ...packet.properties.userProperties }, userProperties)
  assert.equal(packet.properties.contentType, 'text/plain')
  assert.equal(packet.properties.subscriptionIdentifier, 5)
  await client.endAsync()
})

check('a session goes on where it was', async () => {
  const clientId = name()
  const topic = name()
  const session = { protocolVersion: 5, clientId, clean: false, properties: { sessionExpiryInterval: 600 } }
  const first = await connect(session)
  await first.subscribeAsync(topic, { qos: 2 })
  await first.endAsync()
  const other = await connect({ protocolVersion: 5 })
  await other.publishAsync(topic, 'waits', { qos: 2 })
  const second = await connect(session)
  assert.equal(second.connack.sessionPresent, true)
  const [{ text }] = await second.seen.until('what waited', 1)
  assert.equal(text, 'waits')
  await second.endAsync()
  await other.endAsync()
})

check('what is denied is told by its reason', async () => {
  const client = await connect({ protocolVersion: 5 })
  await assert.rejects(client.publishAsync('$SYS/broker/version', 'x', { qos: 1 }), error => error.code === 0x87)
  await client.endAsync()
})

check('a second client of a name takes over', async () => {
  const clientId = name()
  const first = await connect({ protocolVersion: 5, clientId })
  const gone = once(first, 'disconnect')
  const second = await connect({ protocolVersion: 5, clientId })
  const [packet] = await gone
  assert.equal(packet.reasonCode, 0x8e)
  await second.endAsync()
})

run()
