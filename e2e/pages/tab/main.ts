// A page that writes to several traced atoms by itself, from its first moment to its last.

import { type EmitterStats, startEmitter } from 'atomwire';
import { atomWithTracing } from 'atomwire/jotai';
import { createStore } from 'jotai/vanilla';
import { drawn, left, type Testimony, testimony, watch } from './witness.ts';

/** Writes a second; `chaos/Tabs.ts` knows. */
const RATE = 25;
const ATOMS = 4;

const query = new URLSearchParams(location.search);
/** In every key, so that rows tell which page they are from. */
const name = crypto.randomUUID().slice(0, 8);
const atoms = Array.from({ length: ATOMS }, (_, index) => atomWithTracing(`tab/${name}/${index}`, -1));
const store = createStore();

const witness = watch(name, () => emitter.stats().pending);
const emitter = startEmitter({
  url: query.get('relay') ?? '',
  service: { name: 'tab' },
  ...(query.has('persist') && { persist: true }),
  onDiagnostic: ({ kind, message }) => console.warn(`atomwire: ${kind}: ${message}`),
});

let written = 0;

function write(count: number): void {
  for (const end = written + count; written < end; written += 1) {
    store.set(atoms[written % ATOMS] as (typeof atoms)[number], written);
  }
}

const timer = setInterval(() => write(1), 1000 / RATE);

/** What tests call. */
export const tab = {
  /** Whose rows, how many writes, the emitter's own account, and what its sessions may be called. */
  look(): { name: string; written: number; stats: EmitterStats; ids: string[] } {
    witness.lookLast();
    return { name, written, stats: emitter.stats(), ids: drawn };
  },
  /** The last writes, so that something is still pending, and no more. */
  finish(count: number): void {
    clearInterval(timer);
    write(count);
  },
  flush: (): Promise<void> => emitter.flush(),
  left,
  testimony: (): Testimony => testimony(),
};

declare global {
  interface Window {
    tab: typeof tab;
  }
}

window.tab = tab;
