import type { Page } from 'playwright-core';
import { expect } from 'vitest';
import type { Relay } from '../lib/relay.ts';
import { test as base } from '../lib/test.ts';
import { until } from '../lib/until.ts';

/** The trace view, with nothing in it yet. */
const test = base.extend('view', async ({ context, complaints, relay, onTestFinished }) => {
  const view = await context.newPage();
  onTestFinished(() => expect(complaints.errors).toEqual([]));
  await view.goto(`${relay.url}/traces`);
  await until('live', async () => (await view.getByRole('status').textContent()) === 'Live');
  return view;
});

const lines = (view: Page) => view.getByRole('list', { name: 'Traces' }).getByRole('link');
const bars = (view: Page) => view.getByRole('tree', { name: 'Spans' }).getByRole('treeitem');
const focused = (view: Page) => view.evaluate(() => document.activeElement?.getAttribute('aria-label'));

/** Waits until the relay has this many whole traces. */
async function arrived(relay: Relay, count: number): Promise<void> {
  await until(`${count} traces of five spans`, async () => {
    const traces = await relay.traces();
    return traces.length === count && traces.every((trace) => trace.spans === 5);
  });
}

test('a trace shows up by itself, and opens and closes by keyboard alone', async ({ view, demo, relay }) => {
  expect(await lines(view).count()).toBe(0);
  expect(await view.getByRole('heading', { level: 1 }).textContent()).toBe('Waiting for the first trace');
  await demo.getByRole('button', { name: 'Add Maguro nigiri to cart' }).click();
  await arrived(relay, 1);
  // A tab in the background is quiet.
  await view.bringToFront();
  const name = /^Jotai State Update: cart, .*5 spans, ituna-web, atomwire-relay, atomwire-consumer, cart$/;
  await until('the line', async () => (await lines(view).count()) === 1);
  await until('all of it', async () => name.test((await lines(view).getAttribute('aria-label')) ?? ''));

  await view.keyboard.press('ArrowDown');
  expect(await focused(view)).toMatch(name);
  await view.keyboard.press('Enter');
  await until('five bars', async () => (await bars(view).count()) === 5);
  const [trace] = await relay.traces();
  expect(new URL(view.url()).pathname).toBe(`/traces/${trace?.traceId}`);
  const labels = await bars(view).evaluateAll((rows) => rows.map((row) => row.ariaLabel));
  const levels = await bars(view).evaluateAll((rows) => rows.map((row) => row.ariaLevel));
  expect(levels).toEqual(['1', '2', '3', '4', '5']);
  for (const [index, start] of [
    'Jotai State Update: cart, ituna-web, client',
    'relay receive, atomwire-relay, server',
    'send atom-updates, atomwire-relay, producer',
    'process atom-updates, atomwire-consumer, consumer',
    'INSERT ',
  ].entries()) {
    expect(labels[index]?.slice(0, start.length)).toBe(start);
    expect(labels[index]).not.toMatch(/clocks differ|not been received|error/);
  }

  // The waterfall has the focus; the details follow it, and the root's hold the value.
  const details = view.getByRole('region', { name: 'Span details' });
  expect(await focused(view)).toBe(labels[0]);
  expect(await details.textContent()).toContain('maguro-nigiri');
  for (const label of labels.slice(1)) {
    await view.keyboard.press('ArrowDown');
    expect(await focused(view)).toBe(label);
  }
  expect(await details.textContent()).toContain('INSERT atomwire_updates');
  // Folds, unfolds.
  await view.keyboard.press('Home');
  await view.keyboard.press('ArrowLeft');
  expect(await bars(view).count()).toBe(1);
  await view.keyboard.press('ArrowRight');
  expect(await bars(view).count()).toBe(5);

  await view.keyboard.press('Escape');
  expect(new URL(view.url()).pathname).toBe('/traces');
  expect(await bars(view).count()).toBe(0);
  expect(await focused(view)).toMatch(name);
  await view.goBack();
  await until('five bars again', async () => (await bars(view).count()) === 5);
});

test('filters by key and by service', async ({ view, demo, relay, consumer }) => {
  await demo.getByRole('button', { name: 'Add Miso soup to cart' }).click();
  await demo.getByRole('switch', { name: 'Dark theme' }).click();
  await arrived(relay, 2);
  await view.bringToFront();
  const shown = async (...keys: string[]) =>
    until(`traces of ${keys.join(' and ') || 'nothing'}`, async () => {
      const labels = await lines(view).evaluateAll((links) => links.map((link) => link.ariaLabel ?? ''));
      return labels.length === keys.length && keys.every((key, at) => labels[at]?.endsWith(`, ${key}`));
    });
  await shown('userPreferences', 'cart');

  // From the keyboard: / goes to the filter, Escape out of it.
  await view.keyboard.press('/');
  await view.keyboard.type('pref');
  await shown('userPreferences');
  await view.keyboard.press('Escape');
  await shown('userPreferences', 'cart');
  await view.keyboard.press('/');
  await view.keyboard.type('nothing of that name');
  await shown();
  await view.keyboard.press('Escape');

  const service = view.getByRole('combobox', { name: 'Service' });
  expect(await service.getByRole('option').allTextContents()).toEqual([
    'All services',
    'atomwire-consumer',
    'atomwire-relay',
    'ituna-web',
  ]);
  // A trace without the consumer: it has been stopped.
  await consumer.stop();
  await demo.bringToFront();
  await demo.getByRole('switch', { name: 'Notifications' }).click();
  await until('three traces', async () => (await relay.traces()).length === 3);
  await view.bringToFront();
  await shown('userPreferences', 'userPreferences', 'cart');
  await service.selectOption('atomwire-consumer');
  await shown('userPreferences', 'cart');
  await service.selectOption('ituna-web');
  await shown('userPreferences', 'userPreferences', 'cart');
});

test('a link to a trace opens it, whether it has arrived or not', async ({ context, demo, relay }) => {
  const unknown = 'ab'.repeat(16);
  const view = await context.newPage();
  await view.goto(`${relay.url}/traces/${unknown}`);
  await until('a word about it', async () => (await view.getByRole('main').textContent())?.includes(unknown));
  await demo.bringToFront();
  await demo.getByRole('button', { name: 'Add Miso soup to cart' }).click();
  await arrived(relay, 1);
  const [trace] = await relay.traces();
  await view.bringToFront();
  await view.goto(`${relay.url}/traces/${trace?.traceId}`);
  await until('five bars', async () => (await bars(view).count()) === 5);
  expect(await view.title()).toBe('Jotai State Update: cart · Atomwire');
  await view.goto(`${relay.url}/traces`);
  // A trace id pasted into the filter does the same.
  await view.keyboard.press('/');
  await view.keyboard.insertText(String(trace?.traceId));
  await until('five bars', async () => (await bars(view).count()) === 5);
});

test('follows the system’s theme until the reader chooses', async ({ view }) => {
  const background = () => view.evaluate(() => getComputedStyle(document.body).backgroundColor);
  await view.emulateMedia({ colorScheme: 'light' });
  const light = await background();
  await view.emulateMedia({ colorScheme: 'dark' });
  const dark = await background();
  expect(dark).not.toBe(light);
  await view.getByRole('button', { name: 'Switch theme' }).click();
  expect(await background()).toBe(light);
  await view.reload();
  expect(await background()).toBe(light);
  await view.emulateMedia({ colorScheme: 'light' });
  expect(await background()).toBe(light);
});
