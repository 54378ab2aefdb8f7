// What the console says, in the language of whoever reads it.

import { EN } from './en.js';
import { ZH } from './zh.js';
import { RULES_ZH } from './rules-zh.js';

const TABLES = { en: EN, zh: ZH };

/** Languages, each with its name in itself. */
export const LANGUAGES = [['en', 'English'], ['zh', '简体中文']];

/** What a page is marked with, so that it is read out well and hyphenated right. */
export const TAGS = { en: 'en', zh: 'zh-Hans' };

let current = 'en';

/** The language that is spoken. */
export function language() {
  return current;
}

/** Speaks another one. */
export function speak(wanted) {
  current = TABLES[wanted] ? wanted : 'en';
}

/** The first of somebody's languages that is spoken here. */
export function choose(wanted) {
  const known = wanted.map((tag) => tag.toLowerCase().split('-')[0]).find((tag) => TABLES[tag]);
  return known ?? 'en';
}

/** A text, with values where it has {names}. A key that is not there is shown: somebody will see it. */
export function t(key, values = {}) {
  const text = TABLES[current][key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

/** A text if there is one; else what else is said. */
export function known(key, otherwise) {
  return TABLES[current][key] ?? otherwise;
}

/** What a rule says: title, cause or remedy. The broker speaks English. */
export function ofRule(incident, part) {
  const own = current === 'zh' ? RULES_ZH[incident.rule]?.[part] : undefined;
  return own ?? incident[part];
}
