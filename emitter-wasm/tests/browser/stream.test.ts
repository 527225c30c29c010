import { startEmitter } from 'atomwire';
import { atomWithTracing } from 'atomwire/jotai';
import { createStore } from 'jotai';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { startWithPeer } from '../peer/startWithPeer.ts';

const store = createStore();
const countAtom = atomWithTracing('count', 0);

function count(from: number, to: number): void {
  for (let value = from; value < to; value++) store.set(countAtom, value);
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, index) => from + index);
}

test('Hello says who this is', async () => {
  const { peer, emitter } = await startWithPeer({
    service: { name: 'shop', version: '1.2.3' },
    resource: { 'deployment.environment.name': 'test', 'service.name': 'not this one' },
    token: 'secret',
  });
  count(0, 1);
  await peer.updatesUntil(1);
  const [hello] = peer.hellos;
  expect(hello?.token).toBe('secret');
  expect(atob(hello?.idSeed ?? '')).toHaveLength(32);
  expect(Object.fromEntries(hello?.resource?.map(({ key, value }) => [key, value]) ?? [])).toEqual({
    'service.name': 'shop',
    'service.version': '1.2.3',
    'telemetry.sdk.name': 'atomwire',
    'telemetry.sdk.language': 'webjs',
    'telemetry.sdk.version': '0.1.0',
    'browser.language': navigator.language,
    'user_agent.original': navigator.userAgent,
    'deployment.environment.name': 'test',
  });
  expect(Math.abs((hello?.clientTimeUs ?? 0) / 1_000 - Date.now())).toBeLessThan(60_000);
  await emitter.flush();
  expect(emitter.stats().state).toBe('connected');
});

test('updates arrive in order, once each, and the account balances', async () => {
  const { peer, emitter } = await startWithPeer();
  await vi.waitUntil(() => emitter.stats().state === 'connected');
  count(0, 2_000);
  await emitter.flush();
  expect(peer.updates.map(({ seq, value }) => [seq, value])).toEqual(range(0, 2_000).map((n) => [n, n]));
  expect(peer.resent).toBe(0);
  expect(emitter.stats()).toMatchObject({ created: 2_000, acknowledged: 2_000, pending: 0, lost: {} });
});

describe('after a lost connection', () => {
  test('the same session goes on: what was not acknowledged is sent again, nothing is missing', async () => {
    const { peer, emitter, diagnostics } = await startWithPeer();
    count(0, 10);
    await emitter.flush();
    peer.answers = false;
    count(10, 20);
    await peer.updatesUntil(20);
    peer.terminate();
    await peer.until(() => peer.closed === 1);
    count(20, 30);
    peer.answers = true;
    await emitter.flush();

    expect(peer.updates.map(({ value }) => value)).toEqual(range(0, 30));
    const [first, second] = peer.hellos;
    expect(second?.idSeed).toBe(first?.idSeed);
    expect(second?.firstUnackedSeq).toBe(10);
    expect(emitter.stats()).toMatchObject({
      state: 'connected',
      created: 30,
      acknowledged: 30,
      pending: 0,
      lost: {},
    });
    expect(diagnostics.map(({ kind }) => kind)).toEqual(['disconnected']);
  });

  test('what a Welcome does not settle comes once more', async () => {
    const { peer, emitter } = await startWithPeer({}, (peer) => {
      peer.answers = false;
    });
    await peer.until(() => peer.hellos.length === 1);
    peer.welcome();
    count(0, 5);
    await peer.updatesUntil(5);
    peer.terminate();
    await peer.until(() => peer.hellos.length === 2);
    // The relay lost the five in a crash.
    peer.send({ welcome: { nextSeq: 0, credit: 100, heartbeatIntervalMs: 15_000 } });
    await peer.until(() => peer.resent === 5);
    peer.ack();
    await emitter.flush();
    expect(emitter.stats()).toMatchObject({ acknowledged: 5, pending: 0 });
  });
});

test('credit bounds what is in flight', async () => {
  const { peer, emitter } = await startWithPeer({}, (peer) => {
    peer.credit = 3;
    peer.answers = false;
  });
  await peer.until(() => peer.hellos.length === 1);
  peer.welcome();
  count(0, 10);
  await peer.updatesUntil(3);
  expect(emitter.stats()).toMatchObject({ pending: 10, acknowledged: 0 });
  peer.answers = true;
  peer.ack();
  await emitter.flush();
  expect(peer.updates.map(({ value }) => value)).toEqual(range(0, 10));
});

