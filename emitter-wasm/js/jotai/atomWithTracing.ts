import { atom, type PrimitiveAtom } from 'jotai/vanilla';
import { openSpan } from '../write/openSpan.js';
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
  initialValue: Value,
): PrimitiveAtom<Value> & WithInitialValue<Value> {
  // Jotai would take a function for a read function here, also one that is a value.
  const tracedAtom = atom<Value>(undefined as Value);
  tracedAtom.init = initialValue;
  const write = tracedAtom.write;
  tracedAtom.write = function (get, set, update) {
    const span = openSpan(key);
    if (span === undefined) {
      write.call(this, get, set, update);
      return;
    }
    span.begin();
    try {
      write.call(this, get, set, update);
    } catch (error) {
      span.endFailed(error);
      throw error;
    }
    const value: unknown = get(this);
    if (value instanceof Promise) {
      watch(
        value,
        (settled) => span.endWith(settled),
        (error) => span.endFailed(error),
      );
    } else {
      span.endWith(value);
    }
  };
  return tracedAtom;
}
