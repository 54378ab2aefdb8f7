// What pages work out before they draw: what they ask the broker, and what they show of its answers.

import assert from 'node:assert/strict';
import { register } from 'node:module';
import { test } from 'node:test';

// The broker serves libraries beside the modules; here they are in a folder of their own.
const beside = `export const resolve = (name, context, next) =>
  next(/^\\.\\/(preact|hooks|htm)\\.mjs$/.test(name) && !context.parentURL.includes('/vendor/') ? name.replace('./', './vendor/') : name, context);`;
register('data:text/javascript,' + encodeURIComponent(beside));
globalThis.navigator ??= { languages: ['en'] };

const { merge, renew, wanted } = await import('../events.js');
const { moves } = await import('../group.js');
const { Problem, ask, listen, logIn, onLogin, patience, user } = await import('../http.js');
const { Incident, Remedies, carryOut, remedyOf } = await import('../incidents.js');
const { first, matches, ordered } = await import('../messages.js');
const { bodyOf } = await import('../publish.js');
const { onSaid } = await import('../state.js');
const { parseConfig } = await import('../topics.js');
const { html, placeOf } = await import('../ui.js');

test('what is looked for first is where somebody wants to begin', () => {
  const log = { partition: 1, start: 100, end: 50_000 };
  const query = { from: 'newest', offset: 0, at: 0, key: '', contains: '' };
  const of = (more, limit = 10) => first(log, { ...query, ...more }, limit);
  assert.equal(of({}).offset, 49_990);
  assert.equal(of({ key: 'k' }).offset, 30_000, 'who searches the newest looks at more of them');
  assert.equal(first({ ...log, end: 105 }, query, 10).offset, 100, 'not before the beginning');
  assert.deepEqual(of({ from: 'earliest' }), { partition: 1, limit: 10, key: '', contains: '', from: 'earliest' });
  assert.equal(of({ from: 'offset', offset: 7 }).offset, 100, 'what is deleted is not there');
  assert.equal(of({ from: 'offset', offset: 50_001 }), null, 'behind the end is nothing');
  assert.equal(of({ from: 'time', at: 5 }).time, 5);
});

test('messages of several partitions are in the order of their times', () => {
  const message = (partition, offset, timestamp) => ({ partition, offset, timestamp });
  const [a, b, c] = [message(0, 5, 10), message(1, 1, 20), message(0, 6, 20)];
  assert.deepEqual(ordered([c, b, a], false), [a, c, b]);
  assert.deepEqual(ordered([a, b, c], true), [b, c, a]);
  assert.ok(matches({ key: 'k', value: 'a b c' }, { key: 'k', contains: 'b' }));
  assert.ok(!matches({ key: 'kk', value: 'b' }, { key: 'k', contains: '' }));
  assert.ok(!matches({ value: null }, { key: '', contains: 'b' }), 'a deletion mark contains nothing');
});

test('events come once, and anew after a restart', () => {
  const event = (number, at = number) => ({ number, at, kind: 'k', severity: 'info', text: 't' + number });
  const numbers = (events) => events.map(({ number }) => number);
  assert.deepEqual(numbers(merge([event(2), event(1)], [event(2), event(3), event(4)])), [4, 3, 2, 1]);
  const known = [event(5), event(4)];
  assert.deepEqual(numbers(renew(known, [event(4), event(5), event(6)])), [6, 5, 4]);
  assert.deepEqual(numbers(renew(known, [event(90), event(91)])), [91, 90, 5, 4], 'so many that some were missed');
  assert.deepEqual(numbers(renew(known, [event(1, 100), event(2, 101)])), [2, 1], 'of a broker that was restarted');
  assert.deepEqual(numbers(renew([], [event(1), event(2)])), [2, 1]);
  assert.equal(merge([], Array.from({ length: 5000 }, (_, at) => event(at + 1))).length, 1000, 'not for ever');
  const login = { ...event(1), kind: 'connection.login_failed', severity: 'warning', about: 'listener/MQTT', fields: { user: 'Bob' } };
  const all = [event(2), login];
  assert.deepEqual(wanted(all, { severity: 'warning' }), [login]);
  assert.deepEqual(wanted(all, { severity: 'error' }), []);
  assert.deepEqual(wanted(all, { text: 'bob' }), [login]);
  assert.deepEqual(wanted(all, { kind: 'k' }), [all[0]]);
  assert.deepEqual(wanted(all, {}), all);
});

test('offsets are moved of what is chosen, and of nothing else', () => {
  const lags = [{ topic: 'a', partition: 0 }, { topic: 'a', partition: 1 }, { topic: 'b', partition: 0 }];
  const form = { topic: '', partition: '', to: 'earliest', time: '', offset: '' };
  assert.equal(moves(lags, form).length, 3);
  assert.deepEqual(moves(lags, { ...form, topic: 'a', partition: '1', to: 'offset', offset: '7' }), [{ topic: 'a', partition: 1, offset: 7 }]);
  const time = '2026-11-30T01:02:03';
  assert.deepEqual(moves(lags, { ...form, topic: 'b', to: 'time', time }), [{ topic: 'b', partition: 0, time: new Date(time).getTime() }]);
});

