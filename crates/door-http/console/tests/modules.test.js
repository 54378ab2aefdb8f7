// What needs no page: addresses, figures, events, payloads, texts. Run by `node --test`.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';
import { bytesOf, fromBase64, headOf, guess, hex, indent, show, toBase64 } from '../decode.js';
import { EN } from '../en.js';
import { bytes, nameOf, nanos, number, short, span, time } from '../format.js';
import { choose, known, ofRule, speak, t } from '../i18n.js';
import { build, parse, path, search } from '../route.js';
import { RULES_ZH } from '../rules-zh.js';
import { align, extend, largest, last, mean, rates } from '../series.js';
import { Parser } from '../sse.js';
import { ZH } from '../zh.js';

const folder = new URL('..', import.meta.url);
const modules = readdirSync(folder).filter((name) => name.endsWith('.js') && !['en.js', 'zh.js', 'rules-zh.js'].includes(name));
const sources = modules.map((name) => [name, readFileSync(new URL(name, folder), 'utf8')]);

test('an address leads back to where it was made', () => {
  for (const name of ['orders', 'a/b', 'ä ö', '100%', '?#&=', '订单', '..']) {
    const query = { text: name, page: '2' };
    assert.deepEqual(parse(build(['topics', name], query)), { parts: ['topics', name], query });
  }
  assert.deepEqual(parse(''), { parts: [], query: {} });
  assert.deepEqual(parse('#/topics/%zz'), { parts: ['topics', '%zz'], query: {} }, 'typed by hand');
  assert.equal(build(['a'], { b: '', c: null, d: 0 }), '#/a?d=0');
  assert.equal(path`/api/v1/topics/${'a/b'}/messages`, '/api/v1/topics/a%2Fb/messages');
  assert.equal(search({}), '');
});

test('figures are short and true', () => {
  assert.deepEqual([0, 7, 999, 1000, 12_345, 999_600, -2_500_000].map(short), ['0', '7', '999', '1 k', '12.3 k', '1 M', '-2.5 M']);
  assert.deepEqual([0, 1023, 1024, 1536, 3 * 2 ** 30].map(bytes), ['0 B', '1023 B', '1 KiB', '1.5 KiB', '3 GiB']);
  assert.deepEqual([0, 999, 1500, 2_000_000, 3.21e9].map(nanos), ['0 ns', '999 ns', '1.5 µs', '2 ms', '3.21 s']);
  assert.deepEqual([5, 999, 61_000, 3_600_000, 90_061_000].map(span), ['5 ms', '999 ms', '1 min 1 s', '1 h', '1 d 1 h']);
  assert.deepEqual([null, undefined, NaN].map(short), ['–', '–', '–']);
  assert.equal(number(1_234_567), '1,234,567');
  assert.equal(nameOf('queue/a/b'), 'a/b');
  assert.match(time(1_700_000_000_123), /^2023-11-1[45] \d\d:\d\d:\d\d\.123$/);
  assert.equal(time(-1), '–');
  assert.equal(time(9e15), '9000000000000000', 'no time that there is');
});

test('events are taken apart wherever they are cut', () => {
  const sent = '\uFEFFid: 1\nevent: event\ndata: {"a":\ndata: 1}\n\n: \n\ndata: b\r\n\r\nevent: nothing\n\nid: 2\ndata:c\n\n';
  const expected = [
    { name: 'event', id: '1', data: '{"a":\n1}' },
    { name: 'message', id: '1', data: 'b' },
    { name: 'message', id: '2', data: 'c' },
  ];
  for (let size = 1; size <= sent.length; size += 1) {
    const parser = new Parser();
    const events = [];
    for (let at = 0; at < sent.length; at += size) events.push(...parser.feed(sent.slice(at, at + size)));
    assert.deepEqual(events, expected, `in pieces of ${size}`);
  }
});

test('counters become rates, also after a restart and a gap', () => {
  assert.deepEqual(rates([[1, 10], [2, 15], [3, 3], [5, 7]]), [[2, 5], [3, 3], [4, 2], [5, 2]]);
  assert.deepEqual(rates([[1, 10]]), []);
  assert.deepEqual(align([[[3, 1], [9, 2]]], 10, 3), { times: [8, 9, 10], values: [[null, 2, null]] });
  assert.equal(last([[1, 5], [9, 6]], 10), 6);
  assert.equal(last([[1, 5]], 10), null, 'of so long ago it is not what is now');
  assert.equal(mean([[1, 9], [9, 2], [10, 4]], 10, 5), 3);
  assert.equal(mean([], 10, 5), null);
  assert.deepEqual(largest([[[1, 2], [2, 9]], [[1, 3]]]), [[1, 3], [2, 9]]);
  assert.deepEqual(extend([[1, 1], [2, 2]], [[2, 2], [3, 3]], 3, 2), [[2, 2], [3, 3]]);
});

