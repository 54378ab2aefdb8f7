// What users of amqplib do with RabbitMQ, one check a promise.
'use strict'

const assert = require('node:assert/strict')
const amqp = require('amqplib')
const { check, newName: name, run } = require('../node/checks.js')

const connect = () => amqp.connect(process.env.AMQP)

const consumed = (channel, queue, count) => new Promise(resolve => {
  const seen = []
  channel.consume(queue, message => {
    seen.push(message)
    channel.ack(message)
    if (seen.length === count) resolve(seen)
  })
})

check('messages are confirmed and delivered in order', async () => {
  const connection = await connect()
  const channel = await connection.createConfirmChannel()
  const { queue } = await channel.assertQueue(name(), { durable: true })
  await channel.prefetch(10)
  for (let number = 0; number < 500; number++) channel.sendToQueue(queue, Buffer.from(String(number)), { persistent: true })
  await channel.waitForConfirms()
  const seen = await consumed(channel, queue, 500)
  assert.deepEqual(seen.map(({ content }) => Number(content)), [...Array(500).keys()])
  await connection.close()
})

check('a headers exchange tells types apart', async () => {
  const connection = await connect()
  const channel = await connection.createConfirmChannel()
  const { queue } = await channel.assertQueue('', { exclusive: true })
  const exchange = name()
  await channel.assertExchange(exchange, 'headers', { durable: false, autoDelete: true })
  await channel.bindQueue(queue, exchange, '', { 'x-match': 'any', kind: 'a', size: 5 })
  const sent = [{ kind: 'a' }, { kind: 'b' }, { size: 5 }, { size: 5.5 }, { size: '5' }]
  for (const headers of sent) channel.publish(exchange, '', Buffer.from(JSON.stringify(headers)), { headers })
  await channel.waitForConfirms()
  const seen = await consumed(channel, queue, 2)
  assert.deepEqual(seen.map(({ properties }) => properties.headers), [{ kind: 'a' }, { size: 5 }])
  await connection.close()
})

check('a mandatory message that goes nowhere comes back', async () => {
  const connection = await connect()
  const channel = await connection.createConfirmChannel()
  const returned = []
  channel.on('return', message => returned.push(message))
  channel.publish('', name(), Buffer.from('lost'), { mandatory: true })
  await channel.waitForConfirms()
  assert.deepEqual(returned.map(({ fields }) => fields.replyText), ['NO_ROUTE'])
  await connection.close()
})

check('a large message is got, given back and got again', async () => {
  const connection = await connect()
  const channel = await connection.createConfirmChannel()
  const { queue } = await channel.assertQueue(name(), { durable: true, maxPriority: 5, messageTtl: 60000 })
  const content = Buffer.alloc(300000, 'z')
  channel.sendToQueue(queue, content)
  await channel.waitForConfirms()
  const first = await channel.get(queue)
  assert(first.content.equals(content) && !first.fields.redelivered)
  channel.nack(first)
  const again = await channel.get(queue)
  assert(again.content.equals(content) && again.fields.redelivered)
  channel.ackAll()
  assert.deepEqual(await channel.purgeQueue(queue), { messageCount: 0 })
  assert.deepEqual(await channel.deleteQueue(queue), { messageCount: 0 })
  await connection.close()
})

check('what is refused ends the channel and says why', async () => {
  const connection = await connect()
  const channel = await connection.createChannel()
  channel.on('error', () => {})
  await assert.rejects(channel.checkQueue(name()), { code: 404 })
  const other = await connection.createChannel()
  await other.assertQueue(name(), { exclusive: true })
  await connection.close()
})

run()