test('a message is published as it is typed', () => {
  const of = (kind, value, more = {}) => bodyOf({ key: '', kind, value, headers: [], ...more });
  assert.equal(of('text', 'a"b'), '{"messages":[{"value":"a\\"b"}]}');
  assert.equal(of('json', ' {"n": 12345678901234567890} '), '{"messages":[{"value_json":{"n": 12345678901234567890}}]}');
  assert.equal(of('json', '1', { key: 'k' }), '{"messages":[{"key":"k","value_json":1}]}');
  assert.throws(() => of('json', '{"n": 1}], "x": [{}'), SyntaxError, 'nothing else gets into the request');
  assert.equal(of('base64', 'AP8\n='), '{"messages":[{"value_base64":"AP8="}]}');
  assert.equal(of('none', 'x'), '{"messages":[{}]}');
  const headers = [{ name: 'a', value: '1' }, { name: '', value: 'left' }];
  assert.equal(of('text', '', { headers }), '{"messages":[{"value":"","headers":[{"name":"a","value":"1"}]}]}');
});

test('settings are lines', () => {
  assert.deepEqual(parseConfig('\nretention.ms = 5\n # no\ncleanup.policy=compact,delete\nx = a = b\n'),
    { 'retention.ms': '5', 'cleanup.policy': 'compact,delete', x: 'a = b' });
  assert.throws(() => parseConfig('retention.ms'), /name = value/);
});

test('things lead to their pages', () => {
  assert.equal(placeOf('topic/a/b'), '#/topics/a%2Fb');
  assert.equal(placeOf('partition/a/b/7'), '#/topics/a%2Fb');
  assert.equal(placeOf('queue/host/jobs'), '#/queues?text=host%2Fjobs');
  assert.equal(placeOf('session/a'), null);
});

/** All elements of a page that remembers nothing, and their texts. */
function drawn(node, into = { elements: [], text: '' }) {
  if (Array.isArray(node)) node.forEach((one) => drawn(one, into));
  else if (typeof node === 'string' || typeof node === 'number') into.text += node;
  else if (typeof node?.type === 'function') drawn(node.type(node.props), into);
  else if (node?.type) {
    const inside = drawn(node.props.children, { elements: [], text: '' });
    into.elements.push({ tag: node.type, ...node.props, text: inside.text }, ...inside.elements);
    into.text += inside.text + ' ';
  }
  return into;
}

const buttons = (node) => drawn(node).elements.filter(({ tag }) => tag === 'button');
const remedy = { number: 7, rule: 'E408', about: 'group/billing', text: 'retention.ms from 1 to 2', state: 'suggested', at: 1_790_000_000_000 };

test('a remedy that is suggested stands at its incident and nowhere else', () => {
  const incident = { rule: 'E408', severity: 'error', title: 'x', about: 'group/billing', cause: 'c', evidence: ['e'], remedy: 'r', since: 0 };
  const others = [{ ...remedy, state: 'applied' }, { ...remedy, rule: 'W402' }, { ...remedy, about: 'group/b' }];
  assert.equal(remedyOf(others, incident), undefined);
  assert.equal(remedyOf([...others, remedy], incident), remedy);
  const asked = [];
  const show = (it) => html`<${Incident} incident=${incident} remedy=${it} onApply=${(one) => asked.push(one)} />`;
  assert.deepEqual(buttons(show(undefined)), []);
  const [button] = buttons(show(remedy));
  assert.equal(button.text.trim(), 'Do it retention.ms from 1 to 2', 'which one is read out');
  button.onClick();
  assert.deepEqual(asked, [remedy]);
});

test('what was done is told, and can be undone', () => {
  const show = (mode, remedies, onUndo) => html`<${Remedies} mode=${mode} remedies=${remedies} onUndo=${onUndo} />`;
  assert.equal(drawn(show('observe', [])).text, '', 'nothing is said of what nobody switched on');
  assert.match(drawn(show('suggest', [])).text, /proposes nothing now/);
  assert.match(drawn(show('observe', [{ ...remedy, state: 'undone', by: 'alice' }])).text, /undone .*alice/);
  const all = [
    { ...remedy, number: 10, state: 'failed', by: 'alice', why: 'no such topic' }, { ...remedy, number: 9, state: 'applied', by: 'auto' },
    remedy, { ...remedy, number: 6, state: 'withdrawn' }, { ...remedy, number: 5, state: 'of_a_newer_broker' },
  ];
  const asked = [];
  const page = show('auto', all, ({ number }) => asked.push(number));
  const { elements, text } = drawn(page);
  assert.equal(elements.filter(({ tag }) => tag === 'tr').length, 1 + all.length);
  for (const part of ['failed', 'alice', 'no such topic', 'the broker itself', 'suggested', 'withdrawn', 'of_a_newer_broker']) assert.ok(text.includes(part), part);
  buttons(page).forEach((button) => button.onClick());
  assert.deepEqual(asked, [9], 'only what is applied');
  const many = Array.from({ length: 60 }, (_, number) => ({ ...remedy, number }));
  assert.match(drawn(show('auto', many)).text, /10 more are not shown/);
});

