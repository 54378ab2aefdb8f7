// A browser that is driven by the DevTools protocol, over two pipes: nothing to install, no port.

import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** Longer than anything here takes; only a hang gets there. */
export const PATIENCE = 60_000;

export class Browser {
  #process;
  #answers = new Map();
  #listeners = new Set();
  #next = 1;

  /** Starts it with a profile of its own. */
  static start(program, home) {
    const browser = new Browser();
    const flags = [
      '--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync', '--disable-extensions',
      '--hide-scrollbars', '--remote-debugging-pipe', '--window-size=1280,900', '--lang=en', `--user-data-dir=${home}`,
    ];
    browser.#process = spawn(program, [...flags, 'about:blank'], { stdio: ['ignore', 'ignore', 'pipe', 'pipe', 'pipe'] });
    let said = '';
    browser.#process.stderr.on('data', (data) => { said = (said + data).slice(-4000); });
    browser.#process.on('exit', (code) => {
      for (const { reject } of browser.#answers.values()) reject(new Error(`the browser ended with ${code}: ${said}`));
    });
    let rest = Buffer.alloc(0);
    browser.#process.stdio[4].on('data', (data) => {
      rest = Buffer.concat([rest, data]);
      for (let end = rest.indexOf(0); end >= 0; end = rest.indexOf(0)) {
        browser.#take(JSON.parse(rest.subarray(0, end).toString()));
        rest = rest.subarray(end + 1);
      }
    });
    return browser;
  }

  #take(message) {
    if (message.id === undefined) {
      for (const listener of this.#listeners) listener(message);
      return;
    }
    const { resolve, reject, method } = this.#answers.get(message.id);
    this.#answers.delete(message.id);
    if (message.error) reject(new Error(`${method}: ${message.error.message}`));
    else resolve(message.result);
  }

  send(method, params = {}, sessionId = undefined) {
    const id = this.#next;
    this.#next += 1;
    return new Promise((resolve, reject) => {
      this.#answers.set(id, { resolve, reject, method });
      this.#process.stdio[3].write(JSON.stringify({ id, method, params, sessionId }) + '\0');
    });
  }

  listen(listener) {
    this.#listeners.add(listener);
  }

  /** A page of its own, without cookies or anything else of others. */
  async page() {
    const { browserContextId } = await this.send('Target.createBrowserContext');
    const { targetId } = await this.send('Target.createTarget', { url: 'about:blank', browserContextId, width: 1280, height: 900 });
    const { sessionId } = await this.send('Target.attachToTarget', { targetId, flatten: true });
    const page = new Page(this, sessionId);
    for (const domain of ['Page', 'Runtime', 'Log', 'Network', 'Accessibility']) await page.send(domain + '.enable');
    return page;
  }

  async stop() {
    await this.send('Browser.close').catch(() => {});
    this.#process.kill();
  }
}

/** Keys that are pressed by name. */
const KEYS = {
  Tab: { code: 'Tab', windowsVirtualKeyCode: 9 },
  Enter: { code: 'Enter', windowsVirtualKeyCode: 13, text: '\r' },
  Escape: { code: 'Escape', windowsVirtualKeyCode: 27 },
  ArrowDown: { code: 'ArrowDown', windowsVirtualKeyCode: 40 },
};

/** Where something is looked for: in the window over the page, where there is one. */
const WITHIN = `
  const dialog = document.querySelector('dialog');
  if (dialog && !dialog.open) return null;
  const within = dialog ?? document;`;

export class Page {
  /** What the page complained of, and whom it asked. */
  complaints = [];
  asked = [];

  constructor(browser, session) {
    this.send = (method, params) => browser.send(method, params, session);
    browser.listen(({ method, params, sessionId }) => {
      if (sessionId === session) this.#note(method, params);
    });
  }

