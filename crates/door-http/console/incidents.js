// What is wrong: each with where it comes from, why we think so, and what to do; and what the broker can do about it itself.

import { useState } from './hooks.mjs';
import { span, time } from './format.js';
import { ask } from './http.js';
import { known, ofRule, t } from './i18n.js';
import { useEvents } from './events.js';
import { path } from './route.js';
import { say } from './state.js';
import { Failure, FormDialog, Notice, Severity, Table, Tag, Thing, Title, html, usePoll } from './ui.js';

/** Incidents that came and went, and remedies, that are shown. */
const SHOWN = 50;

/** How a remedy's state looks that is not just said. */
const KINDS = { applied: 'good', failed: 'error' };

/** What the broker would do about an incident, if somebody says so. */
export function remedyOf(remedies, { rule, about }) {
  return remedies.find((remedy) => remedy.state === 'suggested' && remedy.rule === rule && remedy.about === about);
}

/** A button; which remedy it is for is read out, since several of them have the same word. */
function Button({ kind = '', text, remedy, onClick }) {
  return html`<button type="button" class=${kind} onClick=${() => onClick(remedy)}>${text}<span class="hidden"> ${remedy.text}</span></button>`;
}

export function Incident({ incident, remedy, onApply }) {
  return html`<article class=${'card incident ' + incident.severity} aria-label=${ofRule(incident, 'title')}>
    <h2><${Severity} of=${incident.severity} /> ${ofRule(incident, 'title')} <code>${incident.rule}</code></h2>
    <p><${Thing} id=${incident.about} /> · ${t('incident.since', { time: time(incident.since).slice(0, 19), span: span(Date.now() - incident.since) })}</p>
    <h3>${t('incident.cause')}</h3>
    <p>${ofRule(incident, 'cause')}</p>
    ${incident.because_of?.length ? html`<p>${t('incident.because', { rules: incident.because_of.join(', ') })}</p>` : null}
    <h3>${t('incident.evidence')}</h3>
    <ul>${incident.evidence.map((line) => html`<li>${line}</li>`)}</ul>
    <h3>${t('incident.remedy')}</h3>
    <p>${ofRule(incident, 'remedy')}</p>
    ${remedy ? html`<p>${t('remedy.suggested')} <code>${remedy.text}</code></p>
      <div class="actions"><${Button} kind="main" text=${t('remedy.do.apply')} remedy=${remedy} onClick=${onApply} /></div>` : null}
  </article>`;
}

export function Remedies({ mode, remedies, onUndo }) {
  if (mode === 'observe' && remedies.length === 0) return null;
  const columns = [
    { title: t('time'), tight: true, cell: ({ at }) => time(at).slice(0, 19) },
    { title: t('incident.rule'), cell: ({ rule }) => html`<code>${rule}</code>` },
    { title: t('about'), cell: ({ about }) => html`<${Thing} id=${about} />` },
    { title: t('remedy'), cell: ({ text }) => text },
    { title: t('state'), cell: ({ state }) => html`<${Tag} kind=${KINDS[state]} text=${known('remedy.state.' + state, state)} />` },
    { title: t('remedy.by'), cell: ({ by }) => (by === 'auto' ? t('remedy.auto') : by ?? '–') },
    { title: t('remedy.why'), cell: (remedy) => remedy.why ?? '–' },
    {
      title: t('actions'), cell: (remedy) => (remedy.state === 'applied'
        ? html`<${Button} text=${t('remedy.do.undo')} remedy=${remedy} onClick=${onUndo} />` : null),
    },
  ];
  return html`<section class="card">
    <h2>${t('remedies')}</h2>
    ${remedies.length === 0 ? html`<p class="empty">${t('remedies.empty')}</p>`
      : html`<${Table} caption=${t('remedies')} columns=${columns} rows=${remedies.slice(0, SHOWN)} keyOf=${({ number }) => number} />`}
    ${remedies.length > SHOWN ? html`<p class="hint">${t('more', { count: remedies.length - SHOWN })}</p>` : null}
  </section>`;
}

/** Has the broker do a remedy, or undo it; and tells what became of that. */
export async function carryOut(verb, { number }) {
  const done = await ask(path`/api/v1/remedies/${number}/${verb}`, { method: 'POST', body: {} });
  if (done.state === 'failed') say(t('remedy.failed', { text: done.text, why: done.why }), 'error');
  else say(t('remedy.done.' + verb, { text: done.text }));
}

function Confirm({ verb, remedy, onClose, onDone }) {
  const submit = async () => {
    try {
      await carryOut(verb, remedy);
    } finally {
      // What is refused may have been done by somebody else meanwhile.
      onDone();
    }
    onClose();
  };
  return html`<${FormDialog} title=${t('remedy.title.' + verb)} action=${t('remedy.do.' + verb)} onClose=${onClose} onSubmit=${submit}>
    <p><code>${remedy.about}</code>: <code>${remedy.text}</code></p>
    <p>${t('remedy.what.' + verb)}</p>
  <//>`;
}

function Past() {
  const { events } = useEvents();
  const told = (events ?? []).filter(({ kind }) => kind === 'incident.opened' || kind === 'incident.closed').slice(0, SHOWN);
  const columns = [
    { title: t('time'), tight: true, cell: ({ at }) => time(at).slice(0, 19) },
    { title: t('event'), cell: ({ kind }) => t('event.' + kind) },
    { title: t('incident.rule'), cell: ({ fields }) => html`<code>${fields?.rule}</code>` },
    { title: t('about'), cell: ({ about }) => (about ? html`<${Thing} id=${about} />` : '–') },
    { title: t('event.text'), cell: ({ text, fields }) => html`${text}${fields?.evidence ? html`<br /><span class="hint">${fields.evidence}</span>` : null}` },
  ];
  return html`<section class="card">
    <h2>${t('incidents.past')}</h2>
    ${told.length === 0 ? html`<p class="empty">${t('incidents.past.empty')}</p>`
      : html`<${Table} caption=${t('incidents.past')} columns=${columns} rows=${told} keyOf=${({ number }) => number} />`}
  </section>`;
}

export function Incidents() {
  const { data, problem } = usePoll('/api/v1/diagnosis', 1000);
  const remedies = usePoll('/api/v1/remedies', 1000);
  const [open, setOpen] = useState(null);
  const all = remedies.data?.remedies ?? [];
  return html`
    <${Title} text=${t('page.incidents')} />
    <${Failure} problem=${problem ?? remedies.problem} />
    <div aria-live="polite">
      ${data && data.incidents.length === 0 ? html`<${Notice} kind="good">${t('incidents.none')}<//>` : null}
      ${(data?.incidents ?? []).map((incident) => html`<${Incident} key=${incident.rule + incident.about} incident=${incident}
        remedy=${remedyOf(all, incident)} onApply=${(remedy) => setOpen({ verb: 'apply', remedy })} />`)}
    </div>
    ${remedies.data ? html`<${Remedies} ...${remedies.data} onUndo=${(remedy) => setOpen({ verb: 'undo', remedy })} />` : null}
    <${Past} />
    ${open ? html`<${Confirm} ...${open} onClose=${() => setOpen(null)} onDone=${remedies.reload} />` : null}`;
}
