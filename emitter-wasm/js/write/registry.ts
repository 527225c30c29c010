import { isLive } from './isLive.js';
import { Recorder } from './Recorder.js';
import type { Span } from './Span.js';

/** Of what stands in the registry, spans and recorder included. A copy with another format keeps to itself. */
const FORMAT = 1;
/** Where the copies of this package on one page find each other: two bundles, or two versions. */
const NAME = Symbol.for('atomwire');

interface Registry {
  format: number;
  /** There before `startEmitter`, because the first writes may be; none on a server, and none after a shutdown. */
  recorder?: Recorder | undefined;
  /** The traced write whose code is running. */
  active?: Span | undefined;
}

const page = globalThis as { [NAME]?: Registry };

export const registry: Registry =
  page[NAME]?.format === FORMAT
    ? page[NAME]
    : { format: FORMAT, recorder: isLive() ? new Recorder() : undefined };

page[NAME] ??= registry;
