export type { Emitter } from './Emitter.js';
export type { Diagnostic, EmitterOptions, SpanContext } from './EmitterOptions.js';
export type { EmitterStats } from './EmitterStats.js';
export { startEmitter } from './startEmitter.js';
