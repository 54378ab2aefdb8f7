// The console in a real browser. Arguments: what to do, the browser, a folder for its profile, the broker's address, a folder
// for pictures. Says what it does as JSON, a line each, and is told when to go on.

import { createInterface } from 'node:readline';
import { Browser } from './cdp.mjs';

const [role, program, home, url, shots] = process.argv.slice(2);
const say = (event, more = {}) => console.log(JSON.stringify({ event, ...more }));
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const told = async () => (await lines.next()).value;

function check(is, what) {
  if (!is) throw new Error(what);
}

/** Pages: where they are, and a text that says that they are there, in both languages. */
const PAGES = [
  ['overview', '', 'mqtt', 'mqtt'],
  ['topics', 'topics', 'orders', 'orders'],
  ['topic', 'topics/orders', 'billing', 'billing'],
  ['messages', 'messages/orders', '"price"', '"price"'],
  ['bytes', 'messages/measures?form=cbor', '1.5', '1.5'],
  ['search', 'messages/orders?key=k7&contains=price', 'k7', 'k7'],
  ['live', 'messages/orders?from=live', 'Live: 0', '实时：已收到 0'],
  ['queues', 'queues', 'jobs', 'jobs'],
  ['groups', 'groups', 'billing', 'billing'],
  ['group', 'groups/billing', 'orders', 'orders'],
  ['connections', 'connections', 'thermometer', 'thermometer'],
  ['events', 'events', 'The broker started', '代理已启动'],
  ['incidents', 'incidents', 'What opened and closed lately', '最近的故障记录'],
  ['configuration', 'configuration', 'super.users', 'super.users'],
  ['nowhere', 'nowhere', 'There is no such page', '没有这个页面'],
  ['missing', 'topics/missing', "there is no topic 'missing'", "there is no topic 'missing'"],
];

/** Each page in both languages and both colours: it is there, complains of nothing, and has a name for everything. */
async function tour(page) {
  for (const [language, tag] of [['en', 'en'], ['zh', 'zh-Hans']]) {
    for (const theme of ['light', 'dark']) {
      await page.open(url);
      await page.until('document.querySelector("h1")');
      await page.evaluate(`localStorage.setItem('entrepot.language', '${language}'); localStorage.setItem('entrepot.theme', '${theme}')`);
      for (const [name, place, ...texts] of PAGES) {
        await page.open('about:blank');
        await page.open(`${url}/#/${place}`);
        await page.until(`document.documentElement.lang === '${tag}'`);
        await page.sees(texts[language === 'zh' ? 1 : 0]);
        const shown = JSON.parse(await page.evaluate(`JSON.stringify({
          heads: document.querySelectorAll('h1').length,
          title: document.title,
          theme: document.documentElement.dataset.theme,
          wide: document.documentElement.scrollWidth > innerWidth,
          raw: document.body.innerText.match(/undefined|NaN|\\[object|\\{\\w+\\}/)?.[0] ?? '',
        })`));
        check(shown.heads === 1 && shown.title.endsWith('Entrepot') && shown.theme === theme, `${name}: ${JSON.stringify(shown)}`);
        check(!shown.wide, `${name} in ${language} is wider than the window`);
        check(shown.raw === '', `${name} in ${language} shows ${shown.raw}`);
        const nameless = await page.nameless();
        check(nameless.length === 0, `${name}: no name for ${nameless}`);
        await page.shoot(`${shots}/${name}-${language}-${theme}.png`);
        // What is asked for and is not there is a complaint of the browser's own.
        const complaints = page.complaints.filter((text) => !text.includes('/topics/missing'));
        check(complaints.length === 0, `${name} in ${language}: ${complaints.join('\n')}`);
      }
    }
  }
  const elsewhere = page.asked.filter((asked) => !asked.startsWith(url + '/') && asked !== 'about:blank');
  check(elsewhere.length === 0, `asked elsewhere: ${elsewhere}`);
  say('toured', { pages: PAGES.length });
}

/** What has the focus, and whether that is seen. */
const FOCUS = `(() => {
  const one = document.activeElement;
  const style = getComputedStyle(one);
  return JSON.stringify({ tag: one.tagName, text: (one.innerText || one.value || '').trim().slice(0, 40), outline: style.outlineStyle + ' ' + style.outlineWidth, top: one.getBoundingClientRect().top });
})()`;

