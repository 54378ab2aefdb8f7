// One topic: its partitions, who consumes it, its configuration.

import { useState } from './hooks.mjs';
import { bytes, number, span, time } from './format.js';
import { ask } from './http.js';
import { language, t } from './i18n.js';
import { build, path } from './route.js';
import { go, say } from './state.js';
import { Publish } from './publish.js';
import { parseConfig } from './topics.js';
import { Facts, Failure, Field, FormDialog, Pager, Table, Title, html, usePoll, yes } from './ui.js';

/** Partitions of a page. */
const ROWS = 100;

function Delete({ name, onClose }) {
  const [typed, setTyped] = useState('');
  const submit = async () => {
    await ask(path`/api/v1/topics/${name}`, { method: 'DELETE' });
    say(t('topic.deleted', { name }));
    go(build(['topics']));
  };
  return html`<${FormDialog} title=${t('topic.delete', { name })} action=${t('delete')} danger disabled=${typed !== name}
      onClose=${onClose} onSubmit=${submit}>
    <p>${t('topic.delete.what')}</p>
    <${Field} label=${t('confirm.name', { name })}>
      <input class="mono" autocomplete="off" value=${typed} onInput=${(event) => setTyped(event.currentTarget.value)} />
    <//>
  <//>`;
}

function Change({ topic, onClose, onDone }) {
  const lines = Object.entries(topic.config).map(([name, value]) => `${name} = ${value}`).join('\n');
  const [config, setConfig] = useState(lines);
  const [partitions, setPartitions] = useState(String(topic.partitions.length));
  const submit = async () => {
    const wanted = parseConfig(config);
    // What is no longer said is as the broker has it.
    for (const name of Object.keys(topic.config)) wanted[name] ??= null;
    const changed = Object.entries(wanted).filter(([name, value]) => topic.config[name] !== value && !(value === null && !(name in topic.config)));
    const body = { config: Object.fromEntries(changed) };
    if (Number(partitions) !== topic.partitions.length) body.partitions = Number(partitions);
    await ask(path`/api/v1/topics/${topic.name}`, { method: 'PATCH', body });
    say(t('topic.changed', { name: topic.name }));
    onDone();
    onClose();
  };
  return html`<${FormDialog} title=${t('topic.change', { name: topic.name })} action=${t('save')} onClose=${onClose} onSubmit=${submit}>
    <${Field} label=${t('partitions')} hint=${t('topic.partitions.more')}>
      <input type="number" min=${topic.partitions.length} max="100000" value=${partitions}
        onInput=${(event) => setPartitions(event.currentTarget.value)} />
    <//>
    <${Field} label=${t('configuration')} hint=${t('topic.config.hint')}>
      <textarea class="mono" spellcheck="false" value=${config} onInput=${(event) => setConfig(event.currentTarget.value)}></textarea>
    <//>
  <//>`;
}

function Partitions({ topic }) {
  const [page, setPage] = useState(1);
  const pages = Math.max(1, Math.ceil(topic.partitions.length / ROWS));
  const shown = topic.partitions.slice((Math.min(page, pages) - 1) * ROWS).slice(0, ROWS);
  const columns = [
    {
      title: t('partition'), numeric: true,
      cell: ({ partition }) => html`<a href=${build(['messages', topic.name], { partition })}>${partition}</a>`,
    },
    { title: t('start'), numeric: true, cell: ({ start }) => number(start, language()) },
    { title: t('end'), numeric: true, cell: ({ end }) => number(end, language()) },
    { title: t('messages'), numeric: true, cell: ({ start, end }) => number(end - start, language()) },
    { title: t('size'), numeric: true, cell: (row) => bytes(row.bytes) },
    { title: t('segments'), numeric: true, cell: ({ segments }) => number(segments, language()) },
  ];
  return html`<section class="card">
    <h2>${t('partitions')}</h2>
    <${Table} caption=${t('partitions')} columns=${columns} rows=${shown} keyOf=${(row) => row.partition} />
    ${pages > 1 ? html`<${Pager} page=${Math.min(page, pages)} pages=${pages} total=${topic.partitions.length} onPage=${setPage} />` : null}
  </section>`;
}

function Consumers({ name }) {
  const { data, problem } = usePoll(path`/api/v1/topics/${name}/groups`, 3000);
  const columns = [
    { title: t('group'), cell: ({ group }) => html`<a href=${build(['groups', group])}>${group}</a>` },
    { title: t('lag'), numeric: true, cell: ({ messages }) => number(messages, language()) },
    { title: t('behind'), numeric: true, cell: (row) => span(row.behind_ms) },
    { title: t('partitions'), numeric: true, cell: (row) => number(row.partitions.length, language()) },
  ];
  return html`<section class="card">
    <h2>${t('topic.groups')}</h2>
    <${Failure} problem=${problem} />
    ${data && data.groups.length === 0 ? html`<p class="empty">${t('topic.groups.empty')}</p>` : null}
    ${data && data.groups.length > 0 ? html`<${Table} caption=${t('topic.groups')} columns=${columns}
      rows=${data.groups} keyOf=${({ group }) => group} />` : null}
  </section>`;
}

export function Topic({ route }) {
  const name = route.parts[1];
  const [open, setOpen] = useState('');
  const { data: topic, problem, reload } = usePoll(path`/api/v1/topics/${name}`, 3000);
  const close = () => setOpen('');
  const config = Object.entries(topic?.config ?? {});
  return html`
    <${Title} text=${name}>
      ${topic ? html`
        <a class="button" href=${build(['messages', name])}>${t('page.messages')}</a>
        <button type="button" class="main" disabled=${topic.internal} onClick=${() => setOpen('publish')}>${t('publish.test')}</button>
        <button type="button" disabled=${topic.internal} onClick=${() => setOpen('change')}>${t('change')}</button>
        <button type="button" class="danger" disabled=${topic.internal} onClick=${() => setOpen('delete')}>${t('delete')}</button>` : null}
    <//>
    <${Failure} problem=${problem} />
    ${!topic && !problem ? html`<p class="empty" role="status">${t('loading')}</p>` : null}
    ${topic ? html`
      <section class="card">
        <${Facts} of=${[
          [t('messages'), number(topic.partitions.reduce((sum, one) => sum + one.end - one.start, 0), language())],
          [t('size'), bytes(topic.partitions.reduce((sum, one) => sum + one.bytes, 0))],
          [t('created'), time(topic.created_at)],
          [t('topic.internal'), yes(topic.internal)],
          [t('topic.id'), html`<code>${topic.id}</code>`],
        ]} />
      </section>
      <${Consumers} name=${name} />
      <${Partitions} topic=${topic} />
      <section class="card">
        <h2>${t('configuration')}</h2>
        ${config.length === 0 ? html`<p class="empty">${t('topic.config.default')}</p>`
          : html`<${Facts} of=${config.map(([key, value]) => [html`<code>${key}</code>`, html`<code>${value}</code>`])} />`}
      </section>` : null}
    ${open === 'publish' ? html`<${Publish} topic=${name} onClose=${close} onDone=${reload} />` : null}
    ${open === 'change' ? html`<${Change} topic=${topic} onClose=${close} onDone=${reload} />` : null}
    ${open === 'delete' ? html`<${Delete} name=${name} onClose=${close} />` : null}`;
}
