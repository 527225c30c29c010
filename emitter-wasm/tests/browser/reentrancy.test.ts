import { atomWithTracing } from 'atomwire/jotai';
import { createStore } from 'jotai';
import { expect, onTestFinished, test, vi } from 'vitest';
import { startWithPeer } from '../peer/startWithPeer.ts';

// As every library that watches a page does: each patch writes down in an atom that it was called.
const store = createStore();
const countAtom = atomWithTracing('count', 0);
const noteAtom = atomWithTracing('note', '');

let writing = false;
/** In place of `target[name]`, which is called all the same. */
function patch<Target extends object>(target: Target, name: keyof Target & string): void {
  const original = target[name] as (...args: unknown[]) => unknown;
  vi.spyOn(target, name as never).mockImplementation(function (this: unknown, ...args: unknown[]) {
    if (!writing) {
      writing = true;
      store.set(noteAtom, name);
      writing = false;
    }
    return original.apply(this, args);
  } as never);
  onTestFinished(() => void vi.restoreAllMocks());
}

test.each<[string, () => void]>([
  ['send', () => patch(WebSocket.prototype, 'send')],
  ['close', () => patch(WebSocket.prototype, 'close')],
  ['setTimeout', () => patch(window, 'setTimeout')],
  ['clearTimeout', () => patch(window, 'clearTimeout')],
  ['now', () => patch(performance, 'now')],
  ['encodeInto', () => patch(TextEncoder.prototype, 'encodeInto')],
])('an app whose %s writes a traced atom traps nothing, and loses nothing', async (name, apply) => {
  const { peer, emitter, diagnostics } = await startWithPeer();
  await vi.waitUntil(() => emitter.stats().state === 'connected');
  apply();
  for (let count = 1; count <= 300; count++) store.set(countAtom, count);
  await peer.until(() => peer.updates.filter(({ key }) => key === 'count').length === 300);
  peer.terminate();
  await peer.until(() => peer.hellos.length === 2);
  store.set(countAtom, 301);
  await emitter.flush();
  vi.restoreAllMocks();
  await emitter.flush();
  const written = peer.updates.filter(({ key }) => key === 'count').map(({ value }) => value);
  expect(written).toEqual(Array.from({ length: 301 }, (_, index) => index + 1));
  const { created, acknowledged, pending, lost } = emitter.stats();
  expect({ acknowledged, pending, lost }).toEqual({ acknowledged: created, pending: 0, lost: {} });
  expect(peer.updates.some(({ value }) => value === name)).toBe(true);
  // What the patch writes wakes the emitter, whose timer calls the patch: that must not grow.
  expect(created).toBeLessThan(1_500);
  expect(diagnostics.map(({ kind }) => kind)).toEqual(['disconnected']);
});

test('an app whose fetch writes a traced atom, when the page goes', async () => {
  const { peer, emitter, diagnostics } = await startWithPeer({}, (peer) => {
    peer.answers = false;
  });
  await peer.until(() => peer.hellos.length === 1);
  patch(window, 'fetch');
  store.set(countAtom, 1);
  window.dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }));
  await peer.until(() => peer.requests.length === 1);
  peer.answers = true;
  window.dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }));
  await peer.updatesUntil(2);
  await emitter.flush();
  expect(peer.updates.map(({ value }) => value)).toEqual([1, 'fetch']);
  expect(emitter.stats()).toMatchObject({ created: 2, acknowledged: 2, lost: {} });
  expect(diagnostics).toEqual([]);
});

test('what asks for the account in the middle of a send is answered', async () => {
  const { emitter } = await startWithPeer();
  await vi.waitUntil(() => emitter.stats().state === 'connected');
  const { send } = WebSocket.prototype;
  const seen: number[] = [];
  vi.spyOn(WebSocket.prototype, 'send').mockImplementation(function (this: WebSocket, data) {
    seen.push(emitter.stats().created);
    void emitter.flush();
    send.call(this, data as ArrayBuffer);
  });
  onTestFinished(() => void vi.restoreAllMocks());
  store.set(countAtom, 1);
  await emitter.flush();
  expect(new Set(seen)).toEqual(new Set([1]));
  expect(emitter.stats()).toMatchObject({ created: 1, acknowledged: 1, lost: {} });
});

test('what writes and asks for the account while texts cross into the module mixes nothing up', async () => {
  const { peer, emitter } = await startWithPeer();
  await vi.waitUntil(() => emitter.stats().state === 'connected');
  const { encodeInto } = TextEncoder.prototype;
  let again = 3;
  vi.spyOn(TextEncoder.prototype, 'encodeInto').mockImplementation(function (this: TextEncoder, text, bytes) {
    const result = encodeInto.call(this, text, bytes);
    if (again-- > 0) {
      store.set(noteAtom, `in between ${again}`);
      emitter.stats();
    }
    return result;
  });
  onTestFinished(() => void vi.restoreAllMocks());
  for (let count = 100; count < 110; count++) store.set(countAtom, count);
  await emitter.flush();
  vi.restoreAllMocks();
  await emitter.flush();
  const written = peer.updates.filter(({ key }) => key === 'count').map(({ value }) => value);
  expect(written).toEqual(Array.from({ length: 10 }, (_, index) => 100 + index));
  expect(peer.updates.filter(({ key }) => key === 'note').map(({ value }) => value)).toEqual([
    'in between 2',
    'in between 1',
    'in between 0',
  ]);
  const { created, acknowledged, lost } = emitter.stats();
  expect({ created, acknowledged, lost }).toEqual({ created: 13, acknowledged: 13, lost: {} });
});
