// Prints each message of a topic, as JSON. The broker's address is in MQTT; arguments: the topic, the version.
'use strict'

const mqtt = require('mqtt')

const [topic, version] = process.argv.slice(2)
const say = event => console.log(JSON.stringify(event))
const client = mqtt.connect(process.env.MQTT, { protocolVersion: Number(version), connectTimeout: 60_000 })
client.on('message', (subject, payload, { properties }) => {
  const { userProperties = {}, contentType = null } = properties ?? {}
  say({ event: 'message', subject, text: payload.toString(), headers: { ...userProperties }, content_type: contentType })
})
client.on('connect', async () => {
  await client.subscribeAsync(topic, { qos: 1 })
  say({ event: 'ready' })
})
