// What pages are made of. All texts go into the page as text: nothing that anybody published is ever taken for markup.

import { h } from './preact.mjs';
import { useEffect, useLayoutEffect, useRef, useState } from './hooks.mjs';
import htm from './htm.mjs';
import { number } from './format.js';
import { ask, patience } from './http.js';
import { language, t } from './i18n.js';
import { build, search } from './route.js';
import { go } from './state.js';

export const html = htm.bind(h);

/** Rows of a page of a table. */
const ROWS = 50;

/**
 * Asks for something again and again while it is looked at: what was answered last, and why the last try failed.
 * `path` null: not now.
 */
export function usePoll(path, every = 5000) {
  const [state, set] = useState({ path: null, data: null, problem: null });
  const again = useRef(() => {});
  useEffect(() => {
    if (path === null) return undefined;
    const abort = new AbortController();
    let [timer, tries] = [0, 0];
    const look = async () => {
      clearTimeout(timer);
      let wait = every;
      try {
        const data = await ask(path, { signal: abort.signal });
        if (abort.signal.aborted) return;
        tries = 0;
        set({ path, data, problem: null });
      } catch (problem) {
        if (abort.signal.aborted) return;
        wait = Math.max(every, patience(tries));
        tries += 1;
        set((known) => ({ ...known, problem }));
        // Who has to log in first does not try again until then.
        if (problem.status === 401) return;
      }
      // Nobody looks at a page that is hidden; it is asked for when somebody does again.
      timer = setTimeout(() => document.hidden || look(), wait);
    };
    const shown = () => document.hidden || look();
    again.current = look;
    document.addEventListener('visibilitychange', shown);
    look();
    return () => {
      abort.abort();
      clearTimeout(timer);
      document.removeEventListener('visibilitychange', shown);
    };
  }, [path, every]);
  return { data: state.data, problem: state.problem, isFresh: state.path === path, reload: () => again.current() };
}

/** Why something does not work, in words. */
export function why(problem) {
  if (problem.status === 0) return t('error.unreachable');
  if (problem.status === 401) return t('error.login');
  if (problem.status === 403) return t('error.forbidden', { detail: problem.message });
  return problem.message;
}

/** Something that is told: why something failed, or what is so. */
export function Notice({ kind = 'info', children }) {
  return html`<div class=${'notice ' + kind} role=${kind === 'error' ? 'alert' : 'status'}>${children}</div>`;
}

export function Failure({ problem }) {
  return problem ? html`<${Notice} kind="error">${why(problem)}<//>` : null;
}

/** The head of a page. */
export function Title({ text, children }) {
  return html`<div class="title">
    <h1 tabindex="-1">${text}</h1>
    <div class="actions">${children}</div>
  </div>`;
}

/** A field with its label. */
export function Field({ label, hint, children, grow }) {
  return html`<label class=${grow ? 'grow' : ''}><span>${label}</span>${children}
    ${hint ? html`<span class="hint">${hint}</span>` : null}
  </label>`;
}

export function Tag({ kind = 'info', text }) {
  return html`<span class=${'tag ' + kind}>${text}</span>`;
}

export function Severity({ of }) {
  return html`<${Tag} kind=${of} text=${t('severity.' + of)} />`;
}

/** Yes or no. */
export function yes(value) {
  return value ? t('yes') : t('no');
}

/** Facts, each with its name. */
export function Facts({ of }) {
  const shown = of.filter(([, value]) => value !== undefined && value !== null);
  return html`<dl class="facts">${shown.map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl>`;
}

/** A window over the page; the browser keeps the focus in it, and gives it back. */
export function Dialog({ title, onClose, children }) {
  const dialog = useRef(null);
  useLayoutEffect(() => {
    const shown = dialog.current;
    shown.showModal();
    // Of one that is only taken away, the browser does not give the focus back.
    return () => shown.close();
  }, []);
  const cancel = (event) => {
    event.preventDefault();
    onClose();
  };
  return html`<dialog ref=${dialog} onCancel=${cancel} aria-labelledby="dialog-title">
    <h2 id="dialog-title">${title}</h2>
    ${children}
  </dialog>`;
}

/** A window with fields: what it does may fail, and then says why and stays. */
export function FormDialog({ title, action, danger, onClose, onSubmit, disabled, children }) {
  const [problem, setProblem] = useState(null);
  const [isBusy, setBusy] = useState(false);
  const submit = async (event) => {
    event.preventDefault();
    setBusy(true);
    setProblem(null);
    try {
      await onSubmit();
    } catch (error) {
      setProblem(error);
    }
    setBusy(false);
  };
  return html`<${Dialog} title=${title} onClose=${onClose}>
    <form onSubmit=${submit}>
      <${Failure} problem=${problem} />
      <div class="fields">${children}</div>
      <div class="actions">
        <button type="button" onClick=${onClose}>${t('cancel')}</button>
        <button class=${danger ? 'danger' : 'main'} disabled=${isBusy || disabled}>${action}</button>
      </div>
    </form>
  <//>`;
}

