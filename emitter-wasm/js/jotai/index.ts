export type { WithInitialValue } from './atomWithTracing.js';
export { atomWithTracing } from './atomWithTracing.js';
export { traced } from './traced.js';
