// What is in a payload: keys and payloads are bytes, and what they mean is a guess unless their content type says it.

const text = new TextDecoder('utf-8', { fatal: true });

/** Bytes of base64. */
export function fromBase64(coded) {
  return Uint8Array.from(atob(coded), (char) => char.charCodeAt(0));
}

/** Bytes as base64. */
export function toBase64(bytes) {
  let all = '';
  for (const byte of bytes) all += String.fromCharCode(byte);
  return btoa(all);
}

/** The bytes of a field that the API says as text or in base64; null where it is not there. */
export function bytesOf(message, field) {
  const coded = message[field + '_base64'];
  if (coded !== undefined) return fromBase64(coded);
  const plain = message[field];
  return plain === undefined || plain === null ? null : new TextEncoder().encode(plain);
}

/** The first bytes of it, about so many, and whether that is all. */
export function headOf(message, field, count) {
  const coded = message[field + '_base64'];
  const plain = coded === undefined ? message[field] ?? null : null;
  const length = coded === undefined ? count : Math.ceil(count / 3) * 4;
  const cut = { [field]: plain?.slice(0, length) ?? null };
  if (coded !== undefined) cut[field + '_base64'] = coded.slice(0, length);
  return { bytes: bytesOf(cut, field), isWhole: (coded ?? plain ?? '').length <= length };
}

/** Forms that a payload can be shown in. */
export const FORMS = ['auto', 'json', 'text', 'hex', 'base64', 'number', 'cbor', 'msgpack', 'protobuf'];

/** A payload in a form: the form that it is in, and its text; or why it cannot be. */
export function show(bytes, form, contentType = '') {
  if (bytes === null) return { form: 'none', text: '' };
  const used = form === 'auto' ? guess(bytes, contentType) : form;
  try {
    return { form: used, text: FORMATS[used](bytes) };
  } catch (error) {
    return { form: 'hex', text: hex(bytes), problem: used, why: error.message };
  }
}

/** The form that it is most likely in. */
export function guess(bytes, contentType = '') {
  const kind = contentType.split(';')[0].trim().toLowerCase();
  if (kind === 'application/cbor') return 'cbor';
  if (['application/msgpack', 'application/vnd.msgpack', 'application/x-msgpack'].includes(kind)) return 'msgpack';
  if (['application/protobuf', 'application/x-protobuf'].includes(kind)) return 'protobuf';
  let plain;
  try {
    plain = text.decode(bytes);
  } catch {
    return [1, 2, 4, 8].includes(bytes.length) ? 'number' : 'hex';
  }
  // Text has no such characters; numbers do.
  // eslint-disable-next-line no-control-regex
  if (/[\u0000-\u0008\u000e-\u001a\u001c-\u001f]/.test(plain)) {
    return [1, 2, 4, 8].includes(bytes.length) ? 'number' : 'hex';
  }
  return isJson(plain) ? 'json' : 'text';
}

