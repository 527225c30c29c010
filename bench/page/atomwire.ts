import { type Emitter, startEmitter } from 'atomwire';
import { atomWithTracing } from 'atomwire/jotai';
import type { Peer } from './Peer.ts';
import type { Value } from './values.ts';

const LOOK_EVERY_MS = 10;

let emitter: Emitter | undefined;

export const atomwire: Peer = {
  atom: atomWithTracing<Value>('cart', 0),
  async start() {
    const url = new URLSearchParams(location.search).get('relay') ?? '';
    emitter = startEmitter({ url, service: { name: 'bench' } });
    while (emitter.stats().state !== 'connected')
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  },
  async flush() {
    await emitter?.flush();
  },
};
