import type { Setter, WritableAtom } from 'jotai/vanilla';
import { openSpan, within } from '../write/openSpan.js';
import type { Span } from '../write/Span.js';
import { toJson } from '../write/toJson.js';
import { watch } from './watch.js';

// biome-ignore lint/suspicious/noExplicitAny: nothing else takes every writable atom, as in Jotai's own types.
type AnyWritableAtom = WritableAtom<any, any[], any>;

type TracedWrite = AnyWritableAtom['write'] & { [KEY]?: string; [Symbol.toStringTag]?: string };

/** A traced write bears its key under this name, which all copies of this package on the page know. */
const KEY = Symbol.for('atomwire.key');

/**
 * Traces every write to `atom`, and returns that same atom. Each is one trace and one update that carries
 * what was written: the argument, several as an array, none as null. If the write returns a promise, it lasts
 * until that settles. What it throws or returns is left as it is.
 *
 * Traced writes that it makes through its own `set`, now or after an `await`, are its children in the trace.
 * What listeners write in turn is not.
 *
 * Like Jotai's `freezeAtom` it replaces the atom's `write` in place: an atom that sets itself, as those of
 * `atomWithReset` do, would not know itself in a copy. An atom that is traced already only takes the new key; a
 * frozen one is returned untraced.
 */
export function traced<A extends AnyWritableAtom>(atom: A, key: string): A {
  const write: TracedWrite = atom.write;
  if (KEY in write) {
    write[KEY] = key;
    return atom;
  }
  const tracedWrite: TracedWrite = function (this: A, get, set, ...args) {
    const span = openSpan(tracedWrite[KEY] ?? key);
    if (!span) return write.call(this, get, set, ...args);
    /** When its code was last seen running; only of interest once that is asynchronous. */
    let seen = 0;
    const childSet = (child: AnyWritableAtom, ...childArgs: unknown[]): unknown => {
      // Not in `within` itself: Jotai calls listeners at the end of a `set`, and their writes are their own.
      const isItself = child === atom || child === this;
      const result = isItself ? set(child, ...childArgs) : set(runner, span, child, childArgs);
      if (seen) seen = performance.now();
      return result;
    };
    span.value = toJson(args.length > 1 ? args : args.length === 1 ? args[0] : null);
    span.begin();
    let result: unknown;
    try {
      result = within(span, () => write.call(this, get, childSet as Setter, ...args));
    } catch (error) {
      span.endFailed(error);
      throw error;
    }
    // The promise of an `async` function is fresh.
    const outcome = watch(result, write[Symbol.toStringTag] === 'AsyncFunction');
    if (outcome) {
      seen = performance.now();
      outcome.whenKnown((failed, settled, late) => {
        const at = late ? seen : undefined;
        if (failed) span.endFailed(settled, at);
        else span.end(at);
      });
    } else {
      span.end();
    }
    return result;
  };
  tracedWrite[KEY] = key;
  Reflect.set(atom, 'write', tracedWrite);
  return atom;
}

/** Makes a traced write's own writes. Not by Jotai's `atom`, which counts. */
const runner: WritableAtom<null, [Span, AnyWritableAtom, unknown[]], unknown> = {
  read: () => null,
  write: (_get, set, span, child, args) => within(span, () => set(child, ...args)),
};
