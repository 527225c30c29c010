import type { WritableAtom } from 'jotai/vanilla';
import type { Value } from './values.ts';

/** What is measured beside a plain atom of the same page. */
export interface Peer {
  readonly atom: WritableAtom<Value, [Value], void>;
  /** Settles when it can send. */
  start(): Promise<void>;
  /** Sends what waits; settles when it has left, as far as the peer can tell. */
  flush(): Promise<void>;
}
