// Topics.

import { useRef, useState } from './hooks.mjs';
import { bytes, nameOf, number, span, time } from './format.js';
import { ask } from './http.js';
import { language, t } from './i18n.js';
import { build } from './route.js';
import { go, say } from './state.js';
import { Field, FormDialog, List, Tag, Title, html, yes } from './ui.js';

/** Settings of a topic as they are typed: a line name = value each. */
export function parseConfig(text) {
  const config = {};
  for (const line of text.split('\n').map((part) => part.trim()).filter((part) => part !== '' && !part.startsWith('#'))) {
    const at = line.indexOf('=');
    if (at < 1) throw new Error(t('topic.config.line', { line }));
    config[line.slice(0, at).trim()] = line.slice(at + 1).trim();
  }
  return config;
}

function NewTopic({ onClose, onDone }) {
  const [name, setName] = useState('');
  const [partitions, setPartitions] = useState('');
  const [config, setConfig] = useState('');
  const submit = async () => {
    const body = { name, config: parseConfig(config) };
    if (partitions !== '') body.partitions = Number(partitions);
    await ask('/api/v1/topics', { method: 'POST', body });
    say(t('topic.created', { name }));
    onDone(name);
  };
  return html`<${FormDialog} title=${t('topic.new')} action=${t('topic.create')} onClose=${onClose} onSubmit=${submit}>
    <${Field} label=${t('name')} hint=${t('topic.name.hint')}>
      <input required maxlength="249" pattern="[A-Za-z0-9._\\-]+" value=${name} onInput=${(event) => setName(event.currentTarget.value)} />
    <//>
    <${Field} label=${t('partitions')} hint=${t('topic.partitions.hint')}>
      <input type="number" min="1" max="100000" value=${partitions} onInput=${(event) => setPartitions(event.currentTarget.value)} />
    <//>
    <${Field} label=${t('configuration')} hint=${t('topic.config.hint')}>
      <textarea class="mono" spellcheck="false" placeholder="retention.ms = 86400000" value=${config}
        onInput=${(event) => setConfig(event.currentTarget.value)}></textarea>
    <//>
  <//>`;
}

export function Topics({ route }) {
  const [isNew, setNew] = useState(false);
  const reload = useRef(null);
  const columns = [
    {
      title: t('name'), sort: 'name', cell: ({ id, facts }) => html`
        <a href=${build(['topics', nameOf(id)])}>${nameOf(id)}</a>
        ${facts.internal ? html` <${Tag} text=${t('topic.internal')} />` : null}
        ${facts.is_queue ? html` <${Tag} text=${t('topic.of.queue')} />` : null}`,
    },
    { title: t('partitions'), sort: 'partitions', numeric: true, cell: ({ facts }) => number(facts.partitions, language()) },
    { title: t('messages'), sort: 'messages', numeric: true, cell: ({ facts }) => number(facts.messages, language()) },
    { title: t('size'), sort: 'bytes', numeric: true, cell: ({ facts }) => bytes(facts.bytes) },
    { title: t('retention'), sort: 'retention_ms', numeric: true, cell: ({ facts }) => (facts.retention_ms === undefined ? t('retention.ever') : span(facts.retention_ms)) },
    { title: t('topic.compacted'), sort: 'compacted', cell: ({ facts }) => yes(facts.compacted) },
    { title: t('durability'), sort: 'durability', cell: ({ facts }) => t('durability.' + facts.durability) },
    { title: t('created'), sort: 'created_at', tight: true, cell: ({ facts }) => time(facts.created_at).slice(0, 16) },
  ];
  return html`
    <${Title} text=${t('page.topics')}>
      <button type="button" class="main" onClick=${() => setNew(true)}>${t('topic.new')}</button>
    <//>
    <section class="card">
      <${List} kind="topic" from="/api/v1/topics" columns=${columns} route=${route} label=${t('page.topics')}
        empty=${t('topics.empty')} onReload=${reload} />
    </section>
    ${isNew ? html`<${NewTopic} onClose=${() => setNew(false)} onDone=${(name) => go(build(['topics', name]))} />` : null}`;
}
