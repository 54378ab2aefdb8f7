// How the broker is doing now, and how it did in the last minutes.

import { useEffect, useRef, useState } from './hooks.mjs';
import { Chart } from './chart.js';
import { bytes, nameOf, nanos, number, short, span } from './format.js';
import { ask, patience } from './http.js';
import { language, t } from './i18n.js';
import { build, search } from './route.js';
import { extend, largest, last, mean, rates } from './series.js';
import { Failure, Notice, Table, Title, html, usePoll } from './ui.js';

/** Seconds that are shown. */
const WINDOW = 300;

/** Doors keep their colours, whatever else is there. */
const DOORS = ['kafka', 'mqtt', 'amqp', 'nats', 'stomp', 'http', 'coap'];

/** What is asked for each second: [name here, metric, part of it]. */
const LIVE = [
  ['received', 'entrepot_received_messages_total'],
  ['delivered', 'entrepot_delivered_messages_total'],
  ['receivedBytes', 'entrepot_received_bytes_total'],
  ['deliveredBytes', 'entrepot_delivered_bytes_total'],
  ['publish', 'entrepot_publish_duration_seconds', 'p99'],
  ['publishMedian', 'entrepot_publish_duration_seconds', 'median'],
  ['request', 'entrepot_request_duration_seconds', 'p99'],
];

/** What is asked for now and then. */
const GAUGES = [
  ['lag', 'entrepot_consumer_lag_max_messages'],
  ['lagTime', 'entrepot_consumer_lag_max_seconds'],
  ['ready', 'entrepot_queues_ready_messages'],
  ['free', 'entrepot_disk_free_bytes'],
  ['size', 'entrepot_disk_size_bytes'],
  ['memory', 'process_resident_memory_bytes'],
  ['sync', 'entrepot_store_sync_duration_seconds', 'p99'],
];

/** Series by their labels, which are put together from what comes second by second. */
function useHistory(wanted, seconds, every) {
  const [state, set] = useState({ now: 0, series: null, problem: null });
  const known = useRef({ now: 0, series: {} });
  useEffect(() => {
    const abort = new AbortController();
    let [timer, tries] = [0, 0];
    const one = async ([, family, part], count) =>
      ask('/api/v1/history' + search({ family, part, seconds: count }), { signal: abort.signal });
    const look = async () => {
      clearTimeout(timer);
      let wait = every;
      try {
        const behind = known.current.since ? Math.ceil((Date.now() - known.current.since) / 1000) + 5 : seconds;
        const count = Math.min(seconds, Math.max(10, behind));
        const answers = await Promise.all(wanted.map((spec) => one(spec, count)));
        if (abort.signal.aborted) return;
        tries = 0;
        known.current = join(known.current, wanted, answers, seconds);
        set({ ...known.current, problem: null });
      } catch (problem) {
        if (abort.signal.aborted) return;
        wait = Math.max(every, patience(tries));
        tries += 1;
        set((before) => ({ ...before, problem }));
        if (problem.status === 401) return;
      }
      timer = setTimeout(() => document.hidden || look(), wait);
    };
    const shown = () => document.hidden || look();
    document.addEventListener('visibilitychange', shown);
    look();
    return () => {
      abort.abort();
      clearTimeout(timer);
      document.removeEventListener('visibilitychange', shown);
    };
  }, []);
  return state;
}

/** What was known, and what comes on top of it. After a restart the broker counts its seconds anew. */
function join(known, wanted, answers, seconds) {
  const now = Math.max(...answers.map((answer) => answer.now));
  const before = now < known.now ? {} : known.series;
  const series = {};
  wanted.forEach(([name], index) => {
    series[name] = {};
    for (const { labels, points } of answers[index].series) {
      const label = labels.join(' ');
      series[name][label] = extend(before[name]?.[label] ?? [], points, now, seconds + 1);
    }
  });
  return { now, series, since: Date.now() };
}

function color(door) {
  const at = DOORS.indexOf(door);
  return at < 0 ? 7 : at;
}

function lines(of, make) {
  return Object.entries(of ?? {}).map(([door, points]) => ({ label: door, color: color(door), points: make(points) }))
    // A door through which nothing goes has no line.
    .filter((line) => line.points.some(([, value]) => value > 0))
    .sort((a, b) => a.color - b.color || a.label.localeCompare(b.label));
}

/** Of all requests of a door the slowest. */
function byDoor(series) {
  const doors = {};
  for (const [labels, points] of Object.entries(series ?? {})) {
    const door = labels.split(' ')[0];
    doors[door] = [...(doors[door] ?? []), points];
  }
  return Object.fromEntries(Object.entries(doors).map(([door, all]) => [door, largest(all)]));
}

function Tile({ name, value, more, href }) {
  return html`<div class="tile"><dl>
    <dt>${href ? html`<a href=${href}>${name}</a>` : name}</dt>
    <dd>${value}${more ? html`<small>${more}</small>` : null}</dd>
  </dl></div>`;
}