const coded = (...parts) => Uint8Array.from(parts.flat());
const utf8 = (plain) => new TextEncoder().encode(plain);

test('a payload is shown as what it looks like', () => {
  assert.equal(guess(utf8('{"a": 1}')), 'json');
  assert.equal(guess(utf8('{"a": ')), 'text');
  assert.equal(guess(utf8('12')), 'text');
  assert.equal(guess(utf8('温度')), 'text');
  assert.equal(guess(coded(0, 0, 0, 7)), 'number');
  assert.equal(guess(coded(0xff, 0xfe, 0)), 'hex');
  assert.equal(guess(coded(0xa0), 'application/cbor'), 'cbor');
  assert.equal(show(null, 'auto').form, 'none');
  assert.deepEqual(show(utf8(''), 'auto'), { form: 'text', text: '' });
  assert.match(show(coded(0, 0, 0, 7), 'auto').text, /int32 +7\n/);
  const wrong = show(utf8('no'), 'json');
  assert.deepEqual([wrong.form, wrong.problem], ['hex', 'json']);
  assert.equal(hex(utf8('hi\n')), '000000  68 69 0a                                         hi.');
  assert.equal(toBase64(fromBase64('AP8=')), 'AP8=');
  assert.deepEqual(bytesOf({ value: null, value_base64: '/w==' }, 'value'), coded(0xff));
  assert.equal(bytesOf({ value: null }, 'value'), null);
  assert.deepEqual(headOf({ value: 'a'.repeat(99) }, 'value', 3), { bytes: utf8('aaa'), isWhole: false });
  assert.deepEqual(headOf({ value: null, value_base64: 'AP8B/w==' }, 'value', 3), { bytes: coded(0, 255, 1), isWhole: false });
  assert.deepEqual(headOf({ value: 'a' }, 'value', 3), { bytes: utf8('a'), isWhole: true });
  assert.deepEqual(headOf({ value: null }, 'value', 3), { bytes: null, isWhole: true });
});

test('json keeps its numbers and its texts', () => {
  assert.equal(indent('{"a":12345678901234567890,"b":[],"c":{},"d":[1.50,"x, {y}: \\"z\\""]}'),
    '{\n  "a": 12345678901234567890,\n  "b": [],\n  "c": {},\n  "d": [\n    1.50,\n    "x, {y}: \\"z\\""\n  ]\n}');
});

test('binary forms are read as their standards say', () => {
  // RFC 8949, appendix A.
  const cbor = (bytes) => JSON.parse(show(Uint8Array.from(bytes), 'cbor').text);
  assert.equal(cbor([0x19, 0x03, 0xe8]), 1000);
  assert.equal(cbor([0x1b, 255, 255, 255, 255, 255, 255, 255, 255]), '18446744073709551615');
  assert.equal(cbor([0x39, 0x03, 0xe7]), -1000);
  assert.equal(cbor([0xf9, 0x3e, 0x00]), 1.5);
  assert.equal(cbor([0xf9, 0x7c, 0x00]), 'Infinity');
  assert.deepEqual(cbor([0xf4]), false);
  assert.deepEqual(cbor([0xa2, 0x61, 0x61, 1, 0x61, 0x62, 0x82, 2, 3]), { a: 1, b: [2, 3] });
  assert.deepEqual(cbor([0x9f, 1, 0x82, 2, 3, 0x9f, 4, 5, 255, 255]), [1, [2, 3], [4, 5]]);
  assert.equal(cbor([0x7f, 0x62, 0x61, 0x62, 0x61, 0x63, 255]), 'abc');
  assert.equal(cbor([0xc1, 0x1a, 0x51, 0x4b, 0x67, 0xb0]), 1363896240);
  const pack = (bytes) => JSON.parse(show(Uint8Array.from(bytes), 'msgpack').text);
  assert.deepEqual(pack([0x82, 0xa7, ...utf8('compact'), 0xc3, 0xa6, ...utf8('schema'), 0]), { compact: true, schema: 0 });
  assert.deepEqual(pack([0x93, 0xff, 0xcd, 1, 0, 0xd2, 255, 255, 255, 254]), [-1, 256, -2]);
  assert.equal(pack([0xcb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0]), 1.5);
  assert.equal(pack([0xd9, 2, 0x68, 0x69]), 'hi');
  // The example of the encoding's description: a varint 150 in field 1, "testing" in field 2, a message in field 3.
  const message = [0x08, 0x96, 0x01, 0x12, 0x07, ...utf8('testing'), 0x1a, 0x03, 0x08, 0x96, 0x01];
  assert.equal(show(Uint8Array.from(message), 'protobuf').text, '1: 150\n2: "testing"\n3 {\n  1: 150\n}');
});

