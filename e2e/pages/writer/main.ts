// A page that writes numbers to one traced atom, as fast or as long as a test tells it to.

import { type EmitterStats, startEmitter } from 'atomwire';
import { atomWithTracing } from 'atomwire/jotai';
import { createStore } from 'jotai/vanilla';

const numberAtom = atomWithTracing('number', -1);
const store = createStore();

const emitter = startEmitter({
  url: new URLSearchParams(location.search).get('relay') ?? '',
  service: { name: 'writer' },
  onDiagnostic: ({ kind, message }) => console.warn(`atomwire: ${kind}: ${message}`),
});

let written = 0;
let timer: ReturnType<typeof setInterval> | undefined;
const unbalanced: string[] = [];

/** The account, and a note if it does not balance. */
function look(): EmitterStats {
  const stats = emitter.stats();
  const lost = Object.values(stats.lost).reduce((sum, count) => sum + count, 0);
  if (stats.created !== written || stats.created !== stats.acknowledged + stats.pending + lost) {
    unbalanced.push(`${written} written: ${JSON.stringify(stats)}`);
  }
  return stats;
}

function write(count: number): void {
  for (let end = written + count; written < end; ) {
    store.set(numberAtom, written);
    written += 1;
    if (written % 100 === 0) look();
  }
}

/** What tests call. */
export const writer = {
  /** Writes the next `count` numbers in one go. */
  write,
  /** Writes the next number every few milliseconds, until `stop`. */
  start(): void {
    timer = setInterval(() => {
      write(1);
      look();
    }, 2);
  },
  stop(): void {
    clearInterval(timer);
  },
  look,
  /** Every account that did not balance. */
  unbalanced: (): string[] => unbalanced,
  flush: (): Promise<void> => emitter.flush(),
};

declare global {
  interface Window {
    writer: typeof writer;
  }
}

window.writer = writer;
