import type { Emitter } from './Emitter.js';
import type { EmitterOptions } from './EmitterOptions.js';
import { start } from './start.js';

export type { Emitter } from './Emitter.js';
export type { Diagnostic, EmitterOptions, SpanContext } from './EmitterOptions.js';
export type { EmitterStats } from './EmitterStats.js';

/**
 * Starts the page's one emitter and returns at once. It never throws for want of a network, of WebAssembly
 * or of a page: on a server it does nothing.
 *
 * A second call while one runs returns the same emitter, whatever its options say, and a diagnostic
 * `already_started` (hot module replacement does this). After `shutdown`, a call starts a new session.
 */
export function startEmitter(options: EmitterOptions): Emitter {
  return start(options, async (recorder) =>
    (await import('./session/inlined.js')).open(recorder, options, () => import('./persist/persist.js')),
  );
}
