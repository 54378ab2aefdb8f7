// Server-sent events (the HTML standard, section 9.2), as they come from fetch: EventSource sends no login.

/** Takes text as it comes, and hands out events. */
export class Parser {
  #rest = '';
  #data = [];
  #name = '';
  #id = '';
  #begun = false;

  /** The events that this text completes. */
  feed(text) {
    this.#rest += text;
    if (!this.#begun && this.#rest !== '') {
      this.#begun = true;
      this.#rest = this.#rest.replace(/^\uFEFF/, '');
    }
    const events = [];
    for (;;) {
      const end = /\r\n|\n|\r(?=[^])/.exec(this.#rest);
      if (!end) return events;
      const line = this.#rest.slice(0, end.index);
      this.#rest = this.#rest.slice(end.index + end[0].length);
      const event = this.#line(line);
      if (event) events.push(event);
    }
  }

  #line(line) {
    if (line === '') {
      const [data, name] = [this.#data, this.#name];
      [this.#data, this.#name] = [[], ''];
      return data.length > 0 ? { name: name || 'message', id: this.#id, data: data.join('\n') } : null;
    }
    const colon = line.indexOf(':');
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'data') this.#data.push(value);
    else if (field === 'event') this.#name = value;
    else if (field === 'id' && !value.includes('\0')) this.#id = value;
    return null;
  }
}
