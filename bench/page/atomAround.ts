import { atom, type WritableAtom } from 'jotai/vanilla';
import type { Value } from './values.ts';

/** What an app without atomwire writes to see an atom's writes: `around` does the write, and has the new value. */
export function atomAround(around: (write: () => Value) => void): WritableAtom<Value, [Value], void> {
  const watched = atom<Value>(0);
  const { write } = watched;
  watched.write = function (get, set, update) {
    around(() => {
      write.call(this, get, set, update);
      return get(this);
    });
  };
  return watched;
}
