import { type EmitterStats, startEmitter } from 'atomwire';
import { atomWithTracing } from 'atomwire/jotai';
import { createStore } from 'jotai';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { startWithPeer } from '../peer/startWithPeer.ts';

const store = createStore();
const valueAtom = atomWithTracing<unknown>('value', 0);

function set(...values: unknown[]): void {
  for (const value of values) store.set(valueAtom, value);
}

/** The account, once it has been seen to balance. */
function balanced({ stats }: { stats(): EmitterStats }): EmitterStats {
  const account = stats();
  const lost = Object.values(account.lost).reduce((sum, count) => sum + count, 0);
  expect(account.created).toBe(account.acknowledged + account.pending + lost);
  return account;
}

/** Nothing can be left for another page. */
function withoutStorage(): void {
  vi.spyOn(Storage.prototype, 'setItem').mockImplementation(() => {
    throw new Error('denied');
  });
  onTestFinished(() => void vi.restoreAllMocks());
}

/** With a relay that says nothing until it is told to. */
function startSilent(options: Parameters<typeof startWithPeer>[0]) {
  return startWithPeer(options, (peer) => {
    peer.answers = false;
  });
}

describe('each reason of loss is counted, told once, and reported', () => {
  test('queue_full, by updates', async () => {
    const { peer, emitter, diagnostics } = await startSilent({ queue: { maxUpdates: 3 } });
    await peer.until(() => peer.hellos.length === 1);
    set(1, 2, 3, 4, 5);
    expect(balanced(emitter)).toMatchObject({ pending: 3, lost: { queue_full: 2 } });
    peer.answers = true;
    peer.welcome();
    await emitter.flush();
    await peer.until(() => peer.lost.length > 0);
    expect(peer.updates.map(({ value }) => value)).toEqual([1, 2, 3]);
    expect(peer.lost).toEqual([{ first: 3, last: 4, reason: 'LOST_REASON_QUEUE_FULL' }]);
    expect(diagnostics.map(({ kind }) => kind)).toEqual(['queue_full']);
    expect(diagnostics[0]?.message).toMatch(/\w{4}/);
  });

  test('queue_full, by bytes', async () => {
    const { peer, emitter } = await startSilent({ queue: { maxBytes: 1_000 } });
    await peer.until(() => peer.hellos.length === 1);
    set('x'.repeat(600), 'y'.repeat(600), 1);
    expect(balanced(emitter)).toMatchObject({ pending: 2, lost: { queue_full: 1 } });
  });

  test('queue_full, by bytes: until something is settled all is lost, and not even looked at', async () => {
    const { peer, emitter } = await startSilent({ queue: { maxBytes: 1_000 } });
    await peer.until(() => peer.hellos.length === 1);
    for (const char of 'xy') {
      set(char.repeat(600));
      emitter.stats();
    }
    const toJSON = vi.fn(() => 1);
    set({ toJSON });
    expect(balanced(emitter)).toMatchObject({ pending: 1, lost: { queue_full: 2 } });
    expect(toJSON).not.toHaveBeenCalled();
    peer.answers = true;
    peer.welcome();
    await emitter.flush();
    set({ toJSON });
    await emitter.flush();
    expect(balanced(emitter)).toMatchObject({ acknowledged: 2, pending: 0, lost: { queue_full: 2 } });
    expect(toJSON).toHaveBeenCalled();
  });

  test('queue_full, the oldest where the present counts', async () => {
    const { peer, emitter } = await startSilent({ queue: { maxUpdates: 3, whenFull: 'drop_oldest' } });
    await peer.until(() => peer.hellos.length === 1);
    set(1, 2, 3, 4, 5);
    expect(balanced(emitter)).toMatchObject({ pending: 3, lost: { queue_full: 2 } });
    peer.answers = true;
    peer.welcome();
    await emitter.flush();
    expect(peer.updates.map(({ value }) => value)).toEqual([3, 4, 5]);
    expect(peer.lost).toEqual([{ first: 0, last: 1, reason: 'LOST_REASON_QUEUE_FULL' }]);
  });

  test('too_large', async () => {
    const { peer, emitter, diagnostics } = await startWithPeer();
    await vi.waitUntil(() => emitter.stats().state === 'connected');
    set('x'.repeat(300_000), 'ä'.repeat(200_000), 1);
    await peer.updatesUntil(1);
    await peer.until(() => peer.lost.length > 0);
    expect(peer.lost).toEqual([{ first: 0, last: 1, reason: 'LOST_REASON_TOO_LARGE' }]);
    expect(balanced(emitter)).toMatchObject({ lost: { too_large: 2 } });
    expect(diagnostics.map(({ kind }) => kind)).toEqual(['too_large']);
  });

  test('not_serializable, where the app asks for it', async () => {
    const { peer, emitter, diagnostics } = await startWithPeer({ unserializable: 'drop' });
    await vi.waitUntil(() => emitter.stats().state === 'connected');
    const failing = atomWithTracing<unknown>('failing', 0);
    set(1n, undefined, 2);
    store.set(
      failing,
      Promise.reject(new Error('no')).catch((error) => Promise.reject(error)),
    );
    await Promise.resolve(store.get(failing)).catch(() => {});
    await peer.updatesUntil(2);
    expect(peer.updates.map(({ key, value, error }) => [key, value, error?.message])).toEqual([
      ['value', 2, undefined],
      ['failing', undefined, 'no'],
    ]);
    expect(peer.lost).toEqual([{ first: 0, last: 1, reason: 'LOST_REASON_NOT_SERIALIZABLE' }]);
    expect(balanced(emitter)).toMatchObject({ lost: { not_serializable: 2 } });
    expect(diagnostics.map(({ kind }) => kind)).toEqual(['not_serializable']);
  });

  test('page_closed, where no next page can know', async () => {
    withoutStorage();
    const { peer, emitter, diagnostics } = await startSilent({});
    await peer.until(() => peer.hellos.length === 1);
    set(...Array.from({ length: 10 }, () => 'x'.repeat(20_000)));
    window.dispatchEvent(new PageTransitionEvent('pagehide', { persisted: false }));
    await peer.until(() => peer.requests.length === 1);
    const [hello, ...rest] = peer.requests[0] ?? [];
    expect(hello?.hello?.idSeed).toBe(peer.hellos[0]?.idSeed);
    const sent = rest.flatMap(({ batch }) => batch?.updates ?? []).length;
    expect(rest.flatMap(({ batch }) => batch?.lost ?? [])).toEqual([
      { first: sent, last: 9, reason: 'LOST_REASON_PAGE_CLOSED' },
    ]);
    expect(rest.at(-1)?.bye).toEqual({ nextSeq: 10 });
    expect(balanced(emitter).lost).toEqual({ page_closed: 10 - sent });
    expect(diagnostics.map(({ kind }) => kind)).toEqual(['page_closed']);
  });

  test('rejected', async () => {
    const { emitter, diagnostics } = await startWithPeer({}, (peer) => {
      peer.rejects = true;
    });
    set(1, 2);
    await emitter.flush();
    expect(balanced(emitter).lost).toEqual({ rejected: 2 });
    await vi.waitUntil(() => diagnostics.length > 0);
    expect(diagnostics.map(({ kind }) => kind)).toEqual(['rejected']);
  });
});

