// What users of @stomp/stompjs do with RabbitMQ, one check a promise, over TCP or WebSocket.
'use strict'

const assert = require('node:assert/strict')
const { Client } = require('@stomp/stompjs')
const { TCPWrapper } = require('@stomp/tcp-wrapper')
const { WebSocket } = require('ws')
const { check, newName, run, Seen, within } = require('../node/checks.js')

const WAIT_MAX = 60_000

/** What the client talks over. */
const carrier = () => {
  const port = Number(process.env.STOMP)
  if (process.env.OVER === 'tcp') return new TCPWrapper('127.0.0.1', port)
  return new WebSocket(`ws://127.0.0.1:${port}/ws`, ['v12.stomp', 'v11.stomp', 'v10.stomp'])
}

const connect = (more = {}) => {
  const client = new Client({ webSocketFactory: carrier, reconnectDelay: 0, ...more })
  const connected = new Promise((resolve, reject) => {
    client.onConnect = () => resolve(client)
    client.onStompError = frame => reject(new Error(frame.headers.message))
  })
  client.activate()
  return within(WAIT_MAX, 'not connected', connected)
}

/** Sends, and waits for the receipt. */
const send = (client, destination, body, headers = {}) => {
  const receipt = newName('receipt')
  const heard = new Promise(resolve => client.watchForReceipt(receipt, resolve))
  const payload = typeof body === 'string' ? { body } : { binaryBody: body }
  client.publish({ destination, ...payload, headers: { ...headers, receipt } })
  return within(WAIT_MAX, 'no receipt', heard)
}

const subscribe = async (client, destination, headers = {}) => {
  const seen = new Seen()
  const receipt = newName('receipt')
  const heard = new Promise(resolve => client.watchForReceipt(receipt, resolve))
  const subscription = client.subscribe(destination, message => seen.push(message), { ...headers, receipt })
  await within(WAIT_MAX, 'no receipt', heard)
  return { seen, subscription }
}

check('a stream is read again and again, from an offset on', async () => {
  const queue = `/queue/${newName('s')}`
  const stream = { 'x-queue-type': 'stream' }
  const client = await connect()
  for (const body of ['0', '1', '2']) await send(client, queue, body, stream)
  for (const [from, wanted] of [['first', ['0', '1', '2']], ['first', ['0', '1', '2']], ['offset=2', ['2']]]) {
    const headers = { ...stream, ack: 'client-individual', 'prefetch-count': '1', 'x-stream-offset': from }
    const { seen, subscription } = await subscribe(client, queue, headers)
    for (let count = 1; count <= wanted.length; count++) (await seen.until('messages', count)).at(-1).ack()
    const messages = await seen.until('messages', wanted.length)
    assert.deepEqual(messages.map(({ body }) => body), wanted)
    assert.deepEqual(messages.map(({ headers }) => headers['x-stream-offset']), wanted)
    subscription.unsubscribe()
  }
  await client.deactivate()
})

for (const [mode, left] of [['auto', []], ['client', ['2']], ['client-individual', ['0', '2']]]) {
  check(`what is acknowledged does not come again: ${mode}`, async () => {
    const queue = `/queue/${newName('q')}`
    const client = await connect()
    for (const body of ['0', '1', '2']) await send(client, queue, body)
    const { seen } = await subscribe(client, queue, { ack: mode })
    const messages = await seen.until('messages', 3)
    assert.deepEqual(messages.map(({ body }) => body), ['0', '1', '2'])
    if (mode !== 'auto') messages[1].ack()
    await client.deactivate()
    const other = await connect()
    const { seen: again } = await subscribe(other, queue)
    await send(other, queue, 'last')
    const bodies = (await again.until('messages', left.length + 1)).map(({ body }) => body)
    assert.deepEqual(bodies, [...left, 'last'])
    await other.deactivate()
  })
}

check('what is refused comes again', async () => {
  const queue = `/queue/${newName('q')}`
  const client = await connect()
  const { seen } = await subscribe(client, queue, { ack: 'client-individual' })
  await send(client, queue, 'x')
  const [first] = await seen.until('the first', 1)
  first.nack()
  const [, again] = await seen.until('it again', 2)
  assert.equal(again.headers.redelivered, 'true')
  again.ack()
  await client.deactivate()
})

check('a transaction counts as a whole', async () => {
  const queue = `/queue/${newName('q')}`
  const client = await connect()
  const { seen } = await subscribe(client, queue)
  const aborted = client.begin()
  client.publish({ destination: queue, body: 'no', headers: { transaction: aborted.id } })
  aborted.abort()
  const committed = client.begin()
  const stored = send(client, queue, 'yes', { transaction: committed.id })
  committed.commit()
  await stored
  await send(client, queue, 'after')
  const messages = await seen.until('messages', 2)
  assert.deepEqual(messages.map(({ body }) => body), ['yes', 'after'])
  await client.deactivate()
})

check('a topic reaches all who listen, bytes and text', async () => {
  const key = newName('t')
  const [one, two] = [await connect(), await connect()]
  const listening = [await subscribe(one, `/topic/${key}.*`), await subscribe(two, `/topic/${key}.#`)]
  const bytes = Uint8Array.from([0, 1, 255])
  // With a receipt: what two connections send has no order otherwise.
  await send(one, `/topic/${key}.a`, bytes, { 'content-type': 'application/octet-stream' })
  await send(two, `/topic/${key}.b`, 'größer')
  for (const { seen } of listening) {
    const [first, second] = await seen.until('messages', 2)
    assert.deepEqual([...first.binaryBody], [...bytes])
    assert.equal(second.body, 'größer')
  }
  await one.deactivate()
  await two.deactivate()
})

check('heart-beats keep the connection', async () => {
  const client = await connect({ heartbeatIncoming: 200, heartbeatOutgoing: 200 })
  let closed = false
  client.onWebSocketClose = () => { closed = true }
  await new Promise(resolve => setTimeout(resolve, 2000)) // as long as ten of them take
  assert.equal(closed, false)
  const { seen } = await subscribe(client, `/queue/${newName('q')}`)
  assert.equal(seen.items.length, 0)
  await client.deactivate()
})

run()
