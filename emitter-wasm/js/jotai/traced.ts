import type { Setter, WritableAtom } from 'jotai/vanilla';
import { openSpan, within } from '../write/openSpan.js';
import { toJson } from '../write/toJson.js';
import { watch } from './watch.js';

/**
 * Traces every write to `atom`, and returns that same atom. Each is one trace and one update that carries
 * what was written: the argument, several as an array, none as null. If the write returns a promise, it lasts
 * until that settles. What it throws or returns is left as it is.
 *
 * Traced writes that it makes through its own `set`, now or after an `await`, are its children in the trace.
 *
 * Like Jotai's `freezeAtom` it replaces the atom's `write` in place: an atom that sets itself, as those of
 * `atomWithReset` do, would not know itself in a copy.
 */
export function traced<Value, Args extends unknown[], Result>(
  atom: WritableAtom<Value, Args, Result>,
  key: string,
): WritableAtom<Value, Args, Result> {
  const write = atom.write;
  atom.write = function (get, set, ...args) {
    const span = openSpan(key);
    if (span === undefined) return write.call(this, get, set, ...args);
    const childSet: Setter = (child, ...childArgs) => within(span, () => set(child, ...childArgs));
    span.value = toJson(args.length > 1 ? args : args.length === 1 ? args[0] : null);
    span.begin();
    let result: Result;
    try {
      result = within(span, () => write.call(this, get, childSet, ...args));
    } catch (error) {
      span.endFailed(error);
      throw error;
    }
    if (result instanceof Promise) {
      watch(
        result,
        () => span.end(),
        (error) => span.endFailed(error),
      );
    } else {
      span.end();
    }
    return result;
  };
  return atom;
}
