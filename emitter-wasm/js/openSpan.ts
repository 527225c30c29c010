import { currentRecorder } from './currentRecorder.js';
import { Span } from './Span.js';

/** The traced write whose code is running. */
let active: Span | undefined;

/** A span for a write that is about to begin, unless nobody records. */
export function openSpan(key: string): Span | undefined {
  const recorder = currentRecorder();
  if (recorder === undefined) return undefined;
  // A parent from before a shutdown has its ids in another session.
  return new Span(recorder, key, active?.recorder === recorder ? active : undefined);
}

/** Runs a piece of `span`'s own write: traced writes that it makes synchronously become its children. */
export function within<R>(span: Span, run: () => R): R {
  const outer = active;
  active = span;
  try {
    return run();
  } finally {
    active = outer;
  }
}