/** Answers of a broker, one after the other; and what it was asked. */
function broker(...answers) {
  const asked = [];
  globalThis.fetch = async (path, options) => {
    asked.push({ path, ...options });
    const answer = answers.shift();
    if (answer instanceof Error) throw answer;
    return new Response(answer.body ?? null, { status: answer.status ?? 200 });
  };
  return asked;
}

test('a login goes with each request, and one that is refused is not said again', async () => {
  let times = 0;
  onLogin(() => { times += 1; });
  logIn('älice', 'pass:word');
  const asked = broker({ body: '{"a": 1}' }, { status: 401, body: '{"detail": "wrong"}' }, { status: 401, body: 'no JSON' }, { status: 204 });
  assert.deepEqual(await ask('/x'), { a: 1 });
  assert.equal(Buffer.from(asked[0].headers.Authorization.slice('Basic '.length), 'base64').toString(), 'älice:pass:word');
  assert.equal(asked[0].credentials, 'omit');
  assert.equal(user(), 'älice');
  await assert.rejects(ask('/x'), (error) => error instanceof Problem && error.status === 401 && error.message === 'wrong');
  assert.equal(user(), null);
  await assert.rejects(ask('/x'), (error) => error.status === 401 && error.message === 'HTTP 401');
  assert.equal(asked[2].headers.Authorization, undefined);
  assert.equal(times, 2);
  assert.equal(await ask('/x', { method: 'DELETE' }), null, 'there is nothing to say');
  onLogin(() => {});
});

test('what nobody answers is told from what is refused', async () => {
  broker(new TypeError('Failed to fetch'), { status: 404, body: '{"detail": "there is no topic"}' });
  await assert.rejects(ask('/x'), (error) => error.status === 0);
  await assert.rejects(ask('/x'), (error) => error.status === 404 && error.message === 'there is no topic');
});

test('who listens comes back where it was, and stops where it is refused', async () => {
  const [told, states, paths] = [[], [], []];
  broker({ body: 'id: 0:7\nevent: message\ndata: {"n":1}\n\nid: 0:8\nevent: message\ndata: {"n"' }, { status: 503 }, { body: 'event: left_out\ndata: {"n":2}\n\n' }, { status: 404, body: '{"detail": "gone"}' });
  const path = (lastId) => {
    paths.push(lastId);
    return '/x';
  };
  await listen(path, {
    signal: new AbortController().signal,
    event: (name, data, id) => told.push([name, data.n, id]),
    state: (state, problem) => states.push(problem ? problem.message : state),
  });
  assert.deepEqual(told, [['message', 1, '0:7'], ['left_out', 2, '']]);
  assert.deepEqual(states, ['open', 'lost', 'lost', 'open', 'lost', 'gone']);
  assert.deepEqual(paths, ['', '0:7', '0:7', '0:7'], 'half an event is none');
});

test('tries are farther and farther apart, but never for ever', () => {
  assert.deepEqual([0, 1, 2, 99].map(patience), [500, 1000, 2000, 10_000]);
});

test('a remedy is carried out by its number, and what became of it is told', async (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  let toasts = [];
  onSaid((all) => { toasts = all; });
  const answer = (more) => ({ body: JSON.stringify({ ...remedy, by: 'alice', ...more }) });
  const asked = broker(answer({ state: 'applied' }), answer({ state: 'failed', why: 'no such topic' }), answer({ state: 'undone' }), { status: 409, body: '{"detail": "it is applied already"}' });
  await carryOut('apply', remedy);
  await carryOut('apply', remedy);
  await carryOut('undo', remedy);
  await assert.rejects(carryOut('apply', remedy), (error) => error.status === 409 && error.message === 'it is applied already');
  assert.deepEqual(asked.map(({ method, path }) => method + ' ' + path), ['apply', 'apply', 'undo', 'apply'].map((verb) => `POST /api/v1/remedies/7/${verb}`));
  assert.deepEqual(toasts.map(({ kind, text }) => kind + ': ' + text),
    ['good: Done: retention.ms from 1 to 2', 'error: Failed: retention.ms from 1 to 2. no such topic', 'good: Undone: retention.ms from 1 to 2']);
  onSaid(() => {});
});