/** A table; sorting is somebody else's. */
export function Table({ caption, columns, rows, keyOf, sort, order, onSort, busy }) {
  const head = (column) => {
    const kind = column.numeric ? 'number' : '';
    if (!column.sort || !onSort) return html`<th scope="col" class=${kind}>${column.title}</th>`;
    const isOwn = sort === column.sort;
    const sorted = !isOwn ? 'none' : order === 'desc' ? 'descending' : 'ascending';
    const next = isOwn ? (order === 'desc' ? 'asc' : 'desc') : column.numeric ? 'desc' : 'asc';
    return html`<th scope="col" class=${kind} aria-sort=${sorted}>
      <button type="button" onClick=${() => onSort(column.sort, next)}>${column.title}</button>
    </th>`;
  };
  const cell = (column, row) => {
    const kind = column.numeric ? 'number' : column.tight ? 'tight' : '';
    return html`<td class=${kind}>${column.cell(row)}</td>`;
  };
  return html`<div class="wide" role="region" aria-label=${caption} tabindex="0">
    <table aria-busy=${busy ? 'true' : 'false'}>
      <caption class="hidden">${caption}</caption>
      <thead><tr>${columns.map(head)}</tr></thead>
      <tbody>${rows.map((row) => html`<tr key=${keyOf(row)}>${columns.map((column) => cell(column, row))}</tr>`)}</tbody>
    </table>
  </div>`;
}

/** Where one is among pages. */
export function Pager({ page, pages, total, onPage }) {
  return html`<nav class="pager" aria-label=${t('pages')}>
    <button type="button" disabled=${page <= 1} onClick=${() => onPage(page - 1)}>${t('page.previous')}</button>
    <span>${t('page.of', { page: number(page, language()), pages: number(pages, language()), total: number(total, language()) })}</span>
    <button type="button" disabled=${page >= pages} onClick=${() => onPage(page + 1)}>${t('page.next')}</button>
  </nav>`;
}

/** A field to look for something, that waits until one stops typing. */
export function SearchBox({ label, value, onChange }) {
  const [text, setText] = useState(value);
  const timer = useRef(0);
  const changed = (event) => {
    const typed = event.currentTarget.value;
    setText(typed);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => onChange(typed), 250);
  };
  useEffect(() => setText(value), [value]);
  useEffect(() => () => clearTimeout(timer.current), []);
  return html`<${Field} label=${label} grow><input type="search" value=${text} onInput=${changed} /><//>`;
}

/**
 * A list of things of one kind, which the broker sorts, looks through and cuts into pages. What is looked for stands in the address.
 */
export function List({ kind, from, params = {}, columns, route, label, empty, every, onReload, rows = ROWS }) {
  const { text = '', sort = '', order = '' } = route.query;
  const page = Math.max(1, Math.floor(Number(route.query.page)) || 1);
  const path = from + search({ ...params, text, sort, order, offset: (page - 1) * rows, limit: rows });
  const { data, problem, isFresh, reload } = usePoll(path, every);
  if (onReload) onReload.current = reload;
  const change = (query) => go(build(route.parts, { ...route.query, page: '', ...query }), true);
  const total = data?.totals[kind] ?? 0;
  const pages = Math.max(1, Math.ceil(total / rows));
  useEffect(() => {
    // What was on the last page may be gone.
    if (data && isFresh && page > pages) change({ page: pages > 1 ? pages : '' });
  }, [data, isFresh, page, pages]);
  const shown = (data?.nodes ?? []).filter((node) => node.id.startsWith(kind + '/'));
  return html`
    <div class="row">
      <${SearchBox} label=${t('search')} value=${text} onChange=${(typed) => change({ text: typed })} />
    </div>
    <${Failure} problem=${problem} />
    ${data === null && !problem ? html`<p class="empty" role="status">${t('loading')}</p>` : null}
    ${data && shown.length === 0 ? html`<p class="empty">${text ? t('nothing.found', { text }) : empty}</p>` : null}
    ${shown.length > 0 ? html`
      <${Table} caption=${label} columns=${columns} rows=${shown} keyOf=${(node) => node.id} sort=${sort || 'name'}
        order=${order} busy=${!isFresh} onSort=${(by, way) => change({ sort: by, order: way })} />
      <${Pager} page=${page} pages=${pages} total=${total} onPage=${(to) => change({ page: to > 1 ? to : '' })} />` : null}`;
}

/** Where one reads about a thing of the state: none, where there is no such page. */
export function placeOf(id) {
  const at = id.indexOf('/');
  const [kind, name] = [id.slice(0, at), id.slice(at + 1)];
  switch (kind) {
    case 'topic': return build(['topics', name]);
    case 'partition': return build(['topics', name.slice(0, name.lastIndexOf('/'))]);
    case 'group': return build(['groups', name]);
    case 'queue': return build(['queues'], { text: name });
    case 'listener': return build(['connections'], { text: name });
    case 'connection': return build(['connections'], { text: name });
    case 'setting': return build(['configuration'], { text: name });
    case 'store': case 'broker': return build(['configuration']);
    default: return null;
  }
}

/** A thing, with a way to it. */
export function Thing({ id }) {
  const place = placeOf(id);
  return place ? html`<a href=${place} class="mono">${id}</a>` : html`<span class="mono">${id}</span>`;
}
