// All that an app imports.
export { startEmitter } from 'atomwire';
export { atomWithTracing, traced } from 'atomwire/jotai';
