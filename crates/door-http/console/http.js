// Asking the broker. A password is kept in this module's memory, and nowhere else: it is gone with the page.

import { Parser } from './sse.js';

let login = null;
let name = '';
let asker = () => {};

/** Who is logged in, if anybody is. */
export function user() {
  return login?.name ?? null;
}

/** Who was logged in last. */
export function lastUser() {
  return name;
}

/** Logs in with each request from now on; nothing: out. */
export function logIn(as, password) {
  if (as === undefined) {
    login = null;
    return;
  }
  let plain = '';
  for (const byte of new TextEncoder().encode(`${as}:${password}`)) plain += String.fromCharCode(byte);
  name = as;
  login = { name, header: 'Basic ' + btoa(plain) };
}

/** What is called when the broker asks who it is. */
export function onLogin(call) {
  asker = call;
}

/** Why a request failed. */
export class Problem extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

function head(more) {
  return login ? { ...more, Authorization: login.header } : more;
}

/** Asks, and returns what was answered: JSON, or nothing. `text` is a body that is JSON already. */
export async function ask(path, { method = 'GET', body, text, signal } = {}) {
  const sent = body === undefined ? text : JSON.stringify(body);
  const headers = head(sent === undefined ? {} : { 'Content-Type': 'application/json' });
  const answer = await reach(path, { method, signal, headers, body: sent });
  return answer.status === 204 ? null : answer.json();
}

async function reach(path, options) {
  let answer;
  const sent = login;
  try {
    // Omitted, so that the browser does not ask for a password by itself, and keep it.
    answer = await fetch(path, { ...options, credentials: 'omit', cache: 'no-store' });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Problem(0, '');
  }
  if (answer.ok) return answer;
  const problem = await answer.json().catch(() => ({}));
  if (answer.status === 401 && sent === login) {
    // What was refused once is not said again and again: that would look like guessing.
    login = null;
    asker();
  }
  throw new Problem(answer.status, problem.detail ?? problem.reason ?? `HTTP ${answer.status}`);
}

/** How long it is waited before the n-th try, in milliseconds. */
export function patience(tries) {
  return Math.min(10_000, 500 * 2 ** Math.min(tries, 10));
}

/**
 * Listens to what comes, again and again, until the signal says that it is enough.
 * `path` is asked each time where to listen, and given the identity of the last event, if there was one.
 */
export async function listen(path, { signal, event, state }) {
  let [lastId, tries] = ['', 0];
  while (!signal.aborted) {
    try {
      const from = await path(lastId);
      const answer = await reach(from, { signal, headers: head({ Accept: 'text/event-stream' }) });
      state('open');
      tries = 0;
      const parser = new Parser();
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        for (const one of parser.feed(value)) {
          if (one.id) lastId = one.id;
          event(one.name, JSON.parse(one.data), one.id);
        }
      }
    } catch (error) {
      if (signal.aborted) return;
      // What is refused will be refused again.
      if (error instanceof Problem && error.status >= 400 && error.status < 500) {
        state('refused', error);
        return;
      }
    }
    if (signal.aborted) return;
    state('lost');
    await pause(patience(tries), signal);
    tries += 1;
  }
}

function pause(ms, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    }, { once: true });
  });
}
