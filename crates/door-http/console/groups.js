// Consumer groups.

import { nameOf, number, span } from './format.js';
import { known, language, t } from './i18n.js';
import { build } from './route.js';
import { List, Title, html } from './ui.js';

export function Groups({ route }) {
  const columns = [
    { title: t('name'), sort: 'name', cell: ({ id }) => html`<a href=${build(['groups', nameOf(id)])}>${nameOf(id)}</a>` },
    { title: t('state'), sort: 'state', cell: ({ facts }) => known('group.state.' + facts.state, facts.state) },
    { title: t('kind'), sort: 'kind', cell: ({ facts }) => known('group.kind.' + facts.kind, facts.kind) },
    { title: t('lag'), sort: 'lag_messages', numeric: true, cell: ({ facts }) => number(facts.lag_messages, language()) },
    { title: t('behind'), sort: 'behind_ms', numeric: true, cell: ({ facts }) => span(facts.behind_ms) },
    { title: t('group.lost'), sort: 'lost_messages', numeric: true, cell: ({ facts }) => number(facts.lost_messages, language()) },
  ];
  return html`
    <${Title} text=${t('page.groups')} />
    <section class="card">
      <${List} kind="group" from="/api/v1/groups" columns=${columns} route=${route} label=${t('page.groups')}
        empty=${t('groups.empty')} every=${2000} />
    </section>`;
}
