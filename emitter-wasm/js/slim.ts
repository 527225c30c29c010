import type { Emitter } from './Emitter.js';
import type { EmitterOptions } from './EmitterOptions.js';
import { start } from './start.js';

export type { Emitter } from './Emitter.js';
export type { Diagnostic, EmitterOptions, SpanContext } from './EmitterOptions.js';
export type { EmitterStats } from './EmitterStats.js';

/** How an emitter is started that brings no WebAssembly of its own. */
export interface SlimOptions extends EmitterOptions {
  /** `atomwire/module.wasm`: its address, an answer that holds it, its bytes, or the module itself. */
  module: string | URL | Response | BufferSource | WebAssembly.Module;
}

/** `startEmitter` of `atomwire`, for those who serve the WebAssembly module themselves. */
export function startEmitter(options: SlimOptions): Emitter {
  return start(options, async (recorder) =>
    (await import('./session/served.js')).open(recorder, options, () => import('./persist/persist.js')),
  );
}
