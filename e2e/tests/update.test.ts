import { expect } from 'vitest';
import { test } from '../lib/test.ts';
import { expectOneTree, expectPath, only } from '../lib/traces.ts';
import { until } from '../lib/until.ts';

test('one click is one trace of five spans, and a row', async ({ demo, relay, consumer, database }) => {
  await demo.getByRole('button', { name: 'Add Maguro nigiri to cart' }).click();

  const [row] = await database.arrived(1);
  expect(row).toMatchObject({ key: 'cart', seq: 0, error: null });
  expect(JSON.parse(String(row?.value))).toEqual([{ dish: 'maguro-nigiri', quantity: 1 }]);

  const traceId = String(row?.trace_id);
  await until('five spans', async () => (await relay.trace(traceId)).length >= 5);
  // What else it might export goes out at its end.
  await consumer.stop();
  expect(await relay.traces()).toMatchObject([{ traceId, spans: 5, keys: ['cart'] }]);
  const spans = await relay.trace(traceId);
  expectOneTree(spans);
  const root = only(spans, { parent: undefined });
  expect(root.attributes).toMatchObject({ 'atomwire.session.id': row?.session, 'atomwire.seq': 0 });
  expectPath(spans, root, 'ituna-web');
});

test('a write made by a traced asynchronous write is its child', async ({
  demo,
  relay,
  consumer,
  database,
}) => {
  await demo.getByRole('button', { name: 'Add Miso soup to cart' }).click();
  await demo.getByRole('button', { name: 'Place order' }).click();

  const rows = await database.arrived(3);
  // The order's own write ends last, after the cart's that it makes once the kitchen has answered.
  expect(rows.map((row) => row.key)).toEqual(['cart', 'cart', 'order']);
  expect(rows[1]?.value).toBe('[]');
  const traceId = String(rows[2]?.trace_id);
  expect(rows[1]?.trace_id).toBe(traceId);
  expect(rows[0]?.trace_id).not.toBe(traceId);

  await until('ten spans', async () => (await relay.trace(traceId)).length >= 10);
  await consumer.stop();
  const spans = await relay.trace(traceId);
  expect(spans).toHaveLength(10);
  expectOneTree(spans);
  const order = only(spans, { parent: undefined });
  expect(order.attributes['atomwire.key']).toBe('order');
  const cart = only(spans, { name: 'Jotai State Update: cart' });
  expect(cart.parent).toBe(order.id);
  expect(cart.end).toBeLessThanOrEqual(order.end);
  expectPath(
    spans.filter((span) => span.id !== cart.id),
    order,
    'ituna-web',
  );
  expectPath(spans, cart, 'ituna-web');
});

test('a refused order is a failed write, in trace and row', async ({ demo, relay, database }) => {
  for (let servings = 0; servings < 13; servings += 1) {
    await demo.getByRole('button', { name: 'Add Miso soup to cart' }).click();
  }
  await demo.getByRole('button', { name: 'Place order' }).click();
  const row = await until('the order', async () =>
    (await database.updates()).find((row) => row.key === 'order'),
  );
  expect(row.error).toBe('KitchenFullError');
  await until('five spans', async () => (await relay.trace(row.trace_id)).length >= 5);
  const spans = await relay.trace(row.trace_id);
  const root = only(spans, { parent: undefined });
  expect(root).toMatchObject({ status: 'error', attributes: { 'error.type': 'KitchenFullError' } });
  expectPath(spans, root, 'ituna-web');
  // The message reached its row all the same.
  expect(spans.filter((span) => span.status === 'error')).toEqual([root]);
});

test('a change of preferences arrives', async ({ demo, relay, database }) => {
  const before = await demo.getByRole('switch', { name: 'Dark theme' }).getAttribute('aria-checked');
  expect(before).toBe('false');
  await demo.getByRole('switch', { name: 'Dark theme' }).click();
  await demo.getByRole('switch', { name: 'Notifications' }).click();

  const rows = await database.arrived(2);
  expect(rows.map((row) => row.key)).toEqual(['userPreferences', 'userPreferences']);
  expect(rows.map((row) => JSON.parse(String(row.value)))).toEqual([
    { theme: 'dark', notifications: true },
    { theme: 'dark', notifications: false },
  ]);
  for (const { trace_id } of rows) {
    await until('five spans', async () => (await relay.trace(trace_id)).length >= 5);
    const spans = await relay.trace(trace_id);
    expectPath(spans, only(spans, { parent: undefined }), 'ituna-web');
  }
});
