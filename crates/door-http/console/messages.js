// Messages of a topic: from the newest, an offset or a time on, by key or by what they contain; and as they come.

import { useEffect, useRef, useState } from './hooks.mjs';
import { FORMS, bytesOf, headOf, show } from './decode.js';
import { bytes, number, time } from './format.js';
import { ask, listen } from './http.js';
import { language, t } from './i18n.js';
import { build, path, search } from './route.js';
import { go } from './state.js';
import { Publish } from './publish.js';
import { Facts, Failure, Field, Notice, Table, Title, html, usePoll } from './ui.js';

/** Messages of a page. */
const LIMIT = 100;

/** Partitions that are looked at together; who wants another says which. */
const PARTITIONS_MAX = 64;

/** Where the newest messages are looked for, in messages before the end of each partition. */
const NEWEST = 20_000;

/** Messages a second that are shown as they come, and how many are kept. */
const RATE = 50;
const KEPT = 500;

/** Where to begin. */
const FROM = ['newest', 'earliest', 'offset', 'time', 'live'];

/** Bytes of a preview. */
const PREVIEW = 300;

/** What to ask of a partition { partition, start, end } first; nothing, where there is nothing to be had. */
export function first({ partition, start, end }, { from, offset, at, key, contains }, limit) {
  const wanted = { partition, limit, key, contains };
  const isSearch = Boolean(key || contains);
  switch (from) {
    case 'earliest': return { ...wanted, from: 'earliest' };
    case 'offset': return offset > end ? null : { ...wanted, offset: Math.max(start, offset) };
    case 'time': return { ...wanted, time: at };
    default: return { ...wanted, offset: Math.max(start, end - (isSearch ? NEWEST : limit)) };
  }
}

/** Messages of all partitions in one order: of times, where several are shown. */
export function ordered(messages, newestFirst) {
  const way = newestFirst ? -1 : 1;
  const by = (a, b) => a.timestamp - b.timestamp || a.partition - b.partition || a.offset - b.offset;
  return [...messages].sort((a, b) => way * by(a, b));
}

/** Whether a message that comes is one of those that are wanted. */
export function matches(message, { key, contains }) {
  const isText = (field) => message[field] ?? '';
  return (!key || isText('key') === key) && (!contains || isText('value').includes(contains));
}

async function load(topic, requests, signal) {
  const found = { messages: [], next: {}, scanned: 0 };
  // A few at a time: a browser has six connections for a site, and others want one, too.
  const left = [...requests];
  const work = async () => {
    for (let wanted = left.shift(); wanted; wanted = left.shift()) {
      const answer = await ask(path`/api/v1/topics/${topic}/messages` + search(wanted), { signal });
      found.messages.push(...answer.messages);
      found.scanned += answer.scanned ?? answer.messages.length;
      found.next[wanted.partition] = { partition: wanted.partition, offset: answer.next, end: answer.end };
    }
  };
  await Promise.all([work(), work(), work()]);
  return found;
}

function Payload({ message, field, form, type }) {
  const content = bytesOf(message, field);
  if (content === null) return html`<em>${t('payload.none')}</em>`;
  const shown = show(content, form, field === 'value' ? type : '');
  return html`
    ${shown.problem ? html`<p class="hint">${t('payload.problem', { form: t('form.' + shown.problem), why: shown.why })}</p>` : null}
    <pre>${shown.text}</pre>
    <p class="hint">${t('form.' + shown.form)} · ${bytes(content.length)}</p>`;
}

function Details({ message, form }) {
  const headers = message.headers ?? [];
  return html`
    <${Facts} of=${[
      [t('partition'), message.partition],
      [t('offset'), message.offset],
      [t('time'), time(message.timestamp)],
      [t('content.type'), message.content_type],
      [t('priority'), message.priority],
      [t('expires'), message.expires_at === undefined ? undefined : time(message.expires_at)],
      [t('correlation'), message.correlation_id],
      [t('key'), html`<${Payload} message=${message} field="key" form="auto" />`],
      ...headers.map((header) => [html`${t('header')} <code>${header.name}</code>`, html`<${Payload} message=${header} field="value" form="auto" />`]),
      [t('payload'), html`<${Payload} message=${message} field="value" form=${form} type=${message.content_type} />`],
    ]} />`;
}

