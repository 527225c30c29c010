import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BrowserContext } from 'playwright-core';
import { test as base, expect, inject } from 'vitest';
import { Complaints, launchBrowser, withRelay } from './browser.ts';
import { Consumer } from './consumer.ts';
import { at } from './paths.ts';
import { Relay } from './relay.ts';
import { Database } from './rows.ts';

/**
 * Vitest's `test`, with the real parts as fixtures: each starts for the test that names it, and ends with it.
 * They end in `onTestFinished`, which goes on to the next one when one of them fails; `onCleanup` does not.
 */
export const test = base
  .extend('browser', { scope: 'file' }, async ({}, { onCleanup }) => {
    const browser = await launchBrowser();
    onCleanup(() => browser.close());
    return browser;
  })
  .extend('directory', async ({ onTestFinished }) => {
    const directory = await mkdtemp(join(tmpdir(), 'atomwire-e2e-'));
    onTestFinished(() => rm(directory, { recursive: true, force: true }));
    return directory;
  })
  .extend('relay', async ({ onTestFinished }) => {
    const relay = await Relay.start();
    onTestFinished(() => relay.stop());
    return relay;
  })
  .extend('consumer', async ({ relay, directory, onTestFinished }) => {
    const database = new Database(join(directory, 'rows.sqlite'));
    const consumer = await Consumer.start(relay, database, relay.otlp);
    onTestFinished(async () => {
      await consumer.stop();
    });
    return consumer;
  })
  .extend('database', ({ consumer }) => consumer.database)
  .extend('context', async ({ browser, task, onTestFinished }) => {
    const context = await browser.newContext();
    const complaints = new Complaints(context);
    onTestFinished(async () => {
      if (task.result?.state === 'fail') await takePictures(context, task.name);
      await context.close();
      // Whatever happens to relay and module, the app's code sees no error.
      expect(complaints.uncaught).toEqual([]);
    });
    return Object.assign(context, { complaints });
  })
  .extend('complaints', ({ context }) => context.complaints)
  .extend('page', ({ context }) => context.newPage())
  // With everything behind it.
  .extend('demo', async ({ page, relay, consumer: _running }) => {
    await page.goto(withRelay(inject('demo'), relay.stream));
    return page;
  });

/** Every page that is open, as a test that failed left it. */
async function takePictures(context: BrowserContext, test: string): Promise<void> {
  const name = test.replace(/\W+/g, '-');
  for (const [index, page] of context.pages().entries()) {
    await page.screenshot({ path: at('test-results', `${name}-${index}.png`) });
  }
}
