// One consumer group: who is in it, how far it is, and moving where it is.

import { useState } from './hooks.mjs';
import { number, span, time } from './format.js';
import { ask } from './http.js';
import { known, language, t } from './i18n.js';
import { build, path } from './route.js';
import { go, say } from './state.js';
import { Facts, Failure, Field, FormDialog, Notice, Pager, Table, Title, html, usePoll } from './ui.js';

const ROWS = 100;

/** Where offsets can be moved to. */
const TO = ['earliest', 'latest', 'time', 'offset'];

/** What is asked of the broker: where the offsets of these partitions are to be. */
export function moves(lags, { topic, partition, to, time: at, offset }) {
  const chosen = lags.filter((lag) => (topic === '' || lag.topic === topic) && (partition === '' || lag.partition === Number(partition)));
  const place = () => {
    if (to === 'time') return { time: new Date(at).getTime() };
    return to === 'offset' ? { offset: Number(offset) } : { to };
  };
  return chosen.map((lag) => ({ topic: lag.topic, partition: lag.partition, ...place() }));
}

function Move({ group, onClose, onDone }) {
  const topics = [...new Set(group.lags.map((lag) => lag.topic))];
  const [form, setForm] = useState({ topic: topics.length === 1 ? topics[0] : '', partition: '', to: 'earliest', time: '', offset: '' });
  const [plan, setPlan] = useState(null);
  const set = (name) => (event) => {
    setPlan(null);
    setForm({ ...form, [name]: event.currentTarget.value, ...(name === 'topic' ? { partition: '' } : {}) });
  };
  const partitions = group.lags.filter((lag) => lag.topic === form.topic).map((lag) => lag.partition);
  const submit = async () => {
    const offsets = moves(group.lags, form);
    const at = path`/api/v1/groups/${group.group}/offsets`;
    if (plan === null) {
      setPlan((await ask(at + '?dry_run=true', { method: 'PUT', body: { offsets } })).offsets);
      return;
    }
    // What was shown is what is done, wherever the ends are by now.
    const shown = plan.map(({ topic, partition, offset }) => ({ topic, partition, offset }));
    await ask(at, { method: 'PUT', body: { offsets: shown } });
    say(t('group.moved', { name: group.group }));
    onDone();
    onClose();
  };
  const before = (row) => group.lags.find((lag) => lag.topic === row.topic && lag.partition === row.partition)?.committed;
  const columns = [
    { title: t('topic'), cell: (row) => row.topic },
    { title: t('partition'), numeric: true, cell: (row) => row.partition },
    { title: t('group.from'), numeric: true, cell: (row) => number(before(row), language()) },
    { title: t('group.to'), numeric: true, cell: (row) => number(row.offset, language()) },
  ];
  return html`<${FormDialog} title=${t('group.move.title', { name: group.group })} onClose=${onClose} onSubmit=${submit}
      action=${plan === null ? t('group.move.plan') : t('group.move.do', { count: plan.length })}>
    ${group.members.length > 0 ? html`<${Notice} kind="warning">${t('group.move.members')}<//>` : null}
    <${Field} label=${t('topic')}>
      <select value=${form.topic} onChange=${set('topic')}>
        <option value="">${t('all')}</option>
        ${topics.map((topic) => html`<option value=${topic}>${topic}</option>`)}
      </select>
    <//>
    ${form.topic === '' ? null : html`<${Field} label=${t('partition')}>
      <select value=${form.partition} onChange=${set('partition')}>
        <option value="">${t('all')}</option>
        ${partitions.map((partition) => html`<option value=${partition}>${partition}</option>`)}
      </select>
    <//>`}
    <${Field} label=${t('group.move.where')}>
      <select value=${form.to} onChange=${set('to')}>${TO.map((to) => html`<option value=${to}>${t('group.move.' + to)}</option>`)}</select>
    <//>
    ${form.to === 'time' ? html`<${Field} label=${t('time')}>
      <input type="datetime-local" step="1" required value=${form.time} onInput=${set('time')} /><//>` : null}
    ${form.to === 'offset' ? html`<${Field} label=${t('offset')}>
      <input type="number" min="0" required value=${form.offset} onInput=${set('offset')} /><//>` : null}
    ${plan ? html`<${Table} caption=${t('group.move.planned')} columns=${columns} rows=${plan.slice(0, ROWS)}
      keyOf=${(row) => row.topic + '/' + row.partition} />
      ${plan.length > ROWS ? html`<p class="hint">${t('more', { count: plan.length - ROWS })}</p>` : null}` : null}
  <//>`;
}

