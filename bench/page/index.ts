import { atom, createStore } from 'jotai/vanilla';
import type { Peer } from './Peer.ts';
import { type Size, type Value, value } from './values.ts';

type Which = 'plain' | 'peer';

// A page loads one of them: some patch what the others use.
const peers: Record<string, () => Promise<Peer>> = {
  stringify: async () => (await import('./stringify.ts')).stringify,
  socket: async () => (await import('./socket.ts')).bareSocket,
  atomwire: async () => (await import('./atomwire.ts')).atomwire,
  opentelemetry: async () => (await import('./opentelemetry.ts')).opentelemetry,
  faro: async () => (await import('./faro.ts')).faro,
  sentry: async () => (await import('./sentry.ts')).sentry,
};

async function start(name: string): Promise<void> {
  const load = peers[name];
  if (load === undefined) throw new Error(`there is no peer ${name}`);
  const peer = await load();
  await peer.start();
  const store = createStore();
  const atoms: Record<Which, Peer['atom']> = { plain: atom<Value>(0), peer: peer.atom };
  // Somebody looks at the state, as in any app.
  for (const atom of Object.values(atoms)) store.sub(atom, () => {});

  // No two values in a row are the same: a peer may leave out what repeats.
  let number = 0;
  const next = (size: Size) => value(size, number++);

  /** `writes` of them at once; microseconds for each. */
  function burst(which: Which, size: Size, writes: number): number {
    const atom = atoms[which];
    const values = Array.from({ length: writes }, () => next(size));
    const start = performance.now();
    for (const value of values) store.set(atom, value);
    return ((performance.now() - start) * 1000) / writes;
  }

  /** `writes` of them, one each `everyMs` milliseconds. */
  function paced(which: Which, size: Size, writes: number, everyMs: number): Promise<void> {
    const atom = atoms[which];
    let left = writes;
    return new Promise((resolve) => {
      const timer = setInterval(() => {
        store.set(atom, next(size));
        left -= 1;
        if (left > 0) return;
        clearInterval(timer);
        resolve();
      }, everyMs);
    });
  }

  Object.assign(window, { bench: { burst, paced, flush: () => peer.flush() } });
}

void start(new URLSearchParams(location.search).get('peer') ?? '');
