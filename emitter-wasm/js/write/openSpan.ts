import { registry } from './registry.js';
import { Span } from './Span.js';

/** A span for a write that is about to begin, unless nobody wants to know. */
export function openSpan(key: string): Span | undefined {
  const { recorder, active } = registry;
  if (recorder === undefined) return undefined;
  // Nobody has started an emitter, or it has failed: what is lost is counted, and costs no more than that.
  if (recorder.full && (recorder.closed || recorder.emitter === undefined)) {
    recorder.lose(1);
    return undefined;
  }
  // A parent from another session has its ids there.
  return new Span(
    recorder,
    key,
    active?.recorder === recorder && active.era === recorder.era ? active : undefined,
  );
}

/** Runs a piece of `span`'s own write: traced writes that it makes synchronously become its children. */
export function within<R>(span: Span, run: () => R): R {
  const outer = registry.active;
  registry.active = span;
  try {
    return run();
  } finally {
    registry.active = outer;
  }
}