/** Previews of messages: a page is drawn again and again while messages come. */
const previews = new WeakMap();

function preview(message, form) {
  const known = previews.get(message);
  if (known?.form === form) return known.text;
  const { bytes: head, isWhole } = headOf(message, 'value', PREVIEW * 4);
  // What is cut off is no JSON any more.
  const used = form === 'auto' && !isWhole && message.value_base64 === undefined ? 'text' : form;
  const text = head === null ? null : show(head, used, message.content_type).text.replace(/\s+/g, ' ').slice(0, PREVIEW);
  previews.set(message, { form, text });
  return text;
}

function Rows({ messages, form, label }) {
  const [open, setOpen] = useState(null);
  const id = (message) => message.partition + ':' + message.offset;
  const columns = [
    { title: t('partition'), numeric: true, cell: ({ partition }) => partition },
    { title: t('offset'), numeric: true, cell: ({ offset }) => offset },
    { title: t('time'), tight: true, cell: ({ timestamp }) => time(timestamp) },
    { title: t('key'), cell: (message) => (message.key !== undefined || message.key_base64 !== undefined
      ? html`<span class="mono preview">${message.key ?? message.key_base64}</span>` : '–') },
    {
      title: t('payload'),
      cell: (message) => (open === id(message) ? html`<${Details} message=${message} form=${form} />`
        : html`<code class="preview">${preview(message, form) ?? t('payload.none')}</code>`),
    },
    {
      title: t('actions'),
      cell: (message) => html`<button type="button" aria-expanded=${open === id(message) ? 'true' : 'false'}
        onClick=${() => setOpen(open === id(message) ? null : id(message))}>
        ${open === id(message) ? t('less') : t('show')}<span class="hidden"> ${id(message)}</span></button>`,
    },
  ];
  return html`<${Table} caption=${label} columns=${columns} rows=${messages} keyOf=${id} />`;
}

function Found({ topic, partitions, query, form }) {
  const [state, set] = useState({ isBusy: true, messages: [], next: {}, scanned: 0, problem: null });
  const abort = useRef(null);
  const run = async (requests, known, older) => {
    abort.current?.abort();
    abort.current = new AbortController();
    const { signal } = abort.current;
    set((before) => ({ ...before, isBusy: true, problem: null }));
    try {
      const found = await load(topic, requests, signal);
      if (signal.aborted) return;
      set({
        isBusy: false,
        problem: null,
        messages: known.messages.concat(found.messages),
        // Older ones do not change where newer ones begin.
        next: older ? known.next : { ...known.next, ...found.next },
        scanned: known.scanned + found.scanned,
      });
    } catch (problem) {
      if (!signal.aborted) set((before) => ({ ...before, isBusy: false, problem }));
    }
  };
  const none = { messages: [], next: {}, scanned: 0 };
  const { key, contains } = query;
  const isSearch = Boolean(key || contains);
  const limit = partitions.length > 1 ? Math.max(5, Math.ceil(LIMIT / partitions.length)) : LIMIT;
  useEffect(() => {
    run(partitions.map((one) => first(one, query, limit)).filter((one) => one !== null), none, false);
    return () => abort.current?.abort();
  }, []);
  const more = Object.values(state.next).filter(({ offset, end }) => offset < end);
  const forward = () => run(more.map(({ partition, offset }) => ({ partition, offset, limit, key, contains })), state, false);
  const oldest = (partition) => Math.min(...state.messages.filter((one) => one.partition === partition).map(({ offset }) => offset));
  const older = isSearch || query.from === 'earliest' || query.from === 'time' ? [] : partitions
    .map(({ partition, start }) => ({ partition, start, before: oldest(partition) }))
    .filter(({ start, before }) => Number.isFinite(before) && before > start)
    .map(({ partition, start, before }) => {
      const offset = Math.max(start, before - limit);
      return { partition, offset, limit: before - offset };
    });
  const rows = ordered(state.messages, query.from === 'newest');
  return html`
    <${Failure} problem=${state.problem} />
    <div class="row" role="status">
      <span>${state.isBusy ? t('loading') : t('messages.found', { count: number(rows.length, language()), scanned: number(state.scanned, language()) })}</span>
      ${older.length > 0 ? html`<button type="button" disabled=${state.isBusy} onClick=${() => run(older, state, true)}>${t('messages.older')}</button>` : null}
      ${more.length > 0 ? html`<button type="button" disabled=${state.isBusy} onClick=${forward}>${isSearch ? t('messages.search.on') : t('messages.newer')}</button>` : null}
    </div>
    ${!state.isBusy && rows.length === 0 && !state.problem ? html`<p class="empty">${isSearch ? t('messages.nothing') : t('messages.empty')}</p>` : null}
    ${rows.length > 0 ? html`<${Rows} messages=${rows} form=${form} label=${t('messages.of', { topic })} />` : null}`;
}

