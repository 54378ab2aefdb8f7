// What is wrong: each with where it comes from, why we think so, and what to do.

import { span, time } from './format.js';
import { ofRule, t } from './i18n.js';
import { useEvents } from './events.js';
import { Failure, Notice, Severity, Table, Thing, Title, html, usePoll } from './ui.js';

/** Incidents that came and went and are shown. */
const SHOWN = 50;

function Incident({ incident }) {
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
  </article>`;
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
  return html`
    <${Title} text=${t('page.incidents')} />
    <${Failure} problem=${problem} />
    <div aria-live="polite">
      ${data && data.incidents.length === 0 ? html`<${Notice} kind="good">${t('incidents.none')}<//>` : null}
      ${(data?.incidents ?? []).map((incident) => html`<${Incident} key=${incident.rule + incident.about} incident=${incident} />`)}
    </div>
    <${Past} />`;
}