  #note(method, params) {
    if (method === 'Runtime.exceptionThrown') {
      const { exception, text } = params.exceptionDetails;
      this.complaints.push(exception?.description ?? text);
    }
    if (method === 'Runtime.consoleAPICalled' && ['error', 'warning', 'assert'].includes(params.type)) {
      this.complaints.push(params.args.map((arg) => arg.value ?? arg.description).join(' '));
    }
    if (method === 'Log.entryAdded' && ['error', 'warning'].includes(params.entry.level)) {
      this.complaints.push(`${params.entry.text} ${params.entry.url ?? ''}`);
    }
    if (method === 'Network.requestWillBeSent') this.asked.push(params.request.url);
  }

  async open(url) {
    // To the same page with another place in it there is no load.
    await this.send('Page.navigate', { url });
  }

  async evaluate(expression) {
    const { result, exceptionDetails } = await this.send('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }

  /** Waits until something is so in the page, and returns it. */
  async until(expression, what = expression) {
    const deadline = Date.now() + PATIENCE;
    for (;;) {
      const value = await this.evaluate(expression).catch(() => null);
      if (value) return value;
      if (Date.now() > deadline) {
        const seen = await this.evaluate('document.body?.innerText').catch((error) => String(error));
        throw new Error(`not in time: ${what}\ncomplaints: ${this.complaints.join('\n')}\nthe page:\n${seen}`);
      }
      await sleep(50);
    }
  }

  /** Waits for a text to be shown. */
  sees(text) {
    return this.until(`document.body.innerText.includes(${JSON.stringify(text)})`, `“${text}”`);
  }

  async press(key, modifiers = 0) {
    const what = { key, ...KEYS[key], modifiers };
    await this.send('Input.dispatchKeyEvent', { type: what.text ? 'keyDown' : 'rawKeyDown', ...what });
    await this.send('Input.dispatchKeyEvent', { type: 'keyUp', ...what });
  }

  type(text) {
    return this.send('Input.insertText', { text });
  }

  /** Types into the field of this label, instead of what is in it. */
  async fill(label, text) {
    await this.until(`(() => {
      ${WITHIN}
      const field = [...within.querySelectorAll('label')].find((known) => known.firstElementChild?.textContent === ${JSON.stringify(label)})?.querySelector('input, textarea');
      field?.focus();
      field?.select();
      return Boolean(field);
    })()`, `a field “${label}”`);
    await this.type(text);
  }

  /** Chooses an option of the list of this label. */
  choose(label, value) {
    return this.until(`(() => {
      ${WITHIN}
      const list = [...within.querySelectorAll('label')].find((known) => known.firstElementChild?.textContent === ${JSON.stringify(label)})?.querySelector('select');
      if (!list || ![...list.options].some((option) => option.value === ${JSON.stringify(value)})) return false;
      list.value = ${JSON.stringify(value)};
      list.dispatchEvent(new Event('change', { bubbles: true }));
      return true;
    })()`, `“${value}” in a list “${label}”`);
  }

  /** Clicks what says this; within a window, where there is one. */
  async click(text) {
    const place = await this.until(`(() => {
      ${WITHIN}
      const known = [...within.querySelectorAll('button, a')].find((one) => one.innerText.replace(/\\s+/g, ' ').trim() === ${JSON.stringify(text)} && !one.disabled && one.getClientRects().length > 0);
      known?.scrollIntoView({ block: 'center' });
      const box = known?.getBoundingClientRect();
      return box && { x: box.x + box.width / 2, y: box.y + box.height / 2 };
    })()`, `a button “${text}”`);
    for (const type of ['mousePressed', 'mouseReleased']) {
      await this.send('Input.dispatchMouseEvent', { type, ...place, button: 'left', clickCount: 1 });
    }
  }

  async shoot(file) {
    const { data } = await this.send('Page.captureScreenshot', { format: 'png', captureBeyondViewport: false });
    writeFileSync(file, Buffer.from(data, 'base64'));
  }

  /** What has no name for those who do not see it. */
  async nameless() {
    const { nodes } = await this.send('Accessibility.getFullAXTree');
    const roles = ['button', 'link', 'textbox', 'searchbox', 'combobox', 'spinbutton', 'dialog', 'table', 'region', 'navigation'];
    const bad = nodes.filter((node) => !node.ignored && roles.includes(node.role?.value) && !node.name?.value?.trim());
    return bad.map((node) => node.role.value);
  }
}
