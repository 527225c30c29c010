import type { Page } from 'playwright-core';
import { expect, inject } from 'vitest';
import { withRelay } from '../lib/browser.ts';
import { freePort } from '../lib/freePort.ts';
import { readPanel } from '../lib/panel.ts';
import { test } from '../lib/test.ts';
import { until } from '../lib/until.ts';

/** Uses the app as a guest would, to the end. */
async function orderSomething(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'Add Tekka maki to cart' }).click();
  await page.getByRole('button', { name: 'Add one Tekka maki' }).click();
  await until('two in the cart', () => page.getByRole('link', { name: 'Cart 2 items' }).isVisible());
  await page.getByRole('switch', { name: 'Dark theme' }).click();
  expect(await page.locator('html').getAttribute('data-theme')).toBe('dark');
  await page.getByRole('button', { name: 'Place order' }).click();
  await until('the notice', () => page.getByText(/^Order \d+ is in the kitchen/).isVisible());
  await until('an empty cart', () => page.getByRole('link', { name: 'Cart 0 items' }).isVisible());
}

/** Two for the cart, one for the theme, the order and the cart that it empties. */
const WRITES = 5;

test('without a relay the app works, and the emitter says so once', async ({ page, complaints }) => {
  await page.goto(withRelay(inject('demo'), `ws://127.0.0.1:${await freePort()}/v1/stream`));
  await orderSomething(page);
  const { pending } = await until('the writes are pending', async () => {
    const panel = await readPanel(page);
    return panel.pending === WRITES && panel;
  });
  expect(pending).toBe(WRITES);
  expect(await readPanel(page)).toMatchObject({ created: WRITES, acknowledged: 0, lost: 0 });
  // By now it has tried more than once.
  await until('it tries again', () => complaints.errors.length >= 2);
  expect(complaints.diagnostics).toEqual([expect.stringMatching(/^disconnected: /)]);
});

test('while the emitter’s code does not arrive the app works, and what it writes is sent later', async ({
  page,
  complaints,
  relay,
}) => {
  const code = '**/assets/inlined-*.js';
  await page.route(code, (route) => route.abort());
  await page.goto(withRelay(inject('demo'), relay.stream));
  await orderSomething(page);
  await until('it is told', () => complaints.diagnostics.length > 0);
  await until('every write is counted', async () => (await readPanel(page)).created === WRITES);
  expect(await readPanel(page)).toMatchObject({
    state: 'loading',
    pending: WRITES,
    lost: 0,
  });
  await page.unroute(code);
  await until('every write has arrived', async () => (await readPanel(page)).acknowledged === WRITES);
  expect(complaints.diagnostics).toEqual([expect.stringMatching(/^load_failed: .*trying again/)]);
  expect(await relay.metric('updates_received_total')).toBe(WRITES);
});

/** What may keep a browser from running the module, and the word for it in the diagnostic. */
const broken: [string, RegExp, (page: Page) => Promise<unknown>][] = [
  [
    'the browser does not have',
    /WebAssembly/,
    (page) => page.addInitScript(() => Reflect.deleteProperty(globalThis, 'WebAssembly')),
  ],
  [
    'the page’s policy forbids',
    /Content Security Policy/,
    (page) =>
      page.route(`${inject('demo')}**`, async (route) => {
        const response = await route.fetch();
        const headers = { ...response.headers(), 'content-security-policy': "script-src 'self'" };
        await route.fulfill({ response, headers });
      }),
  ],
];

test.for(broken)(
  'with WebAssembly that %s the app works, and the emitter says so once',
  async ([, reason, breakIt], { page, complaints, relay }) => {
    await breakIt(page);
    await page.goto(withRelay(inject('demo'), relay.stream));
    await orderSomething(page);
    await until('the emitter gave up', async () => (await readPanel(page)).state === 'failed');
    await until('every write is counted', async () => (await readPanel(page)).lost === WRITES);
    expect(await readPanel(page)).toMatchObject({
      created: WRITES,
      acknowledged: 0,
      pending: 0,
      reasons: `emitter_failed ${WRITES}`,
    });
    expect(complaints.diagnostics).toEqual([expect.stringMatching(/^emitter_failed: /)]);
    expect(complaints.diagnostics[0]).toMatch(reason);
    expect(await relay.metric('updates_received_total')).toBe(0);
  },
);
