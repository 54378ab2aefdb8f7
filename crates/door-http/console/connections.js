// Who is connected, by whatever protocol, and where they came in.

import { nameOf, number, span } from './format.js';
import { language, t } from './i18n.js';
import { build } from './route.js';
import { Failure, List, Table, Title, html, usePoll, yes } from './ui.js';

function Listeners() {
  const { data, problem } = usePoll('/api/v1/state?kinds=listener', 5000);
  const count = (fact) => ({ facts }) => number(facts[fact], language());
  const columns = [
    { title: t('listener'), cell: ({ id }) => html`<a href=${build(['connections'], { text: nameOf(id) + '/' })}>${nameOf(id)}</a>` },
    { title: t('door'), cell: ({ facts }) => facts.door },
    { title: t('address'), cell: ({ facts }) => html`<code>${facts.address}</code>` },
    { title: 'TLS', cell: ({ facts }) => yes(facts.tls) },
    { title: t('logins'), cell: ({ facts }) => yes(facts.logins) },
    { title: t('connections'), numeric: true, cell: count('connections') },
    { title: t('accepted'), numeric: true, cell: count('accepted') },
    { title: t('refused'), numeric: true, cell: count('refused') },
  ];
  const rows = (data?.nodes ?? []).filter((node) => node.id.startsWith('listener/'));
  return html`<section class="card">
    <h2>${t('listeners')}</h2>
    <${Failure} problem=${problem} />
    ${rows.length > 0 ? html`<${Table} caption=${t('listeners')} columns=${columns} rows=${rows} keyOf=${({ id }) => id} />` : null}
  </section>`;
}

export function Connections({ route }) {
  const columns = [
    { title: t('connection'), sort: 'name', cell: ({ id }) => html`<code>${nameOf(id)}</code>` },
    { title: t('door'), sort: 'door', cell: ({ facts }) => facts.door },
    { title: t('peer'), sort: 'peer', cell: ({ facts }) => html`<code>${facts.peer}</code>` },
    { title: t('user'), sort: 'user', cell: ({ facts }) => facts.user ?? '–' },
    { title: t('client'), sort: 'client_id', cell: ({ facts }) => facts.client_id ?? '–' },
    { title: t('virtual.host'), sort: 'virtual_host', cell: ({ facts }) => facts.virtual_host ?? '–' },
    { title: t('age'), sort: 'age_seconds', numeric: true, cell: ({ facts }) => span(facts.age_seconds * 1000) },
  ];
  return html`
    <${Title} text=${t('page.connections')} />
    <${Listeners} />
    <section class="card">
      <h2>${t('connections')}</h2>
      <${List} kind="connection" from="/api/v1/state" params=${{ kinds: 'connection' }} columns=${columns} route=${route}
        label=${t('page.connections')} empty=${t('connections.empty')} every=${3000} />
    </section>`;
}
