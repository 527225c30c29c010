import { type Emitter, startEmitter } from 'atomwire';
import { atomWithTracing } from 'atomwire/jotai';
import type { Cart } from './values.ts';

export const atomwireAtom = atomWithTracing<Cart>('cart', { items: [], total: 0 });

export function startAtomwire(url: string): Emitter {
  return startEmitter({ url, service: { name: 'bench' } });
}
