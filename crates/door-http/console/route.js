// Where in the console one is: the part of the address behind #, such as #/topics/orders?page=2. Names may contain anything.

/** Takes an address apart: the parts of its path, and its query. */
export function parse(hash) {
  const text = hash.replace(/^#\/?/, '');
  const at = text.indexOf('?');
  const path = at < 0 ? text : text.slice(0, at);
  const query = {};
  if (at >= 0) {
    for (const [name, value] of new URLSearchParams(text.slice(at + 1))) query[name] = value;
  }
  return { parts: path.split('/').filter((part) => part !== '').map(decode), query };
}

/** What somebody typed may not be what an address is made of. */
function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** The address of these parts. What of the query is empty is left out. */
export function build(parts, query = {}) {
  return '#/' + parts.map(encodeURIComponent).join('/') + search(query);
}

/** The query of an address, with its question mark; nothing where it is empty. */
export function search(query) {
  const set = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== '');
  const text = new URLSearchParams(set.map(([name, value]) => [name, String(value)])).toString();
  return text === '' ? '' : '?' + text;
}

/** A path of the API; values are escaped. */
export function path(strings, ...values) {
  return strings.reduce((all, text, index) => all + encodeURIComponent(values[index - 1]) + text);
}
