import { faro as api, initializeFaro } from '@grafana/faro-web-sdk';
import { atomAround } from './atomAround.ts';
import type { Peer } from './Peer.ts';
import { ATTRIBUTES, NAME, VALUE } from './span.ts';

/** Its batches leave each 250 ms, and nothing hurries them. */
const BATCH_MS = 250 + 50;

/** An event for each write, without a trace: the least that tells Faro of it. */
export const faro: Peer = {
  atom: atomAround((write) => {
    api.api.pushEvent(NAME, { ...ATTRIBUTES, [VALUE]: JSON.stringify(write()) });
  }),
  async start() {
    initializeFaro({ url: new URL('/collect', location.href).href, app: { name: 'bench' } });
  },
  flush: () => new Promise((resolve) => setTimeout(resolve, BATCH_MS)),
};
