// The console: its frame, and which page is shown in it.

import { Component, render } from './preact.mjs';
import { useEffect, useLayoutEffect, useRef, useState } from './hooks.mjs';
import { ask, lastUser, logIn, onLogin, user } from './http.js';
import { LANGUAGES, TAGS, language, t } from './i18n.js';
import { parse } from './route.js';
import { onChange, onSaid, prefer, preferences } from './state.js';
import { Dialog, Field, Notice, html, usePoll, why } from './ui.js';
import { Overview } from './overview.js';
import { Topics } from './topics.js';
import { Topic } from './topic.js';
import { Messages } from './messages.js';
import { Queues } from './queues.js';
import { Groups } from './groups.js';
import { Group } from './group.js';
import { Connections } from './connections.js';
import { Events } from './events.js';
import { Incidents } from './incidents.js';
import { Configuration } from './settings.js';

/** Pages by the first part of their address, in the order of the menu; [page, page of one of them]. */
const PAGES = {
  '': [Overview],
  topics: [Topics, Topic],
  messages: [Messages, Messages],
  queues: [Queues],
  groups: [Groups, Group],
  connections: [Connections],
  events: [Events],
  incidents: [Incidents],
  configuration: [Configuration],
};

const THEMES = ['', 'light', 'dark'];

function useHash() {
  const [hash, set] = useState(location.hash);
  useEffect(() => {
    const changed = () => set(location.hash);
    addEventListener('hashchange', changed);
    return () => removeEventListener('hashchange', changed);
  }, []);
  return hash;
}

/** Who the broker asks for: their name and password. They stay in memory. */
function Login({ onDone, onClose }) {
  const [name, setName] = useState(lastUser());
  const [password, setPassword] = useState('');
  const [problem, setProblem] = useState(null);
  const submit = async (event) => {
    event.preventDefault();
    logIn(name, password);
    try {
      // Tried once, before all that the page wants to know asks with it.
      await ask('/api/v1/diagnosis');
    } catch (error) {
      // Who may not see this is logged in all the same.
      if (error.status !== 403) {
        setProblem(error);
        return;
      }
    }
    onDone();
  };
  return html`<${Dialog} title=${t('login.title')} onClose=${onClose}>
    <form onSubmit=${submit}>
      ${problem ? html`<${Notice} kind="error">${problem.status === 401 ? t('login.refused') : why(problem)}<//>` : null}
      <p class="hint">${t('login.hint')}</p>
      <div class="fields">
        <${Field} label=${t('login.name')}>
          <input name="username" autocomplete="username" required value=${name}
            onInput=${(event) => setName(event.currentTarget.value)} />
        <//>
        <${Field} label=${t('login.password')}>
          <input name="password" type="password" autocomplete="current-password" value=${password}
            onInput=${(event) => setPassword(event.currentTarget.value)} />
        <//>
      </div>
      <div class="actions"><button class="main">${t('login.do')}</button></div>
    </form>
  <//>`;
}

/** A page that fails does not take the frame with it. */
class Guard extends Component {
  constructor() {
    super();
    this.state = { problem: null };
  }

  componentDidCatch(problem) {
    console.error(problem);
    this.setState({ problem });
  }

  render({ children }, { problem }) {
    return problem ? html`<${Notice} kind="error">${t('error.page', { detail: problem.message })}<//>` : children;
  }
}

function Menu({ current, incidents }) {
  const link = (name) => html`<li>
    <a href=${'#/' + name} aria-current=${current === name ? 'page' : undefined}>
      <span>${t('page.' + (name || 'overview'))}</span>
      ${name === 'incidents' && incidents > 0
        ? html`<span class="badge"><span class="hidden">${t('incidents.open')}: </span>${incidents}</span>` : null}
    </a>
  </li>`;
  return html`<nav aria-label=${t('menu')}><ul>${Object.keys(PAGES).map(link)}</ul></nav>`;
}

function Preferences({ onLogOut }) {
  return html`<div class="prefs">
    <${Field} label=${t('language')}>
      <select value=${language()} onChange=${(event) => prefer('language', event.currentTarget.value)}>
        ${LANGUAGES.map(([tag, name]) => html`<option value=${tag} lang=${TAGS[tag]}>${name}</option>`)}
      </select>
    <//>
    <${Field} label=${t('theme')}>
      <select value=${preferences.theme} onChange=${(event) => prefer('theme', event.currentTarget.value)}>
        ${THEMES.map((theme) => html`<option value=${theme}>${t('theme.' + (theme || 'system'))}</option>`)}
      </select>
    <//>
    ${user() ? html`<button type="button" onClick=${onLogOut}>${t('logout', { name: user() })}</button>` : null}
  </div>`;
}

function Toasts() {
  const [all, set] = useState([]);
  useEffect(() => onSaid(set), []);
  return html`<div class="toasts" role="status" aria-live="polite">
    ${all.map((toast) => html`<div key=${toast.id} class=${'notice ' + toast.kind}>${toast.text}</div>`)}
  </div>`;
}

function App() {
  const route = parse(useHash());
  const [login, setLogin] = useState(false);
  // Another one for each login, so that everything is asked for again.
  const [session, setSession] = useState(0);
  const [, redraw] = useState(0);
  const main = useRef(null);
  useEffect(() => onChange(() => redraw((count) => count + 1)), []);
  useEffect(() => onLogin(() => setLogin(true)), []);
  const [first = '', second] = route.parts;
  const [all, one] = PAGES[first] ?? [];
  const Page = second === undefined ? all : one;
  const place = route.parts.join('/');
  const title = Page ? t('page.' + (first || 'overview')) : t('error.nowhere');
  // Before it is painted: nothing is seen in other colours first, or read out as another language.
  useLayoutEffect(() => {
    document.documentElement.lang = TAGS[language()];
    document.documentElement.dataset.theme = preferences.theme;
    document.title = (second ? second + ' – ' : '') + title + ' – Entrepot';
  });
  const seen = useRef(place);
  useEffect(() => {
    // Who hears the page is told that it is another one.
    if (seen.current !== place) main.current?.querySelector('h1')?.focus();
    seen.current = place;
  }, [place]);
  const { data } = usePoll(login ? null : '/api/v1/diagnosis?' + session, 5000);
  const skip = (event) => {
    event.preventDefault();
    main.current.focus();
  };
  const again = () => {
    setLogin(false);
    setSession(session + 1);
  };
  const logOut = () => {
    logIn();
    again();
  };
  return html`
    <a class="skip" href="#main" onClick=${skip}>${t('skip')}</a>
    <div class="shell">
      <div class="side">
        <div class="brand"><img src="/console/icon.svg" alt="" /><span>Entrepot</span></div>
        <${Menu} current=${first} incidents=${data?.incidents.length ?? 0} />
        <${Preferences} onLogOut=${logOut} />
      </div>
      <main id="main" ref=${main} tabindex="-1" key=${session}>
        <${Guard} key=${place + language()}>
          ${Page ? html`<${Page} route=${route} theme=${preferences.theme} />` : html`<h1 tabindex="-1">${title}</h1>
            <p>${t('error.nowhere.what')}</p>`}
        <//>
      </main>
    </div>
    <${Toasts} />
    ${login ? html`<${Login} onDone=${again} onClose=${() => setLogin(false)} />` : null}`;
}

render(html`<${App} />`, document.getElementById('app'));
