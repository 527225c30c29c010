import { expect, onTestFinished, test } from 'vitest';
import { Peer } from '../peer/Peer.ts';

test('in a module worker writes are traced as on a page', async () => {
  const peer = await Peer.listen();
  const worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' });
  onTestFinished(() => {
    worker.terminate();
    peer.stop();
  });
  await tracedIn(peer, worker);
});

test('and in a shared one', async () => {
  const peer = await Peer.listen();
  const { port } = new SharedWorker(new URL('./worker.ts', import.meta.url), {
    type: 'module',
    name: peer.url,
  });
  onTestFinished(() => peer.stop());
  port.start();
  await tracedIn(peer, port);
});

async function tracedIn(peer: Peer, worker: Worker | MessagePort): Promise<void> {
  const answer = new Promise((resolve) => {
    worker.onmessage = ({ data }) => resolve(data);
  });
  worker.postMessage(peer.url);
  expect((await peer.updatesUntil(2)).map(({ value }) => value)).toEqual([1, 2]);
  expect(await answer).toEqual({
    stats: {
      state: 'connected',
      created: 2,
      acknowledged: 2,
      pending: 0,
      lost: {},
      lastTraceId: expect.any(String),
    },
    diagnostics: [],
  });
}
