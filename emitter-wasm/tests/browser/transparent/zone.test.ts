import { context, trace } from '@opentelemetry/api';
import { ZoneContextManager } from '@opentelemetry/context-zone';
import { atomWithTracing, traced } from 'atomwire/jotai';
import { atom, createStore } from 'jotai';
import { beforeAll, expect, test } from 'vitest';
import { startWithPeer } from '../../peer/startWithPeer.ts';
import { sameForAnyProgram } from './sameForAnyProgram.ts';

// zone.js, which it brings, replaces `Promise` and patches the engine's own.
beforeAll(() => {
  context.setGlobalContextManager(new ZoneContextManager().enable());
});

/** Takes time. As compilers for zone.js have it, with the `Promise` of the page: it cannot see into `async`. */
function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 30));
}

test('`Promise` is zone.js’s own', () => {
  expect((async () => {})()).not.toBeInstanceOf(Promise);
});

test('a promise is recorded with what it settles to, when it does', async () => {
  const { peer } = await startWithPeer();
  const store = createStore();
  const dishAtom = atomWithTracing<unknown>('dish', undefined);
  for (const make of [() => pause().then(() => 'roll'), async () => pause().then(() => 'soup')]) {
    const promise = make();
    store.set(dishAtom, promise);
    expect(store.get(dishAtom)).toBe(promise);
    await store.get(dishAtom);
  }
  const updates = await peer.updatesUntil(2);
  expect(updates.map(({ value }) => value)).toEqual(['roll', 'soup']);
  for (const { duration } of updates) expect(duration).toBeGreaterThan(20_000);
});

test('a promise that nobody takes up is recorded, too', async () => {
  const { peer } = await startWithPeer();
  const store = createStore();
  const dishAtom = atomWithTracing<unknown>('dish', undefined);
  store.set(dishAtom, Promise.resolve('roll'));
  store.set(dishAtom, (async () => 'soup')());
  const updates = await peer.updatesUntil(2);
  expect(updates.map(({ value }) => value).sort()).toEqual(['roll', 'soup']);
});

test('an asynchronous write lasts as long as it does, under the app’s active span', async () => {
  const active = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), traceFlags: 1 };
  const { peer, ids } = await startWithPeer({ parentContext: () => trace.getActiveSpan()?.spanContext() });
  const store = createStore();
  const cartAtom = atomWithTracing('cart', 0);
  const orderAtom = traced(
    atom(null, (_get, set) => pause().then(() => set(cartAtom, 1))),
    'order',
  );
  const span = trace.wrapSpanContext(active);
  await context.with(trace.setSpan(context.active(), span), () => store.set(orderAtom));
  const [cart, order] = await peer.updatesUntil(2);
  expect(order?.duration).toBeGreaterThan(20_000);
  expect(order?.parent).toMatchObject({ traceId: active.traceId, spanId: active.spanId });
  expect(cart?.parent?.spanId).toBe(ids(order?.position ?? -1).spanId);
});

test('any program shows the same', { timeout: 60_000 }, async () => {
  await startWithPeer();
  await sameForAnyProgram(3);
});
