import { type Diagnostic, startEmitter } from 'atomwire';
import { atomWithTracing } from 'atomwire/jotai';
import { createStore } from 'jotai';
import { expect, onTestFinished, test, vi } from 'vitest';
import { startWithPeer } from '../peer/startWithPeer.ts';

const store = createStore();
const countAtom = atomWithTracing('count', 0);

function set(...counts: number[]): void {
  for (const count of counts) store.set(countAtom, count);
}

test('an unreachable relay is told once, and tried again', async () => {
  const tries = vi.spyOn(window, 'WebSocket');
  onTestFinished(() => void vi.restoreAllMocks());
  // Nobody listens on the port that is for discarding.
  const { emitter, diagnostics } = await startWithPeer({ url: 'ws://127.0.0.1:9/v1/stream' });
  await vi.waitUntil(
    () => tries.mock.calls.filter(([url]) => String(url).includes(':9/')).length >= 3,
    20_000,
  );
  set(1);
  expect(emitter.stats()).toMatchObject({ created: 1, pending: 1 });
  expect(diagnostics).toEqual([
    { kind: 'disconnected', message: expect.stringContaining('ws://127.0.0.1:9/v1/stream') },
  ]);
});

test('a socket that fires error and nothing else is one that failed', async () => {
  let sockets = 0;
  class Blocked {
    onerror: ((event: Event) => void) | undefined;
    constructor() {
      sockets += 1;
      queueMicrotask(() => this.onerror?.(new Event('error')));
    }
    close() {}
  }
  onTestFinished(() => void vi.unstubAllGlobals());
  const { diagnostics } = await startWithPeer({}, () => {
    vi.stubGlobal('WebSocket', Blocked);
  });
  await vi.waitUntil(() => sockets >= 2, 10_000);
  expect(diagnostics.map(({ kind }) => kind)).toEqual(['disconnected']);
});

test('a relay that opens and never answers is told, and left', async () => {
  const { peer, diagnostics } = await startWithPeer({}, (peer) => {
    peer.answers = false;
  });
  await peer.until(() => peer.opened === 2);
  expect(diagnostics).toEqual([{ kind: 'disconnected', message: expect.stringContaining('no answer') }]);
}, 20_000);

test.each([
  ['', 'no address'],
  ['/v1/stream', 'the page’s own'],
  ['http://127.0.0.1:1/v1/stream', 'another protocol'],
  ['ws://[', 'malformed'],
  [undefined as unknown as string, 'missing'],
])('the address %j fails once: %s', async (url) => {
  const opened = vi.spyOn(window, 'WebSocket');
  onTestFinished(() => void vi.restoreAllMocks());
  const { emitter, diagnostics } = await startWithPeer({ url });
  const tries = () => opened.mock.calls.filter(([, protocol]) => protocol !== undefined);
  set(1, 2);
  await emitter.flush();
  set(3);
  expect(store.get(countAtom)).toBe(3);
  expect(emitter.stats()).toMatchObject({
    state: 'failed',
    created: 3,
    pending: 0,
    lost: { emitter_failed: 3 },
  });
  expect(diagnostics.map(({ kind }) => kind)).toEqual(['invalid_url', 'emitter_failed']);
  expect(tries().length).toBeLessThanOrEqual(url === 'ws://[' ? 1 : 0);
});

test('when the network is back, a socket is asked whether it lives, and left when it does not answer', async () => {
  const { peer, emitter } = await startWithPeer();
  set(1);
  await emitter.flush();
  const before = Date.now() * 1_000;
  window.dispatchEvent(new Event('online'));
  await peer.until(() => peer.frames.some(({ ping }) => ping !== undefined));
  const ping = peer.frames.find(({ ping }) => ping !== undefined)?.ping;
  expect(Math.abs((ping?.clientTimeUs ?? 0) - before)).toBeLessThan(60_000_000);
  await peer.until(() => peer.opened === 2);
}, 20_000);

test('…and kept when it does', async () => {
  const { peer, emitter } = await startWithPeer();
  set(1);
  await emitter.flush();
  window.dispatchEvent(new Event('online'));
  await peer.until(() => peer.frames.some(({ ping }) => ping !== undefined));
  const { clientTimeUs } = peer.frames.find(({ ping }) => ping !== undefined)?.ping ?? { clientTimeUs: 0 };
  peer.send({ pong: { clientTimeUs, times: { receivedAtUs: clientTimeUs, sentAtUs: clientTimeUs } } });
  set(2);
  await emitter.flush();
  expect(peer.opened).toBe(1);
  expect(emitter.stats().state).toBe('connected');
});

test('an onDiagnostic that throws, or rejects, is the app’s own affair', async () => {
  const errors: unknown[] = [];
  const note = (event: Event) => {
    errors.push(event);
    event.preventDefault();
  };
  for (const type of ['error', 'unhandledrejection']) {
    window.addEventListener(type, note);
    onTestFinished(() => window.removeEventListener(type, note));
  }
  const told: Diagnostic[] = [];
  const { emitter } = await startWithPeer({
    url: 'nowhere',
    onDiagnostic(diagnostic) {
      told.push(diagnostic);
      if (told.length > 1) return Promise.reject(new Error('rejects')) as never;
      throw new Error('throws');
    },
  });
  set(1);
  await emitter.flush();
  await vi.waitUntil(() => told.length === 2);
  // A rejection is reported after the task that it happened in.
  await new Promise((resolve) => setTimeout(resolve, 0));
  expect(errors).toEqual([]);
  expect(emitter.stats().state).toBe('failed');
});

test('shutdown hears what the relay took of the last request', async () => {
  const { peer, emitter } = await startWithPeer({}, (peer) => {
    peer.answers = false;
  });
  await peer.until(() => peer.hellos.length === 1);
  const times = { receivedAtUs: 1, sentAtUs: 1 };
  peer.answerRequest(
    { welcome: { nextSeq: 0, credit: 100, heartbeatIntervalMs: 15_000, times } },
    { ack: { nextSeq: 2, credit: 100, times } },
  );
  set(1, 2, 3);
  await emitter.shutdown();
  expect(peer.requests[0]?.flatMap(({ batch }) => batch?.updates ?? [])).toHaveLength(3);
  expect(emitter.stats()).toEqual({
    state: 'stopped',
    created: 3,
    acknowledged: 2,
    pending: 0,
    lost: { page_closed: 1 },
  });
});

test('after a last request that the relay took whole, the session ends', async () => {
  const { peer, emitter } = await startWithPeer({}, (peer) => {
    peer.answers = false;
  });
  await peer.until(() => peer.hellos.length === 1);
  peer.answerRequest(
    { welcome: { nextSeq: 0, credit: 100, heartbeatIntervalMs: 15_000 } },
    { ack: { nextSeq: 2, credit: 100 } },
  );
  set(1, 2);
  await emitter.shutdown();
  expect(emitter.stats()).toMatchObject({ acknowledged: 2, lost: {} });
  await peer.until(() => peer.requests.some((frames) => frames.at(-1)?.bye?.nextSeq === 2));
});

test('a second startEmitter after a shutdown that nobody waited for is another session', async () => {
  const first = await startWithPeer();
  void first.emitter.shutdown();
  const second = startEmitter({ url: first.peer.url, service: { name: 'again' } });
  onTestFinished(() => second.shutdown());
  set(1);
  await second.flush();
  expect(second.stats()).toMatchObject({ created: 1, acknowledged: 1 });
});