test('a value that JSON cannot hold is sent without it by default', async () => {
  const { peer, emitter } = await startWithPeer();
  set(1n);
  const [update] = await peer.updatesUntil(1);
  expect(update).toMatchObject({ omitted: true });
  await emitter.flush();
  expect(balanced(emitter)).toMatchObject({ acknowledged: 1, lost: {} });
});

test.each([
  { queue: { maxUpdates: 0 } },
  { queue: { maxUpdates: 1_000_001 } },
  { queue: { maxUpdates: 1.5 } },
  { queue: { maxBytes: -1 } },
  { queue: { maxBytes: 256 * 1024 * 1024 + 1 } },
  { queue: { whenFull: 'never' as 'drop_oldest' } },
  { unserializable: 'throw' as 'drop' },
])('of $0 the default is used, and a diagnostic names field and limit', async (options) => {
  const { peer, emitter, diagnostics } = await startSilent(options);
  await peer.until(() => peer.hellos.length === 1);
  set(...Array.from({ length: 100 }, (_, index) => index));
  expect(balanced(emitter)).toMatchObject({ pending: 100 });
  const field = Object.keys(options.queue ?? options)[0];
  expect(diagnostics).toEqual([
    { kind: 'invalid_options', message: expect.stringMatching(new RegExp(`${field}.*(1 to \\d+|or ')`)) },
  ]);
});

test('options that are no options at all fail nothing but themselves', async () => {
  const { emitter, diagnostics, peer } = await startWithPeer({ queue: null as unknown as object });
  set(1);
  await peer.updatesUntil(1);
  expect(balanced(emitter).created).toBe(1);
  expect(diagnostics).toEqual([]);
});

test('however often something happens, it is told once', async () => {
  const { peer, emitter, diagnostics } = await startWithPeer();
  for (let opened = 1; opened < 4; opened++) {
    await vi.waitUntil(() => emitter.stats().state === 'connected');
    peer.terminate();
    await peer.until(() => peer.opened > opened);
  }
  startEmitter({ url: peer.url, service: { name: 'again' } });
  startEmitter({ url: peer.url, service: { name: 'again' } });
  await Promise.resolve();
  expect(diagnostics.map(({ kind }) => kind)).toEqual(['disconnected', 'already_started']);
});

test('shutdown leaves what it could not send to a last request, and says how it ended', async () => {
  withoutStorage();
  const { peer, emitter } = await startSilent({});
  await peer.until(() => peer.hellos.length === 1);
  set(1, 2);
  await emitter.shutdown();
  await peer.until(() => peer.requests.length === 1);
  expect(peer.requests[0]?.flatMap(({ batch }) => batch?.updates ?? [])).toHaveLength(2);
  expect(peer.requests[0]?.at(-1)?.bye).toEqual({ nextSeq: 2 });
});

test('where the next page closes the books, the last request leaves them open', async () => {
  const { peer, emitter } = await startSilent({});
  await peer.until(() => peer.hellos.length === 1);
  set(...Array.from({ length: 10 }, () => 'x'.repeat(20_000)));
  window.dispatchEvent(new PageTransitionEvent('pagehide', { persisted: false }));
  await peer.until(() => peer.requests.length === 1);
  const [, ...rest] = peer.requests[0] ?? [];
  expect(rest.flatMap(({ batch }) => batch?.updates ?? []).length).toBeGreaterThan(0);
  expect(rest.flatMap(({ batch }) => batch?.lost ?? [])).toEqual([]);
  expect(rest.some(({ bye }) => bye !== undefined)).toBe(false);
  expect(balanced(emitter)).toMatchObject({ pending: 10, lost: {} });
});