test('while the browser’s own send buffer is full, updates wait where they can be counted', async () => {
  const { peer, emitter } = await startWithPeer();
  await vi.waitUntil(() => emitter.stats().state === 'connected');
  count(0, 1);
  await emitter.flush();
  const buffered = vi.spyOn(WebSocket.prototype, 'bufferedAmount', 'get').mockReturnValue(1024 * 1024);
  onTestFinished(() => void vi.restoreAllMocks());
  count(1, 1_000);
  // Twice looked at, and found full.
  const looks = buffered.mock.calls.length;
  await vi.waitUntil(() => buffered.mock.calls.length >= looks + 2);
  expect(emitter.stats().pending).toBe(999);
  expect(peer.updates).toHaveLength(1);
  buffered.mockRestore();
  await emitter.flush();
  expect(peer.updates.map(({ value }) => value)).toEqual(range(0, 1_000));
});

test('a full queue loses the newest, says how many, and reports them to the relay', async () => {
  const { peer, emitter } = await startWithPeer({}, (peer) => {
    peer.answers = false;
  });
  await peer.until(() => peer.hellos.length === 1);
  count(0, 10_005);
  expect(emitter.stats()).toMatchObject({ created: 10_005, pending: 10_000, lost: { queue_full: 5 } });
  peer.answers = true;
  peer.welcome();
  await emitter.flush();
  await peer.until(() => peer.lost.length > 0);
  expect(peer.updates).toHaveLength(10_000);
  expect(peer.lost).toEqual([{ first: 10_000, last: 10_004, reason: 'LOST_REASON_QUEUE_FULL' }]);
  expect(emitter.stats()).toMatchObject({ acknowledged: 10_000, pending: 0, lost: { queue_full: 5 } });
});

test('what the relay rejects is lost as rejected', async () => {
  const { emitter } = await startWithPeer({}, (peer) => {
    peer.rejects = true;
  });
  count(0, 3);
  await emitter.flush();
  expect(emitter.stats()).toMatchObject({ created: 3, acknowledged: 0, pending: 0, lost: { rejected: 3 } });
});

describe('GoAway', () => {
  test('of a relay that drains: back when it said, and everything arrives', async () => {
    const { peer, emitter, diagnostics } = await startWithPeer();
    count(0, 3);
    await emitter.flush();
    peer.send({ goAway: { reason: 'GO_AWAY_REASON_SHUTDOWN', reconnectAfterMs: 100, message: 'draining' } });
    await peer.until(() => peer.closed === 1);
    expect(emitter.stats().state).toBe('waiting');
    // The network's return does not shorten what the relay asked for.
    const left = performance.now();
    window.dispatchEvent(new Event('online'));
    count(3, 6);
    await peer.until(() => peer.opened === 2);
    expect(performance.now() - left).toBeGreaterThan(50);
    await emitter.flush();
    expect(peer.updates.map(({ value }) => value)).toEqual(range(0, 6));
    expect(diagnostics).toEqual([{ kind: 'go_away', message: 'draining' }]);
  });

  test('for ever: pending and later updates are lost as rejected', async () => {
    const { peer, emitter, diagnostics } = await startWithPeer({}, (peer) => {
      peer.answers = false;
    });
    await peer.until(() => peer.hellos.length === 1);
    count(0, 2);
    peer.send({ goAway: { reason: 'GO_AWAY_REASON_UNAUTHORIZED', message: 'token: unknown' } });
    await emitter.flush();
    count(2, 3);
    expect(emitter.stats()).toEqual({
      state: 'stopped',
      created: 3,
      acknowledged: 0,
      pending: 0,
      lost: { rejected: 3 },
      lastTraceId: expect.any(String),
    });
    expect(diagnostics).toEqual([
      { kind: 'go_away', message: 'token: unknown' },
      { kind: 'rejected', message: expect.any(String) },
    ]);
  });
});

describe('what is no frame closes the connection, and another is tried', () => {
  test.each<[string, (peer: Awaited<ReturnType<typeof startWithPeer>>['peer']) => void]>([
    ['bytes', (peer) => peer.sendBytes(0x0a, 0xff)],
    ['a text message', (peer) => peer.sendText('{}')],
    ['an empty message', (peer) => peer.sendBytes()],
  ])('%s', async (_name, misbehave) => {
    const { peer, emitter, diagnostics } = await startWithPeer();
    await peer.until(() => peer.hellos.length === 1);
    misbehave(peer);
    await peer.until(() => peer.hellos.length === 2);
    count(0, 1);
    await emitter.flush();
    expect(emitter.stats()).toMatchObject({ acknowledged: 1 });
    expect(diagnostics[0]?.kind).toBe('protocol_error');
  });
});

