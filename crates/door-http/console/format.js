// Figures as people read them.

const BYTES = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/** A whole number, with the marks of the language. */
export function number(value, language = 'en') {
  return value === undefined || value === null ? '–' : Number(value).toLocaleString(language);
}

/** A number of which three digits are enough: 1.2 k, 34 M. */
export function short(value) {
  if (value === undefined || value === null || Number.isNaN(value)) return '–';
  const units = ['', ' k', ' M', ' G', ' T'];
  let [rest, unit] = [Math.abs(value), 0];
  while (rest >= 999.5 && unit + 1 < units.length) {
    rest /= 1000;
    unit += 1;
  }
  return (value < 0 ? '-' : '') + digits(rest) + units[unit];
}

/** Three digits; none behind a point that are zeros. */
function digits(value) {
  if (value === 0) return '0';
  const places = value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return String(Number(value.toFixed(places)));
}

/** Bytes. */
export function bytes(value) {
  if (value === undefined || value === null || Number.isNaN(value)) return '–';
  let [rest, unit] = [Math.abs(value), 0];
  while (rest >= 1023.5 && unit + 1 < BYTES.length) {
    rest /= 1024;
    unit += 1;
  }
  return (value < 0 ? '-' : '') + digits(rest) + ' ' + BYTES[unit];
}

/** Nanoseconds. */
export function nanos(value) {
  if (value === undefined || value === null || Number.isNaN(value)) return '–';
  for (const [unit, size] of [['s', 1e9], ['ms', 1e6], ['µs', 1e3]]) {
    if (value >= size * 0.9995) return digits(value / size) + ' ' + unit;
  }
  return digits(value) + ' ns';
}

/** How long, from milliseconds, with two units: 3 h 5 min. */
export function span(ms) {
  if (ms === undefined || ms === null || Number.isNaN(ms)) return '–';
  const sizes = [['d', 86_400_000], ['h', 3_600_000], ['min', 60_000], ['s', 1000]];
  const first = sizes.findIndex(([, size]) => ms >= size);
  if (first < 0) return Math.round(ms) + ' ms';
  const [unit, size] = sizes[first];
  const whole = Math.floor(ms / size);
  const next = sizes[first + 1];
  const rest = next ? Math.floor((ms % size) / next[1]) : 0;
  return `${whole} ${unit}` + (rest > 0 ? ` ${rest} ${next[0]}` : '');
}

/** A time in this place, to the millisecond, in the order in which times sort. */
export function time(ms) {
  if (ms === undefined || ms === null || ms < 0) return '–';
  const at = new Date(ms);
  if (Number.isNaN(at.getTime())) return String(ms);
  const two = (value) => String(value).padStart(2, '0');
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  const clock = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  return `${day} ${clock}.${String(at.getMilliseconds()).padStart(3, '0')}`;
}

/** What stands behind the first slash of a node's identity: its name, which may have more of them. */
export function nameOf(id) {
  return id.slice(id.indexOf('/') + 1);
}
