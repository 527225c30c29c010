/**
 * What the module has: numbers alone cross, and src/lib.rs says what each means. Times are in microseconds. The module
 * calls nothing, and keeps one session: each has an instance of its own.
 */
export type { InitOutput as Core } from '../wasm/atomwire_emitter.js';