test('a silent relay is asked, and left when it does not answer', async () => {
  const { peer } = await startWithPeer({}, (peer) => {
    peer.heartbeatMs = 1_000;
  });
  await peer.until(() => peer.frames.some(({ ping }) => ping !== undefined));
  await peer.until(() => peer.opened === 2);
});

describe('the page', () => {
  test('hidden: what is pending leaves at once', async () => {
    const { peer, emitter } = await startWithPeer();
    await vi.waitUntil(() => emitter.stats().state === 'connected');
    vi.spyOn(document, 'hidden', 'get').mockReturnValue(true);
    onTestFinished(() => void vi.restoreAllMocks());
    const sends = vi.spyOn(WebSocket.prototype, 'send');
    count(0, 1);
    expect(sends).not.toHaveBeenCalled();
    document.dispatchEvent(new Event('visibilitychange'));
    expect(sends).toHaveBeenCalledTimes(1);
    expect(await peer.updatesUntil(1)).toHaveLength(1);
  });

  test('in the back/forward cache: the socket closes, and the same session comes back', async () => {
    const { peer, emitter } = await startWithPeer();
    await vi.waitUntil(() => emitter.stats().state === 'connected');
    count(0, 1);
    window.dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }));
    await peer.until(() => peer.closed === 1);
    // It left with the update.
    expect(peer.updates).toHaveLength(1);
    expect(emitter.stats().state).toBe('waiting');
    count(1, 2);
    window.dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }));
    await emitter.flush();
    expect(peer.updates.map(({ value }) => value)).toEqual([0, 1]);
    expect(peer.hellos[1]?.idSeed).toBe(peer.hellos[0]?.idSeed);
  });
});

describe('flush', () => {
  test('settles at once when nothing is pending, and does not wait for later writes', async () => {
    const { peer, emitter } = await startWithPeer();
    await emitter.flush();
    await vi.waitUntil(() => emitter.stats().state === 'connected');
    peer.answers = false;
    count(0, 2);
    const flushed = emitter.flush();
    await peer.updatesUntil(2);
    count(2, 4);
    peer.ack(2);
    await flushed;
    expect(emitter.stats()).toMatchObject({ acknowledged: 2, pending: 2 });
  });
});

describe('shutdown', () => {
  test('sends what is pending, then Bye; later writes are plain and counted nowhere', async () => {
    const { peer, emitter } = await startWithPeer();
    count(0, 3);
    await emitter.shutdown();
    await peer.until(() => peer.closed === 1);
    expect(peer.updates).toHaveLength(3);
    expect(peer.frames.at(-1)?.bye).toEqual({ nextSeq: 3 });
    count(3, 5);
    expect(store.get(countAtom)).toBe(4);
    expect(emitter.stats()).toEqual({ state: 'stopped', created: 3, acknowledged: 3, pending: 0, lost: {} });
    await emitter.shutdown();
    await emitter.flush();
  });

  test('gives up on a relay that does not answer, and counts what it leaves behind', async () => {
    const { peer, emitter } = await startWithPeer({}, (peer) => {
      peer.answers = false;
    });
    await peer.until(() => peer.hellos.length === 1);
    count(0, 3);
    await emitter.shutdown();
    expect(emitter.stats()).toEqual({
      state: 'stopped',
      created: 3,
      acknowledged: 0,
      pending: 0,
      lost: { page_closed: 3 },
    });
    await peer.until(() => peer.closed === 1);
  });

  test('lets another emitter start', async () => {
    const first = await startWithPeer();
    count(0, 1);
    await first.emitter.shutdown();
    const second = await startWithPeer();
    count(1, 2);
    expect((await second.peer.updatesUntil(1))[0]).toMatchObject({ seq: 0, value: 1 });
    expect(second.peer.hellos[0]?.idSeed).not.toBe(first.peer.hellos[0]?.idSeed);
  });
});

test('a second startEmitter returns the running emitter and says so', async () => {
  const { peer, emitter, diagnostics } = await startWithPeer();
  const again = startEmitter({ url: 'ws://127.0.0.1:1/elsewhere', service: { name: 'again' } });
  count(0, 1);
  await again.flush();
  expect(again.stats()).toEqual(emitter.stats());
  expect(peer.updates).toHaveLength(1);
  expect(diagnostics.map(({ kind }) => kind)).toEqual(['already_started']);
});

test('keys beyond the table of keys travel in full', async () => {
  const { peer, emitter } = await startWithPeer();
  await vi.waitUntil(() => emitter.stats().state === 'connected');
  const keys = range(0, 1_030).map((index) => `key ${index}`);
  for (const key of keys) store.set(atomWithTracing(key, 0), 1);
  await emitter.flush();
  expect(peer.updates.map(({ key }) => key)).toEqual(keys);
});
