// A message to a topic, to try something.

import { useState } from './hooks.mjs';
import { ask } from './http.js';
import { t } from './i18n.js';
import { path } from './route.js';
import { say } from './state.js';
import { Field, FormDialog, html } from './ui.js';

const KINDS = ['text', 'json', 'base64', 'none'];

/** The body of the request: what is typed, as its kind says. JSON goes as it is typed: numbers keep all their digits. */
export function bodyOf({ key, kind, value, headers }) {
  const message = {};
  if (key !== '') message.key = key;
  if (kind === 'text') message.value = value;
  if (kind === 'base64') message.value_base64 = value.replace(/\s/g, '');
  const named = headers.filter((header) => header.name !== '');
  if (named.length > 0) message.headers = named;
  let text = JSON.stringify(message);
  if (kind === 'json') {
    JSON.parse(value);
    text = text.slice(0, -1) + (text === '{}' ? '' : ',') + `"value_json":${value.trim()}}`;
  }
  return `{"messages":[${text}]}`;
}

export function Publish({ topic, onClose, onDone }) {
  const [key, setKey] = useState('');
  const [kind, setKind] = useState('text');
  const [value, setValue] = useState('');
  const [headers, setHeaders] = useState([{ name: '', value: '' }]);
  const typed = (set) => (event) => set(event.currentTarget.value);
  const header = (index, field) => (event) => {
    const changed = headers.map((known, at) => (at === index ? { ...known, [field]: event.currentTarget.value } : known));
    const isFull = changed[changed.length - 1].name !== '';
    setHeaders(isFull ? [...changed, { name: '', value: '' }] : changed);
  };
  const submit = async () => {
    const text = bodyOf({ key, kind, value, headers });
    const answer = await ask(path`/api/v1/topics/${topic}/messages`, { method: 'POST', text });
    const [{ partition, offset }] = answer.offsets;
    say(t('published', { topic, partition, offset }));
    onDone?.({ partition, offset });
    onClose();
  };
  return html`<${FormDialog} title=${t('publish.to', { topic })} action=${t('publish')} onClose=${onClose} onSubmit=${submit}>
    <${Field} label=${t('key')} hint=${t('publish.key.hint')}>
      <input class="mono" value=${key} onInput=${typed(setKey)} />
    <//>
    <${Field} label=${t('publish.kind')}>
      <select value=${kind} onChange=${typed(setKind)}>
        ${KINDS.map((one) => html`<option value=${one}>${t('publish.kind.' + one)}</option>`)}
      </select>
    <//>
    ${kind === 'none' ? null : html`<${Field} label=${t('payload')}>
      <textarea class="mono" spellcheck="false" value=${value} onInput=${typed(setValue)}></textarea>
    <//>`}
    <fieldset>
      <legend>${t('headers')}</legend>
      ${headers.map((known, index) => html`<div class="row" key=${index}>
        <${Field} label=${t('name')}><input class="mono" value=${known.name} onInput=${header(index, 'name')} /><//>
        <${Field} label=${t('value')} grow><input class="mono" value=${known.value} onInput=${header(index, 'value')} /><//>
      </div>`)}
    </fieldset>
  <//>`;
}
