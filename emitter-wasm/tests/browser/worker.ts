// A worker that traces two writes: one before its emitter starts, one after; worker.test.ts says to which relay.
import { startEmitter } from 'atomwire';
import { atomWithTracing } from 'atomwire/jotai';
import { createStore } from 'jotai/vanilla';

const store = createStore();
const countAtom = atomWithTracing('count', 0);

async function run(url: string, answer: (message: unknown) => void): Promise<void> {
  const diagnostics: string[] = [];
  store.set(countAtom, 1);
  const emitter = startEmitter({
    url,
    service: { name: 'worker' },
    onDiagnostic: ({ kind }) => diagnostics.push(kind),
  });
  store.set(countAtom, 2);
  await emitter.flush();
  answer({ stats: emitter.stats(), diagnostics });
}

addEventListener('message', ({ data }) => void run(data, (message) => postMessage(message)));
addEventListener('connect', (event) => {
  const [port] = (event as MessageEvent).ports;
  if (port) port.onmessage = ({ data }) => void run(data, (message) => port.postMessage(message));
});