/** Everything can be reached and done without a mouse. */
async function keyboard(page) {
  await page.open(`${url}/#/topics`);
  await page.sees('orders');
  await page.press('Tab');
  let focus = JSON.parse(await page.evaluate(FOCUS));
  check(focus.text === 'Skip to the page' && focus.top >= 0, `first: ${JSON.stringify(focus)}`);
  await page.press('Enter');
  check(await page.evaluate('document.activeElement.id') === 'main', 'the way around the menu leads to the page');
  check(await page.evaluate('location.hash') === '#/topics', 'and to no other');
  const seen = new Set();
  for (let count = 0; count < 40 && !seen.has('orders'); count += 1) {
    await page.press('Tab');
    focus = JSON.parse(await page.evaluate(FOCUS));
    check(!focus.outline.startsWith('none') && !focus.outline.endsWith(' 0px'), `not seen: ${JSON.stringify(focus)}`);
    seen.add(focus.text);
  }
  for (const wanted of ['New topic', 'Name', 'Size', 'orders']) check(seen.has(wanted), `${wanted} is not among ${[...seen]}`);
  await page.press('Enter');
  await page.until('location.hash === "#/topics/orders" && document.activeElement.tagName === "H1"', 'the page of the topic, with the focus on its head');
  // A window keeps the focus, and gives it back.
  await page.click('Publish a test message');
  await page.until('document.querySelector("dialog[open]")');
  for (let count = 0; count < 12; count += 1) {
    await page.press('Tab');
    const place = await page.evaluate('document.querySelector("dialog").contains(document.activeElement) || document.activeElement === document.body');
    check(place, 'the focus left the window');
  }
  await page.press('Escape');
  await page.until('!document.querySelector("dialog")', 'the window is gone');
  focus = JSON.parse(await page.evaluate(FOCUS));
  check(focus.text === 'Publish a test message', `the focus is not given back: ${JSON.stringify(focus)}`);
  // The page before this names the topic, too: the list is there when its table is.
  const sorted = (name, order) => `[...document.querySelectorAll('th')].some((one) => one.innerText.startsWith('${name}') && one.getAttribute('aria-sort') === '${order}')`;
  await page.open(`${url}/#/topics`);
  await page.until(`${sorted('Name', 'ascending')} && ${sorted('Size', 'none')}`, 'what the table is sorted by is said');
  check(page.complaints.length === 0, page.complaints.join('\n'));
  say('reached');
}

/** What can be done: topics, messages, offsets, queues. */
async function actions(page) {
  await page.open(`${url}/#/topics`);
  await page.click('New topic');
  await page.fill('Name', 'no spaces');
  await page.click('Create');
  check(await page.evaluate('document.querySelector("dialog input:invalid") !== null'), 'a name that cannot be is not sent');
  await page.fill('Name', 'orders');
  await page.click('Create');
  await page.sees("'orders'");
  page.complaints.length = 0;
  await page.fill('Name', 'tried');
  await page.fill('Partitions', '3');
  await page.fill('Configuration', 'retention.ms = 3600000');
  await page.click('Create');
  await page.until('location.hash === "#/topics/tried"', 'the new topic');
  await page.sees('retention.ms');

  await page.click('Publish a test message');
  await page.choose('Payload is', 'json');
  await page.fill('Key', '<b>key</b>');
  await page.fill('Payload', '{"big": 12345678901234567890, "html": "<img src=x onerror=alert(1)>"}');
  await page.click('Publish');
  await page.sees('Published to tried');
  await page.open(`${url}/#/messages/tried`);
  await page.sees('12345678901234567890');
  await page.sees('<b>key</b>');
  check(await page.evaluate('document.querySelectorAll("main img, main td b").length') === 0, 'what is published is text');
  await page.click('Show 0:0').catch(() => {});
  await page.open(`${url}/#/messages/tried?from=live`);
  await page.sees('Live: 0');
  await page.evaluate(`fetch('/api/v1/topics/tried/messages', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{"messages": [{"value": "as it comes"}]}' })`);
  await page.sees('as it comes');

  await page.open(`${url}/#/groups/billing`);
  await page.click('Move offsets');
  await page.choose('To', 'earliest');
  await page.click('Show where that is');
  await page.until('document.querySelectorAll("dialog tbody tr").length === 2', 'where both would be');
  await page.shoot(`${shots}/move-offsets.png`);
  await page.click('Move 2');
  await page.sees('The offsets of billing are moved.');
  await page.until(`[...document.querySelectorAll('main table tbody tr')].slice(0, 2).every((row) => row.children[2].innerText === '0')`, 'offsets at the beginning');

  await page.open(`${url}/#/queues`);
  await page.click('Purge jobs');
  await page.click('Purge');
  await page.sees('Deleted from jobs. Messages: 3');
  await page.until(`document.querySelector('main tbody tr').children[1].innerText === '0'`, 'an empty queue');

  await page.open(`${url}/#/topics/tried`);
  await page.click('Delete');
  check(await page.evaluate('document.querySelector("dialog .danger").disabled'), 'nothing is deleted by mistake');
  await page.fill('To confirm, type tried', 'tried');
  await page.click('Delete');
  await page.until('location.hash === "#/topics"');
  await page.sees('Topic tried is deleted.');
  check(page.complaints.length === 0, page.complaints.join('\n'));
  say('done');
}

