// Queues.

import { useRef, useState } from './hooks.mjs';
import { nameOf, number } from './format.js';
import { ask } from './http.js';
import { language, t } from './i18n.js';
import { build, path, search } from './route.js';
import { say } from './state.js';
import { FormDialog, List, Tag, Title, html, yes } from './ui.js';

function Purge({ queue, onClose, onDone }) {
  const { space, queue: name, ready } = queue.facts;
  const submit = async () => {
    const at = path`/api/v1/queues/${name}/messages` + search({ space });
    const { messages } = await ask(at, { method: 'DELETE' });
    say(t('queue.purged', { name, count: number(messages, language()) }));
    onDone();
    onClose();
  };
  return html`<${FormDialog} title=${t('queue.purge.title', { name })} action=${t('queue.purge')} danger onClose=${onClose} onSubmit=${submit}>
    <p>${t('queue.purge.what', { count: number(ready, language()) })}</p>
  <//>`;
}

export function Queues({ route }) {
  const [purged, setPurged] = useState(null);
  const reload = useRef(() => {});
  const count = (fact) => ({ facts }) => number(facts[fact], language());
  const columns = [
    {
      title: t('name'), sort: 'name', cell: ({ id, facts }) => html`<span class="mono">${nameOf(id)}</span>
        ${facts.exclusive ? html` <${Tag} text=${t('queue.exclusive')} />` : null}
        ${facts.auto_delete ? html` <${Tag} text=${t('queue.auto.delete')} />` : null}`,
    },
    { title: t('queue.ready'), sort: 'ready', numeric: true, cell: count('ready') },
    { title: t('queue.held'), sort: 'held', numeric: true, cell: count('held') },
    { title: t('queue.consumers'), sort: 'consumers', numeric: true, cell: count('consumers') },
    { title: t('queue.length'), sort: 'length_max', numeric: true, cell: count('length_max') },
    { title: t('queue.durable'), sort: 'durable', cell: ({ facts }) => yes(facts.durable) },
    { title: t('queue.dead.letters'), sort: 'dead_letters', cell: ({ facts }) => yes(facts.dead_letters) },
    {
      title: t('queue.topic'), sort: 'topic',
      cell: ({ facts }) => (facts.topic ? html`<a href=${build(['messages', facts.topic])}>${facts.topic}</a>` : '–'),
    },
    {
      title: t('actions'), cell: (row) => html`<button type="button" class="danger" disabled=${row.facts.ready === 0}
        onClick=${() => setPurged(row)}>${t('queue.purge')}<span class="hidden"> ${nameOf(row.id)}</span></button>`,
    },
  ];
  return html`
    <${Title} text=${t('page.queues')} />
    <section class="card">
      <${List} kind="queue" from="/api/v1/queues" columns=${columns} route=${route} label=${t('page.queues')}
        empty=${t('queues.empty')} every=${2000} onReload=${reload} />
    </section>
    ${purged ? html`<${Purge} queue=${purged} onClose=${() => setPurged(null)} onDone=${() => reload.current()} />` : null}`;
}