function Tiles({ state, gauges, incidents }) {
  const broker = state.nodes.find((node) => node.id.startsWith('broker/') && node.facts.is_this);
  const { totals } = state;
  const now = (name) => last(Object.values(gauges.series?.[name] ?? {})[0] ?? [], gauges.now, 30);
  const count = (kind) => number(totals[kind] ?? 0, language());
  const facts = broker?.facts ?? {};
  const lagTime = now('lagTime');
  const [free, size] = [now('free'), now('size')];
  return html`<div class="tiles">
    <${Tile} name=${t('tile.health')} value=${facts.healthy === false ? t('health.bad') : t('health.good')}
      more=${facts.version ? `Entrepot ${facts.version}` : null} href="#/configuration" />
    <${Tile} name=${t('page.incidents')} value=${number(incidents ?? 0, language())} href="#/incidents" />
    <${Tile} name=${t('tile.uptime')} value=${span(facts.now - facts.started_at)} />
    <${Tile} name=${t('page.topics')} value=${count('topic')} more=${t('tile.partitions', { count: count('partition') })} href="#/topics" />
    <${Tile} name=${t('page.connections')} value=${count('connection')} href="#/connections" />
    <${Tile} name=${t('page.groups')} value=${count('group')}
      more=${t('tile.lag', { messages: short(now('lag')), time: lagTime === null ? '–' : span(lagTime / 1e6) })} href="#/groups" />
    <${Tile} name=${t('page.queues')} value=${count('queue')} more=${t('tile.ready', { count: short(now('ready')) })} href="#/queues" />
    <${Tile} name=${t('tile.disk')} value=${bytes(free)} more=${size ? t('tile.of', { size: bytes(size) }) : null} />
    <${Tile} name=${t('tile.memory')} value=${bytes(now('memory'))} />
    <${Tile} name=${t('tile.sync')} value=${nanos(now('sync'))} />
  </div>`;
}

function Doors({ live, state }) {
  const doors = new Map();
  for (const node of state.nodes.filter((one) => one.id.startsWith('listener/'))) {
    const { door, connections } = node.facts;
    const known = doors.get(door) ?? { door, connections: 0, listeners: [] };
    known.connections += connections;
    known.listeners.push(nameOf(node.id));
    doors.set(door, known);
  }
  for (const name of ['received', 'delivered']) {
    for (const door of Object.keys(live.series?.[name] ?? {})) {
      if (!doors.has(door)) doors.set(door, { door, connections: 0, listeners: [] });
    }
  }
  const rate = (name, door) => mean(rates(live.series?.[name]?.[door] ?? []), live.now, 5);
  const latency = (name, door) => last(live.series?.[name]?.[door] ?? [], live.now, 10);
  const columns = [
    { title: t('door'), cell: ({ door }) => html`<a href=${build(['connections'], { text: door })}>${door}</a>` },
    { title: t('connections'), numeric: true, cell: ({ connections }) => number(connections, language()) },
    { title: t('overview.in'), numeric: true, cell: ({ door }) => short(rate('received', door)) },
    { title: t('overview.in.bytes'), numeric: true, cell: ({ door }) => bytes(rate('receivedBytes', door)) },
    { title: t('overview.out'), numeric: true, cell: ({ door }) => short(rate('delivered', door)) },
    { title: t('overview.out.bytes'), numeric: true, cell: ({ door }) => bytes(rate('deliveredBytes', door)) },
    { title: t('overview.median'), numeric: true, cell: ({ door }) => nanos(latency('publishMedian', door)) },
    { title: t('overview.p99'), numeric: true, cell: ({ door }) => nanos(latency('publish', door)) },
  ];
  return html`<section class="card">
    <h2>${t('overview.doors')}</h2>
    <${Table} caption=${t('overview.doors')} columns=${columns} keyOf=${(row) => row.door}
      rows=${[...doors.values()].sort((a, b) => color(a.door) - color(b.door))} />
    <p class="hint">${t('overview.hint')}</p>
  </section>`;
}

export function Overview({ theme }) {
  const { data: state, problem } = usePoll('/api/v1/state?kinds=broker,listener,store', 5000);
  const { data: diagnosis } = usePoll('/api/v1/diagnosis', 5000);
  const live = useHistory(LIVE, WINDOW, 1000);
  const gauges = useHistory(GAUGES, 10, 5000);
  const offset = Math.floor((live.since ?? Date.now()) / 1000) - live.now;
  const start = useRef(null);
  // The clock of the page and the seconds of the broker drift by less than one; the lines should not tremble for that.
  if (live.now > 0 && (start.current === null || Math.abs(start.current - offset) > 2)) start.current = offset;
  const chart = (title, drawn, format) => html`<${Chart} title=${title} lines=${drawn} now=${live.now} seconds=${WINDOW}
    offset=${start.current ?? offset} format=${format} theme=${theme} />`;
  const incidents = diagnosis?.incidents ?? [];
  const per = (value) => (value === null ? '–' : t('per.second', { value: short(value) }));
  const bytesPer = (value) => (value === null ? '–' : t('per.second', { value: bytes(value) }));
  return html`
    <${Title} text=${t('page.overview')} />
    <${Failure} problem=${problem ?? live.problem} />
    ${incidents.length > 0 ? html`<${Notice} kind=${incidents[0].severity}>
      <a href="#/incidents">${t('overview.incidents', { count: incidents.length })}</a><//>` : null}
    ${state ? html`<${Tiles} state=${state} gauges=${gauges} incidents=${diagnosis?.incidents.length} />` : null}
    ${live.series ? html`<div class="charts">
      ${chart(t('overview.chart.in'), lines(live.series.received, rates), per)}
      ${chart(t('overview.chart.out'), lines(live.series.delivered, rates), per)}
      ${chart(t('overview.chart.in.bytes'), lines(live.series.receivedBytes, rates), bytesPer)}
      ${chart(t('overview.chart.out.bytes'), lines(live.series.deliveredBytes, rates), bytesPer)}
      ${chart(t('overview.chart.publish'), lines(live.series.publish, (points) => points), nanos)}
      ${chart(t('overview.chart.request'), lines(byDoor(live.series.request), (points) => points), nanos)}
    </div>` : html`<p class="empty" role="status">${t('loading')}</p>`}
    ${state ? html`<${Doors} live=${live} state=${state} />` : null}`;
}
