import { atomWithTracing } from 'atomwire/jotai';
import { createStore } from 'jotai';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { startWithPeer } from '../peer/startWithPeer.ts';

const HOUR = 3_600_000;

const store = createStore();
const countAtom = atomWithTracing('count', 0);

function set(count: number): void {
  store.set(countAtom, count);
}

/** The wall clock's time becomes another, while `performance.now()` knows nothing of it: by so many milliseconds. */
function jump(millis: number): void {
  const now = Date.now;
  vi.spyOn(Date, 'now').mockImplementation(() => now() + millis);
  onTestFinished(() => void vi.restoreAllMocks());
}

/** An emitter that is connected, and has no timer but one that is an hour away. */
async function startAtRest(): ReturnType<typeof startWithPeer> {
  const started = await startWithPeer({}, (peer) => {
    peer.heartbeatMs = HOUR;
  });
  const { emitter } = started;
  await vi.waitUntil(() => emitter.stats().state === 'connected');
  // It leaves by a timer, in whose place comes the one for the heartbeat.
  set(1);
  await vi.waitUntil(() => emitter.stats().acknowledged === 1);
  return started;
}

/** An emitter whose sockets never open. */
async function startWithoutAnswer() {
  const sockets: object[] = [];
  class Silent {
    constructor() {
      sockets.push(this);
    }
    close() {}
  }
  onTestFinished(() => void vi.unstubAllGlobals());
  const { emitter } = await startWithPeer({}, () => {
    vi.stubGlobal('WebSocket', Silent);
  });
  await vi.waitUntil(() => sockets.length === 1);
  return { emitter, sockets };
}

test('a clock that drifts hangs nothing up', async () => {
  const { peer, emitter } = await startWithPeer();
  const now = Date.now;
  let drift = 0;
  vi.spyOn(Date, 'now').mockImplementation(() => now() + drift);
  onTestFinished(() => void vi.restoreAllMocks());
  for (let count = 1; count <= 6; count++) {
    drift += 400;
    set(count);
    await emitter.flush();
  }
  expect(peer.opened).toBe(1);
  expect(emitter.stats()).toMatchObject({ state: 'connected', acknowledged: 6 });
});

describe('the machine slept', () => {
  test('times follow the wall clock, on a new connection', async () => {
    const { peer, emitter } = await startWithPeer();
    set(0);
    await emitter.flush();
    jump(HOUR);
    // The app is the first to run again.
    set(1);
    await emitter.flush();
    const [before, after] = peer.updates;
    expect(((after?.start ?? 0) - (before?.start ?? 0)) / 1_000).toBeGreaterThan(HOUR - 1_000);
    expect(peer.opened).toBe(2);
  });

  test('a socket that was being opened is left for another', async () => {
    const { emitter, sockets } = await startWithoutAnswer();
    jump(HOUR);
    emitter.stats();
    await vi.waitUntil(() => sockets.length === 2, 5_000);
  });

  test('a frozen page stays without a connection until it is back', async () => {
    const { peer, emitter } = await startAtRest();
    document.dispatchEvent(new Event('freeze'));
    await peer.until(() => peer.closed === 1);
    const tries = vi.spyOn(window, 'WebSocket');
    jump(HOUR);
    emitter.stats();
    // A timer of the emitter's would come before this one.
    await new Promise((resolve) => setTimeout(resolve, 0));
    expect(tries).not.toHaveBeenCalled();
    document.dispatchEvent(new Event('resume'));
    await peer.until(() => peer.opened === 2);
  });

  test('what is over stays over', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    const { emitter, sockets } = await startWithoutAnswer();
    const stopped = emitter.shutdown();
    await vi.advanceTimersByTimeAsync(0);
    jump(HOUR);
    emitter.stats();
    // Longer than any timer that was set before.
    await vi.advanceTimersByTimeAsync(60_000);
    await stopped;
    expect(sockets).toHaveLength(1);
  });
});

describe.each([
  ['forward', 2 * HOUR],
  ['back', -2 * HOUR],
])('the clock was set %s: whoever looks first,', (_name, millis) => {
  test('the connection is made anew', async () => {
    const { peer, emitter } = await startAtRest();
    jump(millis);
    emitter.stats();
    await peer.until(() => peer.opened === 2);
  });

  test('a wait is over', async () => {
    const { peer, emitter } = await startAtRest();
    peer.send({ goAway: { reason: 'GO_AWAY_REASON_SHUTDOWN', reconnectAfterMs: HOUR } });
    await peer.until(() => peer.closed === 1);
    jump(millis);
    emitter.stats();
    await peer.until(() => peer.opened === 2);
  });
});