function Live({ topic, partition, query, form }) {
  const [state, set] = useState({ messages: [], leftOut: 0, line: '', problem: null, count: 0 });
  const [isPaused, setPaused] = useState(false);
  const paused = useRef(false);
  paused.current = isPaused;
  useEffect(() => {
    const abort = new AbortController();
    const at = (lastId) => {
      // What came between is read, too, where it is known where that begins.
      const offset = partition !== '' && lastId ? Number(lastId.split(':')[1]) + 1 : undefined;
      return path`/api/v1/topics/${topic}/messages` + search({ partition, rate: RATE, offset });
    };
    // Many come together: the page is drawn once for them.
    let [waiting, timer] = [[], 0];
    const draw = () => {
      timer = 0;
      const come = waiting.reverse();
      waiting = [];
      if (!paused.current) set((before) => ({ ...before, count: before.count + come.length, messages: come.concat(before.messages).slice(0, KEPT) }));
    };
    listen(at, {
      signal: abort.signal,
      event: (name, data) => {
        if (name === 'left_out') set((before) => ({ ...before, leftOut: before.leftOut + data.left_out }));
        else if (name === 'message' && matches(data, query)) {
          waiting.push(data);
          timer ||= setTimeout(draw, 100);
        }
      },
      state: (line, problem = null) => set((before) => ({ ...before, line, problem })),
    });
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, []);
  return html`
    <${Failure} problem=${state.problem} />
    ${state.line === 'lost' ? html`<${Notice} kind="warning">${t('line.lost')}<//>` : null}
    <div class="row">
      <span role="status">${state.line === 'open' ? t('live.open', { count: number(state.count, language()) }) : null}</span>
      <button type="button" aria-pressed=${isPaused ? 'true' : 'false'} onClick=${() => setPaused(!isPaused)}>
        ${isPaused ? t('live.go.on') : t('live.pause')}</button>
      ${state.leftOut > 0 ? html`<span class="hint">${t('live.left.out', { count: number(state.leftOut, language()), rate: RATE })}</span>` : null}
    </div>
    ${state.messages.length === 0 && state.line === 'open' ? html`<p class="empty">${t('live.empty')}</p>` : null}
    ${state.messages.length > 0 ? html`<${Rows} messages=${state.messages} form=${form} label=${t('messages.of', { topic })} />` : null}`;
}

function Choose({ typed, onChange }) {
  const { data } = usePoll('/api/v1/topics' + search({ text: typed, limit: 50 }), 60_000);
  const names = (data?.nodes ?? []).map(({ id }) => id.slice('topic/'.length));
  return html`<${Field} label=${t('topic')} grow>
    <input class="mono" required list="topics" value=${typed} autocomplete="off"
      onInput=${(event) => onChange(event.currentTarget.value)} />
    <datalist id="topics">${names.map((name) => html`<option value=${name}></option>`)}</datalist>
  <//>`;
}

/** What is looked for, as it stands in the address. */
function Form({ route, topic, partitions }) {
  const said = { topic: topic ?? '', partition: '', from: 'newest', offset: '', time: '', key: '', contains: '', ...route.query };
  const [typed, setTyped] = useState(said);
  // Who goes back sees what was looked for then.
  useEffect(() => setTyped(said), [JSON.stringify(route.query)]);
  const set = (name) => (event) => setTyped({ ...typed, [name]: event.currentTarget.value });
  const submit = (event) => {
    event.preventDefault();
    const { topic: name, from, form, ...rest } = typed;
    const query = {
      ...rest,
      from: from === 'newest' ? '' : from,
      offset: from === 'offset' ? rest.offset : '',
      time: from === 'time' ? rest.time : '',
      partition: name === topic ? rest.partition : '',
      form: route.query.form,
      // The same again is looked for again.
      n: Number(route.query.n ?? 0) + 1,
    };
    go(build(['messages', name], query));
  };
  const options = partitions.slice(0, 1000).map(({ partition }) => html`<option value=${partition}>${partition}</option>`);
  return html`<form class="row" onSubmit=${submit}>
    <${Choose} typed=${typed.topic} onChange=${(name) => setTyped({ ...typed, topic: name })} />
    <${Field} label=${t('partition')}>
      <select value=${typed.partition} onChange=${set('partition')}><option value="">${t('all')}</option>${options}</select>
    <//>
    <${Field} label=${t('messages.from')}>
      <select value=${typed.from} onChange=${set('from')}>${FROM.map((from) => html`<option value=${from}>${t('from.' + from)}</option>`)}</select>
    <//>
    ${typed.from === 'offset' ? html`<${Field} label=${t('offset')}>
      <input type="number" min="0" required value=${typed.offset} onInput=${set('offset')} /><//>` : null}
    ${typed.from === 'time' ? html`<${Field} label=${t('time')}>
      <input type="datetime-local" step="1" required value=${typed.time} onInput=${set('time')} /><//>` : null}
    <${Field} label=${t('messages.key')}><input class="mono" value=${typed.key} onInput=${set('key')} /><//>
    <${Field} label=${t('messages.contains')}><input class="mono" value=${typed.contains} onInput=${set('contains')} /><//>
    <button class="main">${typed.from === 'live' ? t('messages.follow') : t('messages.look')}</button>
  </form>`;
}

export function Messages({ route }) {
  const topic = route.parts[1];
  const [isPublishing, setPublishing] = useState(false);
  const { data, problem, reload } = usePoll(topic === undefined ? null : path`/api/v1/topics/${topic}`, 60_000);
  const { partition = '', from = 'newest', offset = '', time: at = '', key = '', contains = '', n = '', form = 'auto' } = route.query;
  const query = { from, offset: Number(offset), at: new Date(at).getTime(), key, contains };
  const all = data?.partitions ?? [];
  const chosen = all.filter((one) => partition === '' || one.partition === Number(partition)).slice(0, PARTITIONS_MAX);
  // Another one for whatever is looked for.
  const shape = [topic, partition, from, offset, at, key, contains, n].join('\n');
  const [seen, setSeen] = useState({ shape: null, partitions: [] });
  useEffect(() => {
    // Where partitions end when somebody looks is where it begins.
    if (data && seen.shape !== shape) setSeen({ shape, partitions: chosen });
  }, [data, shape]);
  const isReady = data && seen.shape === shape;
  return html`
    <${Title} text=${topic === undefined ? t('page.messages') : t('messages.of', { topic })}>
      ${data ? html`<a class="button" href=${build(['topics', topic])}>${t('topic')}</a>
        <button type="button" class="main" disabled=${data.internal} onClick=${() => setPublishing(true)}>${t('publish.test')}</button>` : null}
    <//>
    <section class="card">
      <${Form} key=${topic} route=${route} topic=${topic} partitions=${all} />
      ${topic === undefined ? html`<p class="empty">${t('messages.choose')}</p>` : null}
      <${Failure} problem=${problem} />
      ${data && partition === '' && all.length > PARTITIONS_MAX ? html`<${Notice}>${t('messages.partitions', { shown: PARTITIONS_MAX, count: all.length })}<//>` : null}
      ${isReady ? html`<div class="row">
        <${Field} label=${t('form')}>
          <select value=${form} onChange=${(event) => go(build(route.parts, { ...route.query, form: event.currentTarget.value === 'auto' ? '' : event.currentTarget.value }), true)}>
            ${FORMS.map((one) => html`<option value=${one}>${t('form.' + one)}</option>`)}
          </select>
        <//>
      </div>` : null}
      ${isReady && from === 'live' ? html`<${Live} key=${shape} topic=${topic} partition=${partition} query=${query} form=${form} />` : null}
      ${isReady && from !== 'live' ? html`<${Found} key=${shape} topic=${topic} partitions=${seen.partitions} query=${query} form=${form} />` : null}
    </section>
    ${isPublishing ? html`<${Publish} topic=${topic} onClose=${() => setPublishing(false)} onDone=${reload} />` : null}`;
}
