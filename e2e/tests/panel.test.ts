import { expect } from 'vitest';
import { type Panel, readPanel } from '../lib/panel.ts';
import { test } from '../lib/test.ts';
import { until } from '../lib/until.ts';

test('the panel counts, and its link leads to the trace', async ({ demo, relay }) => {
  await until('connected', async () => (await readPanel(demo)).state === 'connected');
  expect(await readPanel(demo)).toMatchObject({ created: 0, acknowledged: 0, pending: 0, lost: 0 });

  await demo.getByRole('button', { name: 'Add Ikura gunkan to cart' }).click();
  await until('acknowledged', async () => (await readPanel(demo)).acknowledged === 1);
  expect(await readPanel(demo)).toMatchObject({ created: 1, pending: 0, lost: 0, reasons: '' });

  const popup = demo.waitForEvent('popup');
  await demo.getByRole('link', { name: 'Trace of the last write' }).click();
  const view = await popup;
  await until('five bars', async () => (await view.getByRole('treeitem').count()) === 5);
  const [trace] = await relay.traces();
  expect(new URL(view.url()).pathname).toBe(`/traces/${trace?.traceId}`);
  expect(await view.getByRole('heading', { level: 1 }).textContent()).toContain('Jotai State Update: cart');
});

test('what is written without a relay waits, and leaves when it is back', async ({
  demo,
  complaints,
  relay,
  database,
}) => {
  const shows = async (what: string, wanted: Partial<Panel>) =>
    until(what, async () => {
      const panel = await readPanel(demo);
      return Object.entries(wanted).every(([name, value]) => panel[name as keyof Panel] === value);
    });
  await shows('connected', { state: 'connected' });
  await demo.getByRole('button', { name: 'Add Miso soup to cart' }).click();
  await shows('one acknowledged', { created: 1, acknowledged: 1 });

  await relay.stop();
  for (let pending = 1; pending <= 3; pending += 1) {
    await demo.getByRole('button', { name: 'Add Matcha mochi to cart' }).click();
    await shows(`${pending} pending`, { created: 1 + pending, acknowledged: 1, pending, lost: 0 });
  }
  expect((await readPanel(demo)).state).not.toBe('connected');

  await demo.evaluate(() => Object.assign(window, { notReloaded: true }));
  await relay.start();
  await shows('all acknowledged', { state: 'connected', created: 4, acknowledged: 4, pending: 0, lost: 0 });
  await demo.getByRole('button', { name: 'Remove one Miso soup' }).click();
  await until('the last row', async () => (await database.updates()).at(-1)?.seq === 4);
  expect(await demo.evaluate(() => 'notReloaded' in window)).toBe(true);
  // Each kind once, for the whole outage.
  const kinds = complaints.diagnostics.map((diagnostic) => diagnostic.split(':')[0]);
  expect(kinds).toEqual(['go_away', 'disconnected']);
});