/** An incident opens, is explained, and closes; the broker goes and comes back. */
async function incident(page) {
  await page.open(`${url}/#/incidents`);
  await page.until('document.querySelector("main .notice.good, article.incident")', 'whether something is wrong');
  // A busy machine may have incidents of its own.
  const found = `[...document.querySelectorAll('article.incident')].find((one) => one.innerText.includes('E102'))`;
  check(await page.evaluate(`${found} === undefined`), 'the disk is not full yet');
  say('watching');
  const shown = await page.until(`${found}?.innerText`, 'an incident');
  for (const part of ['Cause', 'Evidence', 'What to do']) check(shown.includes(part), `${part} is missing: ${shown}`);
  await page.until('Number(/[0-9]+$/.exec(document.querySelector("nav .badge")?.innerText ?? "0")[0]) >= 1', 'its number in the menu');
  await page.shoot(`${shots}/incident-en.png`);
  await page.choose('Language', 'zh');
  await page.sees('处理办法');
  await page.shoot(`${shots}/incident-zh.png`);
  await page.choose('语言', 'en');
  say('incident', { shown });
  await told();
  await page.until(`${found} === undefined`, 'it is over');
  await page.until(`[...document.querySelectorAll('tbody tr')].some((row) => row.innerText.includes('It is well again') && row.innerText.includes('E102'))`, 'that it is over is told');
  await page.shoot(`${shots}/incident-over.png`);
  check(page.complaints.length === 0, page.complaints.join('\n'));
  say('cleared');
  await page.open(`${url}/#/events`);
  await page.sees('The broker started');
  say('listening');
  await told();
  await page.sees('trying again');
  say('lost');
  await told();
  await page.until('!document.body.innerText.includes("trying again")', 'the connection is back');
  await page.sees('The broker started');
  say('back');
}

/** Where logins are asked for: what is typed is sent, and kept nowhere. */
async function login(page) {
  await page.open(url);
  await page.sees('Log in');
  await page.nameless().then((bad) => check(bad.length === 0, `no name for ${bad}`));
  await page.shoot(`${shots}/login.png`);
  await page.fill('Name', 'alice');
  await page.fill('Password', 'wrong');
  await page.click('Log in');
  await page.sees('The name or the password is wrong.');
  await page.fill('Name', 'alice');
  await page.fill('Password', 'secret-ä');
  await page.click('Log in');
  await page.sees('Log out (alice)');
  await page.sees('Up for');
  const kept = await page.evaluate('JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie, document.documentElement.outerHTML])');
  check(!kept.includes('secret') && !kept.includes('YWxpY2'), `a password is kept: ${kept}`);
  await page.open(`${url}/#/topics`);
  await page.sees('New topic');
  check(await page.evaluate('document.querySelector("dialog") === null'), 'asked once');
  await page.send('Page.reload');
  await page.until('document.querySelector("dialog[open] input[type=password]")?.value === ""', 'asked again after the page is gone');
  say('logged in');
}

/** Very many topics: a page of them is there at once. */
async function many(page) {
  await page.open('about:blank');
  const began = Date.now();
  await page.open(`${url}/#/topics?sort=bytes&order=desc`);
  await page.until('document.querySelectorAll("main tbody tr").length === 50', 'a page of topics');
  const took = Date.now() - began;
  const total = await page.evaluate('document.querySelector(".pager span").innerText');
  await page.fill('Search', 'MANY-7');
  await page.until('location.hash.includes("MANY-7") && [...document.querySelectorAll("main tbody tr")].every((row) => row.innerText.includes("many-7"))', 'those that are looked for');
  await page.click('Next');
  await page.until('location.hash.includes("page=2")');
  await page.shoot(`${shots}/many.png`);
  check(page.complaints.length === 0, page.complaints.join('\n'));
  say('many', { took, total });
}

/** How soon the larger pages are painted, and have what they are about, each in a browser that has nothing of them yet. */
async function paint() {
  const seen = [];
  for (const [name, place, ready] of [
    ['overview', '', 'document.querySelectorAll("main tbody tr").length > 0'],
    ['topics', 'topics', 'document.querySelectorAll("main tbody tr").length > 1'],
    ['connections', 'connections', 'document.querySelectorAll("main tbody tr").length > 1'],
    ['incidents', 'incidents', 'document.querySelector("main h1")'],
  ]) {
    const page = await browser.page();
    await page.open(`${url}/#/${place}`);
    const whole = await page.until(`(${ready}) && performance.now()`, name);
    const paint = await page.until('performance.getEntriesByName("first-contentful-paint")[0]?.startTime', `${name} is painted`);
    check(page.complaints.length === 0, page.complaints.join('\n'));
    seen.push({ page: name, paint, whole });
  }
  say('painted', { pages: seen });
}

const browser = Browser.start(program, home);
let [page, failed] = [null, null];
try {
  page = await browser.page();
  for (const part of role.split(',')) await { tour, keyboard, actions, incident, login, many, paint }[part](page);
} catch (error) {
  failed = error;
  await page?.shoot(`${shots}/failed.png`).catch(() => {});
}
await browser.stop();
if (failed) {
  console.error(failed.stack);
  process.exit(1);
}
process.exit(0);
