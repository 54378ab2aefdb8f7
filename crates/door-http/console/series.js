// What metrics were, as lines of a chart.

/** How much a counter grew in each second, from its points [second, value]. One that began again counts from nothing. */
export function rates(points) {
  const all = [];
  for (let at = 1; at < points.length; at += 1) {
    const [[from, before], [to, after]] = [points[at - 1], points[at]];
    // What fell between two looks is spread over the time between them.
    const grown = (after < before ? after : after - before) / (to - from);
    for (let second = from + 1; second <= to; second += 1) all.push([second, grown]);
  }
  return all;
}

/** The seconds of a window that ends now, and for each line of points its value in each of them, or null. */
export function align(lines, now, seconds) {
  const first = now - seconds + 1;
  const times = Array.from({ length: seconds }, (_, index) => first + index);
  const values = lines.map((points) => {
    const line = new Array(seconds).fill(null);
    for (const [second, value] of points) {
      if (second >= first && second <= now) line[second - first] = value;
    }
    return line;
  });
  return { times, values };
}

/** The last value that is there, of a line of points; of the last so many seconds. */
export function last(points, now, seconds = 3) {
  const point = points[points.length - 1];
  return point && point[0] > now - seconds ? point[1] : null;
}

/** The mean of the last so many seconds. */
export function mean(points, now, seconds) {
  const values = points.filter(([second]) => second > now - seconds).map(([, value]) => value);
  return values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** The largest value of each second, of several lines. */
export function largest(lines) {
  const all = new Map();
  for (const points of lines) {
    for (const [second, value] of points) all.set(second, Math.max(value, all.get(second) ?? value));
  }
  return [...all].sort((a, b) => a[0] - b[0]);
}

/** The points that come on top of those that are known already; what is older than the window is dropped. */
export function extend(known, more, now, seconds) {
  const end = known.length > 0 ? known[known.length - 1][0] : -1;
  const all = known.concat(more.filter(([second]) => second > end));
  return all.filter(([second]) => second > now - seconds);
}