function isJson(plain) {
  if (!/^\s*[[{"]/.test(plain)) return false;
  try {
    JSON.parse(plain);
    return true;
  } catch {
    return false;
  }
}

const FORMATS = {
  json: (bytes) => indent(text.decode(bytes)),
  text: (bytes) => new TextDecoder().decode(bytes),
  hex,
  base64: toBase64,
  number: numbers,
  cbor: (bytes) => print(new Cbor(bytes).whole()),
  msgpack: (bytes) => print(new MessagePack(bytes).whole()),
  protobuf: (bytes) => protobuf(bytes).join('\n'),
};

/** JSON on lines of its own. Its numbers and texts stay as they are, however many digits they have. */
export function indent(plain) {
  JSON.parse(plain);
  const tokens = plain.match(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g) ?? [];
  let [all, depth] = ['', 0];
  const line = () => '\n' + '  '.repeat(depth);
  tokens.forEach((token, index) => {
    const next = tokens[index + 1];
    if (token === '{' || token === '[') {
      const isEmpty = next === '}' || next === ']';
      depth += 1;
      all += token + (isEmpty ? '' : line());
    } else if (token === '}' || token === ']') {
      const isEmpty = tokens[index - 1] === '{' || tokens[index - 1] === '[';
      depth -= 1;
      all += (isEmpty ? '' : line()) + token;
    } else if (token === ',') all += ',' + line();
    else all += token === ':' ? ': ' : token;
  });
  return all;
}

/** Bytes in rows of sixteen, with where they are and the letters that they may be. */
export function hex(bytes) {
  const rows = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const row = [...bytes.subarray(at, at + 16)];
    const codes = row.map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
    const letters = row.map((byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : '.')).join('');
    rows.push(`${at.toString(16).padStart(6, '0')}  ${codes.padEnd(47)}  ${letters}`);
  }
  return rows.join('\n');
}

/** Whole numbers and fractions that these bytes may be, the highest byte first. */
function numbers(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const read = {
    1: () => [['int8', view.getInt8(0)], ['uint8', view.getUint8(0)]],
    2: () => [['int16', view.getInt16(0)], ['uint16', view.getUint16(0)]],
    4: () => [['int32', view.getInt32(0)], ['uint32', view.getUint32(0)], ['float', view.getFloat32(0)]],
    8: () => [['int64', view.getBigInt64(0)], ['uint64', view.getBigUint64(0)], ['double', view.getFloat64(0)]],
  }[bytes.length];
  if (!read) throw new Error('1, 2, 4 or 8 bytes');
  return read().map(([kind, value]) => `${kind.padEnd(6)} ${value}`).join('\n');
}

/** Values as JSON, with what JSON has no form for said in words. */
function print(value) {
  const plain = (_, part) => {
    if (typeof part === 'bigint') return part.toString();
    if (part instanceof Uint8Array) return 'base64:' + toBase64(part);
    if (typeof part === 'number' && !Number.isFinite(part)) return String(part);
    if (part === undefined) return 'undefined';
    if (part instanceof Map) return Object.fromEntries([...part].map(([key, item]) => [word(key), item]));
    return part;
  };
  return JSON.stringify(value, plain, 2);
}

function word(key) {
  return typeof key === 'object' && key !== null ? print(key) : String(key);
}

/** Nested values that are followed. A payload is somebody else's. */
const DEPTH_MAX = 64;

/** Reads bytes in order. */
class Reader {
  constructor(bytes) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.at = 0;
    this.depth = 0;
  }

  take(count) {
    if (!(count <= this.bytes.length - this.at)) throw new Error(`ends at byte ${this.bytes.length}`);
    const from = this.at;
    this.at += Number(count);
    return from;
  }

  slice(count) {
    const from = this.take(count);
    return this.bytes.subarray(from, this.at);
  }

  unsigned(size) {
    const from = this.take(size);
    if (size === 8) {
      const value = this.view.getBigUint64(from);
      return value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;
    }
    return { 1: () => this.view.getUint8(from), 2: () => this.view.getUint16(from), 4: () => this.view.getUint32(from) }[size]();
  }

  signed(size) {
    const from = this.take(size);
    if (size === 8) {
      const value = this.view.getBigInt64(from);
      return Number.isSafeInteger(Number(value)) ? Number(value) : value;
    }
    return { 1: () => this.view.getInt8(from), 2: () => this.view.getInt16(from), 4: () => this.view.getInt32(from) }[size]();
  }

  deeper(read) {
    this.depth += 1;
    if (this.depth > DEPTH_MAX) throw new Error('nested too deep');
    const value = read();
    this.depth -= 1;
    return value;
  }

  list(count) {
    // Each takes a byte at least: no length is believed that cannot be.
    if (count > this.bytes.length - this.at) throw new Error(`ends at byte ${this.bytes.length}`);
    return this.deeper(() => Array.from({ length: Number(count) }, () => this.value()));
  }

  map(count) {
    if (count > this.bytes.length - this.at) throw new Error(`ends at byte ${this.bytes.length}`);
    return this.deeper(() => {
      const all = new Map();
      for (let left = Number(count); left > 0; left -= 1) {
        const key = this.value();
        all.set(key, this.value());
      }
      return all;
    });
  }

  whole() {
    const value = this.value();
    if (this.at < this.bytes.length) throw new Error(`${this.bytes.length - this.at} bytes are left over`);
    return value;
  }
}

/** CBOR (RFC 8949). */
class Cbor extends Reader {
  value() {
    const first = this.unsigned(1);
    const [major, low] = [first >> 5, first & 31];
    if (low === 31) return this.endless(major);
    if (low > 27) throw new Error(`byte ${first} begins no value`);
    if (major === 7) return this.simple(low);
    const count = low < 24 ? low : this.unsigned(1 << (low - 24));
    switch (major) {
      case 0: return count;
      case 1: return typeof count === 'bigint' ? -1n - count : -1 - count;
      case 2: return this.slice(count);
      case 3: return text.decode(this.slice(count));
      case 4: return this.list(count);
      case 5: return this.map(count);
      default: return this.deeper(() => this.value());
    }
  }

  simple(low) {
    if (low === 25) return half(this.unsigned(2));
    if (low === 26) return this.view.getFloat32(this.take(4));
    if (low === 27) return this.view.getFloat64(this.take(8));
    const code = low === 24 ? this.unsigned(1) : low;
    return { 20: false, 21: true, 22: null, 23: undefined }[code] ?? (code >= 20 && code <= 23 ? null : `simple(${code})`);
  }

  endless(major) {
    const isOver = () => this.bytes[this.at] === 255 && this.take(1) >= 0;
    return this.deeper(() => {
      if (major === 4 || major === 2 || major === 3) {
        const all = [];
        while (!isOver()) all.push(this.value());
        if (major === 4) return all;
        if (major === 3) return all.join('');
        return Uint8Array.from(all.flatMap((part) => [...part]));
      }
      if (major !== 5) throw new Error('an end where no value began');
      const all = new Map();
      while (!isOver()) {
        const key = this.value();
        all.set(key, this.value());
      }
      return all;
    });
  }
}

/** A fraction of sixteen bits (IEEE 754). */
function half(bits) {
  const [sign, exponent, mantissa] = [bits >> 15 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
  if (exponent === 0) return sign * mantissa * 2 ** -24;
  if (exponent === 31) return mantissa ? NaN : sign * Infinity;
  return sign * (1 + mantissa / 1024) * 2 ** (exponent - 15);
}

/** MessagePack. */
class MessagePack extends Reader {
  value() {
    const first = this.unsigned(1);
    if (first < 0x80) return first;
    if (first < 0x90) return this.map(first & 15);
    if (first < 0xa0) return this.list(first & 15);
    if (first < 0xc0) return text.decode(this.slice(first & 31));
    if (first >= 0xe0) return first - 256;
    const size = (base) => this.unsigned(1 << (first - base));
    switch (first) {
      case 0xc0: return null;
      case 0xc2: return false;
      case 0xc3: return true;
      case 0xc4: case 0xc5: case 0xc6: return this.slice(size(0xc4));
      case 0xc7: case 0xc8: case 0xc9: return this.extension(size(0xc7));
      case 0xca: return this.view.getFloat32(this.take(4));
      case 0xcb: return this.view.getFloat64(this.take(8));
      case 0xcc: case 0xcd: case 0xce: case 0xcf: return size(0xcc);
      case 0xd0: case 0xd1: case 0xd2: case 0xd3: return this.signed(1 << (first - 0xd0));
      case 0xd4: case 0xd5: case 0xd6: case 0xd7: case 0xd8: return this.extension(1 << (first - 0xd4));
      case 0xd9: case 0xda: case 0xdb: return text.decode(this.slice(size(0xd9)));
      case 0xdc: case 0xdd: return this.list(this.unsigned(first === 0xdc ? 2 : 4));
      case 0xde: case 0xdf: return this.map(this.unsigned(first === 0xde ? 2 : 4));
      default: throw new Error(`byte ${first} begins no value`);
    }
  }

  extension(count) {
    const kind = this.signed(1);
    return { extension: kind, data: this.slice(count) };
  }
}

/** Protocol Buffers without their schema: numbers of fields and what stands there. */
function protobuf(bytes, depth = 0) {
  const reader = new Reader(bytes);
  const pad = '  '.repeat(depth);
  const rows = [];
  const varint = () => {
    let [value, shift] = [0n, 0n];
    for (;;) {
      const byte = reader.unsigned(1);
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return value;
      shift += 7n;
      if (shift > 63n) throw new Error('a number of more than 64 bits');
    }
  };
  while (reader.at < bytes.length) {
    const tag = varint();
    const [field, kind] = [tag >> 3n, Number(tag & 7n)];
    if (field === 0n) throw new Error('a field of number 0');
    if (kind === 0) rows.push(`${pad}${field}: ${varint()}`);
    else if (kind === 1) rows.push(`${pad}${field}: fixed64 ${reader.view.getBigUint64(reader.take(8), true)}`);
    else if (kind === 5) rows.push(`${pad}${field}: fixed32 ${reader.view.getUint32(reader.take(4), true)}`);
    else if (kind === 2) rows.push(...delimited(field, reader.slice(Number(varint())), depth));
    else throw new Error(`field ${field} is of kind ${kind}`);
  }
  return rows;
}

/** A text, a message within the message, or bytes: that is not said. */
function delimited(field, part, depth) {
  const pad = '  '.repeat(depth);
  if (guess(part) === 'text' || guess(part) === 'json') {
    return [`${pad}${field}: ${JSON.stringify(new TextDecoder().decode(part))}`];
  }
  try {
    if (part.length > 0 && depth < DEPTH_MAX) {
      return [`${pad}${field} {`, ...protobuf(part, depth + 1), `${pad}}`];
    }
  } catch {
    // Then it is bytes.
  }
  return [`${pad}${field}: base64 ${toBase64(part)}`];
}
