// What happened, as it happens.

import { useEffect, useState } from './hooks.mjs';
import { time } from './format.js';
import { ask, listen } from './http.js';
import { known, t } from './i18n.js';
import { build, search } from './route.js';
import { go } from './state.js';
import { Failure, Field, Notice, SearchBox, Severity, Table, Thing, Title, html } from './ui.js';

/** Events that are kept in the page. */
const KEPT = 1000;

/** Events that are shown at once. */
const SHOWN = 200;

const SEVERITIES = ['info', 'warning', 'error'];

/** What one has of events, and what came on top of it; the newest first, none twice. */
export function merge(events, more) {
  const newest = events[0]?.number ?? 0;
  return more.filter((event) => event.number > newest).reverse().concat(events).slice(0, KEPT);
}

/** What one has, and all that there is. A broker that was restarted counts its events anew. */
export function renew(events, all) {
  const [newest, now] = [events[0], all[all.length - 1]];
  const isSame = newest && now && all.some(({ number, at }) => number === newest.number && at === newest.at);
  return isSame || (newest && now && all[0].number > newest.number) ? merge(events, all) : [...all].reverse();
}

/** What of it is wanted. */
export function wanted(events, { severity = '', kind = '', text = '' }) {
  const least = SEVERITIES.indexOf(severity);
  const part = text.toLowerCase();
  const has = (event) => [event.text, event.about ?? '', ...Object.values(event.fields ?? {})].some((one) => one.toLowerCase().includes(part));
  return events.filter((event) => SEVERITIES.indexOf(event.severity) >= least && (kind === '' || event.kind === kind) && has(event));
}

/** All events that are there, and those that come: since when the page is looked at. */
export function useEvents() {
  const [state, set] = useState({ events: null, missed: 0, line: '', problem: null });
  useEffect(() => {
    const abort = new AbortController();
    const { signal } = abort;
    const path = async () => {
      const page = await ask('/api/v1/events' + search({ limit: KEPT }), { signal });
      set((before) => ({ ...before, events: renew(before.events ?? [], page.events), problem: null }));
      return '/api/v1/events' + search({ from: page.next });
    };
    listen(path, {
      signal,
      event: (name, data) => {
        if (name === 'missed') set((before) => ({ ...before, missed: before.missed + data.missed }));
        else set((before) => ({ ...before, events: merge(before.events ?? [], [data]) }));
      },
      state: (line, problem = null) => set((before) => ({ ...before, line, problem })),
    });
    return () => abort.abort();
  }, []);
  return state;
}

export function Events({ route }) {
  const { events, missed, line, problem } = useEvents();
  const change = (query) => go(build(route.parts, { ...route.query, ...query }), true);
  const all = wanted(events ?? [], route.query);
  const kinds = [...new Set((events ?? []).map((event) => event.kind))].sort();
  const columns = [
    { title: t('time'), tight: true, cell: ({ at }) => time(at) },
    { title: t('severity'), cell: ({ severity }) => html`<${Severity} of=${severity} />` },
    { title: t('event'), cell: ({ kind }) => html`${known('event.' + kind, kind)}<br /><code>${kind}</code>` },
    { title: t('about'), cell: ({ about }) => (about ? html`<${Thing} id=${about} />` : '–') },
    {
      title: t('event.text'), cell: ({ text, withheld }) => html`${text}
        ${withheld ? html`<br /><span class="hint">${t('event.withheld', { count: withheld })}</span>` : null}`,
    },
  ];
  return html`
    <${Title} text=${t('page.events')} />
    <${Failure} problem=${problem} />
    ${line === 'lost' && events ? html`<${Notice} kind="warning">${t('line.lost')}<//>` : null}
    ${missed > 0 ? html`<${Notice}>${t('events.missed', { count: missed })}<//>` : null}
    <section class="card">
      <div class="row">
        <${Field} label=${t('severity')}>
          <select value=${route.query.severity ?? ''} onChange=${(event) => change({ severity: event.currentTarget.value })}>
            ${SEVERITIES.map((one, at) => html`<option value=${at === 0 ? '' : one}>${t('severity.from.' + one)}</option>`)}
          </select>
        <//>
        <${Field} label=${t('event')}>
          <select value=${route.query.kind ?? ''} onChange=${(event) => change({ kind: event.currentTarget.value })}>
            <option value="">${t('all')}</option>
            ${kinds.map((kind) => html`<option value=${kind}>${known('event.' + kind, kind)}</option>`)}
          </select>
        <//>
        <${SearchBox} label=${t('search')} value=${route.query.text ?? ''} onChange=${(text) => change({ text })} />
      </div>
      ${events === null && !problem ? html`<p class="empty" role="status">${t('loading')}</p>` : null}
      ${events && all.length === 0 ? html`<p class="empty">${t('events.empty')}</p>` : null}
      ${all.length > 0 ? html`<${Table} caption=${t('page.events')} columns=${columns} rows=${all.slice(0, SHOWN)} keyOf=${({ number }) => number} />` : null}
      ${all.length > SHOWN ? html`<p class="hint">${t('more', { count: all.length - SHOWN })}</p>` : null}
    </section>`;
}
