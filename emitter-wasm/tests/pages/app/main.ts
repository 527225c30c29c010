import { type EmitterOptions, startEmitter } from 'atomwire';
import { atomWithTracing } from 'atomwire/jotai';
import { createStore } from 'jotai';

const query = new URLSearchParams(location.search);
const store = createStore();
const countAtom = atomWithTracing<unknown>('count', 0);
const diagnostics: { kind: string; message: string }[] = [];
const shown: boolean[] = [];
window.addEventListener('pageshow', ({ persisted }) => shown.push(persisted));

/** What the tests reach for. */
const app = {
  emitter: startEmitter({
    url: query.get('relay') ?? '',
    service: { name: 'page' },
    onDiagnostic: (diagnostic) => diagnostics.push(diagnostic),
    ...(JSON.parse(query.get('options') ?? '{}') as Partial<EmitterOptions>),
  }),
  diagnostics,
  /** Of each time that the page was shown: whether it came out of the back/forward cache. */
  shown,
  set: (value: unknown): void => store.set(countAtom, value),
};

declare global {
  interface Window {
    app: typeof app;
  }
}
window.app = app;
