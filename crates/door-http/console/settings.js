// How the broker is configured.

import { nameOf, span, time } from './format.js';
import { t } from './i18n.js';
import { Facts, Failure, List, Tag, Title, html, usePoll, yes } from './ui.js';

export function Configuration({ route }) {
  const { data, problem } = usePoll('/api/v1/state?kinds=broker,store', 5000);
  const broker = data?.nodes.find((node) => node.id.startsWith('broker/') && node.facts.is_this);
  const store = data?.nodes.find((node) => node.id.startsWith('store/'));
  const columns = [
    { title: t('name'), sort: 'name', cell: ({ id }) => html`<code>${nameOf(id)}</code>` },
    {
      title: t('value'), sort: 'value', cell: ({ facts }) => html`<code>${facts.value ?? t('setting.hidden')}</code>
        ${facts.is_set ? html` <${Tag} text=${t('setting.set')} />` : null}`,
    },
    { title: t('setting.default'), sort: 'default', cell: ({ facts }) => html`<code>${facts.default ?? '–'}</code>` },
  ];
  return html`
    <${Title} text=${t('page.configuration')} />
    <${Failure} problem=${problem} />
    ${broker ? html`<section class="card">
      <h2>${t('broker')}</h2>
      <${Facts} of=${[
        [t('version'), broker.facts.version],
        [t('broker.id'), nameOf(broker.id)],
        [t('cluster'), html`<code>${broker.facts.cluster}</code>`],
        [t('broker.started'), `${time(broker.facts.started_at).slice(0, 19)} (${span(broker.facts.now - broker.facts.started_at)})`],
        [t('broker.data'), store ? html`<code>${nameOf(store.id)}</code>` : null],
        [t('broker.healthy'), yes(broker.facts.healthy)],
        [t('broker.why'), store?.facts.why],
      ]} />
    </section>` : null}
    <section class="card">
      <h2>${t('settings')}</h2>
      <p class="hint">${t('settings.hint')}</p>
      <${List} kind="setting" from="/api/v1/state" params=${{ kinds: 'setting' }} columns=${columns} route=${route} rows=${200}
        label=${t('settings')} empty=${t('settings.empty')} every=${10000} />
    </section>`;
}
