import { atomAround } from './atomAround.ts';
import type { Peer } from './Peer.ts';

/** What no peer can do without: the value as a text, made in the write and dropped. */
export const stringify: Peer = {
  atom: atomAround((write) => {
    JSON.stringify(write());
  }),
  async start() {},
  async flush() {},
};
