// A page that writes to several traced atoms by itself, from its first moment to its last.

import { type EmitterStats, startEmitter } from 'atomwire';
import { atomWithTracing } from 'atomwire/jotai';
import { createStore } from 'jotai/vanilla';

/** Writes a second; `chaos/Tabs.ts` knows. */
const RATE = 25;
const ATOMS = 4;

const query = new URLSearchParams(location.search);
/** In every key, so that rows tell which page they are from. */
const name = crypto.randomUUID().slice(0, 8);
const atoms = Array.from({ length: ATOMS }, (_, index) => atomWithTracing(`tab/${name}/${index}`, -1));
const store = createStore();

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

/** Everything in the databases of this origin whose name says that they are the emitter's. */
async function journals(): Promise<number> {
  let count = 0;
  for (const { name } of await indexedDB.databases()) {
    if (!name?.startsWith('atomwire')) continue;
    const database = await answer(indexedDB.open(name));
    for (const store of database.objectStoreNames) {
      count += await answer(database.transaction(store).objectStore(store).count());
    }
    database.close();
  }
  return count;
}

const answer = <T>(request: IDBRequest<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

/** What tests call. */
export const tab = {
  /** Whose rows, how many writes, and the emitter's own account. */
  look: (): { name: string; written: number; stats: EmitterStats } => ({
    name,
    written,
    stats: emitter.stats(),
  }),
  /** The last writes, so that something is still pending, and no more. */
  finish(count: number): void {
    clearInterval(timer);
    write(count);
  },
  flush: (): Promise<void> => emitter.flush(),
  /** Notes and records in which pages of this origin say that something is not settled. */
  left: async (): Promise<number> =>
    Object.keys(localStorage).filter((key) => key.startsWith('atomwire:')).length + (await journals()),
};

declare global {
  interface Window {
    tab: typeof tab;
  }
}

window.tab = tab;
