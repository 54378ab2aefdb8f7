// What the console remembers of who uses it, in the browser: the language and the colours. Nothing else is kept.

import { choose, speak } from './i18n.js';

const KEYS = ['language', 'theme'];
const listeners = new Set();

function load(name) {
  try {
    return localStorage.getItem('entrepot.' + name) ?? '';
  } catch {
    // A browser may forbid it.
    return '';
  }
}

export const preferences = Object.fromEntries(KEYS.map((name) => [name, load(name)]));
speak(preferences.language || choose(navigator.languages ?? [navigator.language]));

/** Changes a preference. */
export function prefer(name, value) {
  preferences[name] = value;
  if (name === 'language') speak(value);
  try {
    localStorage.setItem('entrepot.' + name, value);
  } catch {
    // Then it holds until the page is left.
  }
  listeners.forEach((call) => call());
}

/** Calls when a preference changes; returns what ends that. */
export function onChange(call) {
  listeners.add(call);
  return () => listeners.delete(call);
}

/** Goes to another place of the console; `replace`: without a way back to this one. */
export function go(hash, replace = false) {
  if (!replace) {
    location.hash = hash;
    return;
  }
  history.replaceState(null, '', hash);
  dispatchEvent(new HashChangeEvent('hashchange'));
}

const toasts = { all: [], next: 1, call: () => {} };

/** Tells that something was done, for a while. */
export function say(text, kind = 'good') {
  const toast = { id: toasts.next, text, kind };
  toasts.next += 1;
  toasts.all = [...toasts.all, toast].slice(-4);
  toasts.call(toasts.all);
  setTimeout(() => {
    toasts.all = toasts.all.filter((known) => known.id !== toast.id);
    toasts.call(toasts.all);
  }, 8000);
}

/** Calls with what is told. */
export function onSaid(call) {
  toasts.call = call;
}