function Delete({ name, onClose }) {
  const submit = async () => {
    await ask(path`/api/v1/groups/${name}`, { method: 'DELETE' });
    say(t('group.deleted', { name }));
    go(build(['groups']));
  };
  return html`<${FormDialog} title=${t('group.delete', { name })} action=${t('delete')} danger onClose=${onClose} onSubmit=${submit}>
    <p>${t('group.delete.what')}</p>
  <//>`;
}

function Lags({ lags }) {
  const [page, setPage] = useState(1);
  const pages = Math.max(1, Math.ceil(lags.length / ROWS));
  const columns = [
    { title: t('topic'), cell: ({ topic }) => html`<a href=${build(['topics', topic])}>${topic}</a>` },
    {
      title: t('partition'), numeric: true,
      cell: ({ topic, partition, committed }) => html`<a href=${build(['messages', topic], { partition, from: 'offset', offset: committed })}>${partition}</a>`,
    },
    { title: t('committed'), numeric: true, cell: ({ committed }) => number(committed, language()) },
    { title: t('start'), numeric: true, cell: ({ start }) => number(start, language()) },
    { title: t('end'), numeric: true, cell: ({ end }) => number(end, language()) },
    { title: t('lag'), numeric: true, cell: ({ messages }) => number(messages, language()) },
    { title: t('behind'), numeric: true, cell: (row) => (row.is_exact === false ? '≥ ' : '') + span(row.behind_ms) },
  ];
  const shown = lags.slice((Math.min(page, pages) - 1) * ROWS).slice(0, ROWS);
  return html`
    <${Table} caption=${t('lag')} columns=${columns} rows=${shown} keyOf=${(row) => row.topic + '/' + row.partition} />
    ${pages > 1 ? html`<${Pager} page=${Math.min(page, pages)} pages=${pages} total=${lags.length} onPage=${setPage} />` : null}`;
}

export function Group({ route }) {
  const name = route.parts[1];
  const [open, setOpen] = useState('');
  const { data: group, problem, reload } = usePoll(path`/api/v1/groups/${name}`, 2000);
  const members = [
    { title: t('member'), cell: ({ id }) => html`<code>${id}</code>` },
    { title: t('client'), cell: (row) => row.client_id },
    { title: t('host'), cell: ({ host }) => host },
  ];
  const close = () => setOpen('');
  const lag = group?.lags.reduce((sum, one) => sum + one.messages, 0);
  const behind = group?.lags.map((one) => one.behind_ms).filter((one) => one !== undefined);
  return html`
    <${Title} text=${name}>
      ${group ? html`
        <button type="button" class="main" disabled=${group.lags.length === 0} onClick=${() => setOpen('move')}>${t('group.move')}</button>
        <button type="button" class="danger" onClick=${() => setOpen('delete')}>${t('delete')}</button>` : null}
    <//>
    <${Failure} problem=${problem} />
    ${!group && !problem ? html`<p class="empty" role="status">${t('loading')}</p>` : null}
    ${group ? html`
      <section class="card">
        <${Facts} of=${[
          [t('state'), known('group.state.' + group.state, group.state)],
          [t('kind'), known('group.kind.' + group.kind, group.kind)],
          [t('lag'), number(lag, language())],
          [t('behind'), behind.length > 0 ? span(Math.max(...behind)) : '–'],
          [t('now'), time(Date.now()).slice(0, 19)],
        ]} />
      </section>
      <section class="card">
        <h2>${t('lag')}</h2>
        ${group.lags.length === 0 ? html`<p class="empty">${t('group.lags.empty')}</p>` : html`<${Lags} lags=${group.lags} />`}
      </section>
      <section class="card">
        <h2>${t('members')}</h2>
        ${group.members.length === 0 ? html`<p class="empty">${t('group.members.empty')}</p>`
          : html`<${Table} caption=${t('members')} columns=${members} rows=${group.members} keyOf=${({ id }) => id} />`}
      </section>` : null}
    ${open === 'move' ? html`<${Move} group=${group} onClose=${close} onDone=${reload} />` : null}
    ${open === 'delete' ? html`<${Delete} name=${name} onClose=${close} />` : null}`;
}
