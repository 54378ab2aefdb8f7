// Runs checks one after the other and prints what came of each as JSON, one a line.
'use strict'

const readline = require('node:readline')
const { randomUUID } = require('node:crypto')

/** How long one thing may take, and a whole check, in milliseconds: a busy machine needs most of it. */
const WAIT_MAX = 120_000
const CHECK_MAX = 240_000

const all = []
const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]()
const say = event => console.log(JSON.stringify(event))

/** A promise to the user of a client: passes unless it throws, or takes too long. */
exports.check = (name, promise) => all.push([name, promise])

/** Has the program that started us kill the broker and start it again. */
exports.restartBroker = async () => {
  say({ event: 'restart' })
  await lines.next()
}

/** Fails after a while. */
const within = (exports.within = async (ms, what, promise) => {
  let timer
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${typeof what === 'string' ? what : what()} within ${ms} ms`)), ms)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
})

/** A list that can be waited for until it is long enough, or holds what is wanted of it. */
exports.Seen = class {
  items = []
  waiting = new Set()
  error = null

  push(item) {
    this.items.push(item)
    this.waiting.forEach(look => look())
  }

  /** Nothing more will come. */
  fail(error) {
    this.error ??= error
    this.waiting.forEach(look => look())
  }

  async until(what, enough) {
    const wanted = typeof enough === 'number' ? items => items.length >= enough : enough
    let look
    const found = new Promise((resolve, reject) => {
      look = () => {
        if (wanted(this.items)) resolve(this.items)
        else if (this.error) reject(this.error)
      }
      this.waiting.add(look)
      look()
    })
    try {
      return await within(WAIT_MAX, () => `no ${what} after ${this.items.length} others`, found)
    } finally {
      this.waiting.delete(look)
    }
  }
}

/** Asks again until the answer is as wanted, for what another client brings about in its own time. */
exports.eventually = async (what, ask, wanted) => {
  const deadline = Date.now() + WAIT_MAX
  for (;;) {
    const answer = await ask()
    if (wanted(answer)) return answer
    if (Date.now() > deadline) throw new Error(`no ${what}, but ${JSON.stringify(answer)}`)
    await new Promise(resolve => setTimeout(resolve, 100)) // poll: for the answer, bounded by the deadline
  }
}

/** A name that nothing else has. */
exports.newName = what => `${what}-${randomUUID()}`

/** A token (JWT) without a signature, as development has them. */
exports.tokenOf = sub => {
  const now = Math.floor(Date.now() / 1000)
  const parts = [{ alg: 'none' }, { sub, iat: now - 60, exp: now + 3600 }]
  return parts.map(part => `${Buffer.from(JSON.stringify(part)).toString('base64url')}.`).join('')
}

/** Runs the checks whose names have what is named on the command line in them, or all. */
exports.run = async () => {
  const chosen = all.filter(([name]) => name.includes(process.argv[2] ?? ''))
  // A client's background work may fail after its check is over; that says nothing about the next one.
  process.on('unhandledRejection', error => console.error('unhandled:', error))
  process.on('uncaughtException', error => console.error('uncaught:', error))
  for (const [name, promise] of chosen) {
    let failed = null
    try {
      await within(CHECK_MAX, 'the check did not end', promise())
    } catch (error) {
      failed = `${error?.stack ?? error}`.split('\n').slice(0, 6).join(' ')
    }
    say({ event: 'test', name, failed })
  }
  say({ event: 'end' })
  process.exit(0)
}
