import { createStore } from 'jotai/vanilla';
import { atomwireAtom, startAtomwire } from './atomwire.ts';
import { opentelemetryAtom, startOpenTelemetry } from './opentelemetry.ts';
import { plainAtom } from './plain.ts';
import { cart, type Size } from './values.ts';

const atoms = { plain: plainAtom, atomwire: atomwireAtom, opentelemetry: opentelemetryAtom };
export type Variant = keyof typeof atoms;

const query = new URLSearchParams(location.search);
const store = createStore();
// Somebody looks at the state, as in any app.
for (const atom of Object.values(atoms)) store.sub(atom, () => {});

const emitter = startAtomwire(query.get('relay') ?? '');
const provider = startOpenTelemetry(new URL('/v1/traces', location.href).href);

/** `writes` of them at once; microseconds for each. */
function burst(variant: Variant, size: Size, writes: number): number {
  const atom = atoms[variant];
  const values = Array.from({ length: writes }, (_, number) => cart(size, number));
  const start = performance.now();
  for (const value of values) store.set(atom, value);
  return ((performance.now() - start) * 1000) / writes;
}

/** `writes` of them, one each `everyMs` milliseconds. */
function paced(variant: Variant, size: Size, writes: number, everyMs: number): Promise<void> {
  const atom = atoms[variant];
  let number = 0;
  return new Promise((resolve) => {
    const timer = setInterval(() => {
      store.set(atom, cart(size, number));
      number += 1;
      if (number < writes) return;
      clearInterval(timer);
      resolve();
    }, everyMs);
  });
}

/** Until everything written has left the page. */
async function settle(): Promise<void> {
  await Promise.all([emitter.flush(), provider.forceFlush()]);
}

Object.assign(window, { bench: { burst, paced, settle, stats: () => emitter.stats() } });
