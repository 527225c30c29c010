// What a page can bear witness to, of itself and of those that went before: the verdict must not take a relay that
// vanished for the cause of what nobody ever told it.

/** How a page went, and which notes stood when it had gone. */
export interface Testimony {
  /** By the page's name, in its last moment: how much was pending, and whether a note of its own stood. */
  last: Record<string, { pending: number; noted: boolean }>;
  /** By session: when its note was last seen, by any page (milliseconds since the epoch). */
  seen: Record<string, number>;
}

const NOTE = 'atomwire:';
const LAST = 'witness/last/';
const SEEN = 'witness/seen/';

/** How often a page looks, in milliseconds: much more often than the next page speaks for one that has gone. */
const EVERY = 100;

/** Sessions have random ids, so these are among them: the first 16 bytes of whatever this page has drawn. */
export const drawn: string[] = [];

/** Looks from here on; `pending` is asked for at the end. */
export function watch(name: string, pending: () => number): { lookLast(): void } {
  const draw = crypto.getRandomValues.bind(crypto);
  crypto.getRandomValues = (array) => {
    const filled = draw(array);
    if (filled instanceof Uint8Array) drawn.push(hex(filled.subarray(0, 16)));
    return filled;
  };
  const seen: Testimony['seen'] = {};
  setInterval(() => {
    for (const session of notes()) seen[session] = Date.now();
    localStorage.setItem(SEEN + name, JSON.stringify(seen));
  }, EVERY);
  const last = (): void => {
    const noted = notes().some((session) => drawn.includes(session));
    localStorage.setItem(LAST + name, JSON.stringify({ pending: pending(), noted }));
  };
  return {
    /** Has its last look after the emitter, whose listeners are there by now. */
    lookLast() {
      removeEventListener('pagehide', last);
      addEventListener('pagehide', last);
    },
  };
}

/** What all pages of this origin have seen. */
export function testimony(): Testimony {
  const all: Testimony = { last: {}, seen: {} };
  for (const [key, value] of Object.entries(localStorage)) {
    if (key.startsWith(LAST)) all.last[key.slice(LAST.length)] = JSON.parse(value);
    if (!key.startsWith(SEEN)) continue;
    for (const [session, at] of Object.entries<number>(JSON.parse(value))) {
      all.seen[session] = Math.max(at, all.seen[session] ?? 0);
    }
  }
  return all;
}

/** What is kept of sessions that are not settled: notes, and records in the emitter's databases. */
export async function left(): Promise<number> {
  let count = notes().length;
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

/** The sessions of which a note stands. */
const notes = (): string[] =>
  Object.keys(localStorage)
    .filter((key) => key.startsWith(NOTE))
    .map((key) => key.slice(NOTE.length));

const hex = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');

const answer = <T>(request: IDBRequest<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
