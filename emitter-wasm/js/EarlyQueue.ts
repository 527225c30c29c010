import type { Span } from './Span.js';

/** Writes of the first seconds of a page: many more than there are before its module has loaded… */
const MAX_SPANS = 1_000;
/** …and at the most this much text of values, in UTF-16 units. */
const MAX_CHARS = 1024 * 1024;

/** Holds ended spans until there is a session for them. Once full it takes no more: one hole, at the end. */
export class EarlyQueue {
  readonly spans: Span[] = [];
  lost = 0;
  #chars = 0;

  /** False when it is lost. */
  add(span: Span): boolean {
    const chars = this.#chars + (span.value?.length ?? 0);
    if (this.lost > 0 || this.spans.length === MAX_SPANS || chars > MAX_CHARS) {
      this.lost += 1;
      return false;
    }
    this.#chars = chars;
    this.spans.push(span);
    return true;
  }
}