test('what is cut short, too long or too deep is refused, not followed', () => {
  for (const form of ['cbor', 'msgpack', 'protobuf', 'json']) {
    for (const bytes of [[0x9b, 255, 255, 255, 255, 255, 255, 255, 255], [0xdd, 255, 255, 255, 255], [0x12, 0x7f], new Array(100_000).fill(0x81)]) {
      const shown = show(Uint8Array.from(bytes), form);
      assert.equal(shown.problem, form);
      assert.equal(shown.form, 'hex');
    }
  }
});

test('both languages say the same things, with the same values', () => {
  assert.deepEqual(Object.keys(ZH), Object.keys(EN));
  const values = (text) => (text.match(/\{\w+\}/g) ?? []).sort();
  for (const key of Object.keys(EN)) {
    assert.deepEqual(values(ZH[key]), values(EN[key]), key);
    assert.notEqual(EN[key].trim(), '', key);
    assert.notEqual(ZH[key].trim(), '', key);
  }
  for (const rule of Object.values(RULES_ZH)) assert.deepEqual(Object.keys(rule), ['title', 'cause', 'remedy']);
});

test('every text that is asked for is there, and every text that is there is asked for', () => {
  const [asked, begun] = [new Set(), []];
  for (const [name, source] of sources) {
    for (const [, key, rest] of source.matchAll(/\b(?:t|known)\('([^']+)'( \+)?/g)) {
      if (rest) begun.push(key);
      else {
        assert.ok(key in EN, `${name}: ${key}`);
        asked.add(key);
      }
    }
  }
  for (const start of begun) assert.ok(Object.keys(EN).some((key) => key.startsWith(start)), start);
  const unused = Object.keys(EN).filter((key) => !asked.has(key) && !begun.some((start) => key.startsWith(start)));
  assert.deepEqual(unused, []);
});

test('no text stands in a page itself', () => {
  for (const [name, source] of sources) {
    // Between tags of a template: words that no ${…} says.
    for (const [, text] of source.matchAll(/>([^<>`${}=;()]*[A-Za-z]{3,}[^<>`${}=;()]*)<\//g)) {
      assert.ok(['Entrepot'].includes(text.trim()), `${name}: ${text.trim()}`);
    }
  }
});

test('libraries are what their packages have', () => {
  const vendor = new URL('vendor/', folder);
  const table = readFileSync(new URL('README.md', vendor), 'utf8');
  const rows = [...table.matchAll(/^\| `([a-z.]+)` \| ([a-z]+) .*`([0-9a-f]{64})` \|$/gm)];
  assert.deepEqual(rows.map(([, file]) => file).sort(), readdirSync(vendor).filter((name) => /\.(mjs|js|css)$/.test(name)).sort());
  for (const [, file, name, sum] of rows) {
    let text = readFileSync(new URL(file, vendor), 'utf8');
    if (file === 'hooks.mjs') text = text.replace('from"./preact.mjs"', 'from"preact"');
    if (file === 'uplot.css') text = text.replace(/\n$/, '');
    assert.equal(createHash('sha256').update(text).digest('hex'), sum, file);
    assert.ok(readdirSync(vendor).includes('LICENSE.' + name), name);
  }
});

test('the language is the first that somebody reads and we speak', () => {
  assert.equal(choose(['de-DE', 'zh-CN', 'en']), 'zh');
  assert.equal(choose(['de']), 'en');
  speak('zh');
  assert.equal(t('page.of', { page: 1, pages: 2, total: 3 }), '第 1 / 2 页，共 3 项');
  const incident = { rule: 'W401', title: 'a group has stopped consuming' };
  assert.equal(ofRule(incident, 'title'), '消费组停止消费');
  assert.equal(ofRule({ rule: 'W999', title: 'new' }, 'title'), 'new', 'as the broker says it');
  speak('en');
  assert.equal(ofRule(incident, 'title'), incident.title);
  assert.equal(known('event.nothing', 'nothing'), 'nothing');
  assert.equal(t('login.refused'), EN['login.refused']);
});
