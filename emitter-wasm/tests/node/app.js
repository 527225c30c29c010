// The app of installed.test.ts.
import { startEmitter } from 'atomwire';
import { atomWithTracing } from 'atomwire/jotai';
import { createStore } from 'jotai';

const diagnostics = [];
const emitter = startEmitter({
  url: new URLSearchParams(location.search).get('relay'),
  service: { name: 'installed' },
  onDiagnostic: ({ kind }) => diagnostics.push(kind),
});
const store = createStore();
const countAtom = atomWithTracing('count', 0);
store.set(countAtom, 1);

window.app = { diagnostics, stats: emitter.stats, count: () => store.get(countAtom) };
