import { atom, type PrimitiveAtom } from 'jotai/vanilla';
import { openSpan } from '../write/openSpan.js';
import type { Outcome } from './Outcome.js';
import { watch } from './watch.js';

/** What Jotai's `atom(initialValue)` adds to its type, under a name that Jotai does not export. */
export interface WithInitialValue<Value> {
  init: Value;
}

/**
 * Jotai's `atom(initialValue)`, each write of which is one trace and one update that carries the new value as
 * JSON. A promise counts as written when it settles, with the value that it settles to.
 *
 * `key` names the state, not the write: it is of low cardinality and at most 256 bytes long.
 */
export function atomWithTracing<Value>(
  key: string,
): PrimitiveAtom<Value | undefined> & WithInitialValue<Value | undefined>;
export function atomWithTracing<Value>(
  key: string,
  initialValue: Value,
): PrimitiveAtom<Value> & WithInitialValue<Value>;
export function atomWithTracing(key: string, initialValue?: unknown): PrimitiveAtom<unknown> {
  // Jotai would take a function for a read function here, also one that is a value.
  const tracedAtom = atom<unknown>();
  tracedAtom.init = initialValue;
  const write = tracedAtom.write;
  tracedAtom.write = function (get, set, update) {
    const span = openSpan(key);
    if (!span) return write.call(this, get, set, update);
    span.begin();
    let value: unknown;
    let outcome: Outcome | undefined;
    try {
      // What Jotai's own write does. Afterwards would be late for watching: some versions take promises up.
      value = typeof update === 'function' ? update(get(this)) : update;
      outcome = watch(value);
      set(this, value);
    } catch (error) {
      span.endFailed(error);
      throw error;
    }
    if (!outcome) {
      span.endWith(value);
      return;
    }
    const seen = performance.now();
    outcome.whenKnown((failed, settled, late) => {
      const at = late ? seen : undefined;
      if (failed) span.endFailed(settled, at);
      else span.endWith(settled, at);
    });
  };
  return tracedAtom;
}
