import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import type { Diagnostic, EmitterOptions, EmitterStats } from 'atomwire';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright';
import { build } from 'vite';
import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest';
import { CHROMIUM } from '../../chromium.ts';
import type {} from '../app/main.ts';
import { Books } from './Books.ts';
import { Gate } from './Gate.ts';
import { Relay } from './Relay.ts';

const TYPES: Record<string, string> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.wasm': 'application/wasm',
};

let directory: string;
let site: Server;
let browser: Browser;
let relay: Relay;

/** What each test has anew, beside the relay: a browser's context, a way to the relay, and the bus's books. */
export let context: BrowserContext;
export let gate: Gate;
export let books: Books;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'atomwire-'));
  await build({
    root: join(import.meta.dirname, '../app'),
    configFile: false,
    logLevel: 'silent',
    build: { outDir: directory, emptyOutDir: true, target: 'es2022', assetsInlineLimit: 0 },
  });
  site = createServer((request, response) => {
    const path = new URL(request.url ?? '/', 'http://site').pathname;
    if (path === '/elsewhere') {
      response.setHeader('Content-Type', 'text/html').end('<!doctype html><title>Elsewhere</title>');
      return;
    }
    try {
      const body = readFileSync(join(directory, path === '/' ? 'index.html' : path));
      response.setHeader('Content-Type', TYPES[extname(path) || '.html'] ?? 'application/octet-stream');
      response.end(body);
    } catch {
      response.writeHead(404).end();
    }
  }).listen(0, '127.0.0.1');
  await once(site, 'listening');
  browser = await chromium.launch({
    ...CHROMIUM,
    args: [...CHROMIUM.args, '--host-resolver-rules=MAP relay.test 127.0.0.1'],
    // What Playwright turns off, and these tests are about.
    ignoreDefaultArgs: ['--disable-back-forward-cache'],
  });
});

afterAll(async () => {
  await browser?.close();
  site?.close();
  rmSync(directory, { recursive: true, force: true });
});

beforeEach(async () => {
  await startRelay();
  context = await browser.newContext();
});

afterEach(async () => {
  await context.close();
  stopRelay();
});

async function startRelay(...settings: string[]): Promise<void> {
  relay = await Relay.start(...settings);
  gate = await Gate.open(relay.listen);
  books = new Books(relay.bus);
  await expect.poll(() => relay.subscriptions()).toBe(1);
}

function stopRelay(): void {
  gate.close();
  books.close();
  relay.stop();
}

/** In place of the test's relay one with these settings. */
export async function relayWith(...settings: string[]): Promise<void> {
  stopRelay();
  await startRelay(...settings);
}

type Options = Partial<EmitterOptions>;

/** The page's address. */
export function address(options: Options = {}, host = '127.0.0.1'): string {
  const stream = `ws://${host}:${gate.port}/v1/stream`;
  const query = new URLSearchParams({ relay: stream, options: JSON.stringify(options) });
  return `${origin()}/?${query}`;
}

export function elsewhere(): string {
  return `${origin()}/elsewhere`;
}

function origin(): string {
  return `http://127.0.0.1:${(site.address() as AddressInfo).port}`;
}

/** A page in a tab of its own. */
export async function open(options: Options = {}, host?: string): Promise<Page> {
  const page = await context.newPage();
  await page.goto(address(options, host));
  await page.waitForFunction(() => window.app.emitter.stats().state !== 'loading');
  return page;
}

export async function connected(page: Page): Promise<void> {
  await page.waitForFunction(() => window.app.emitter.stats().state === 'connected');
}

/** Lets streams through again, and the page know: its next try may be far off. */
export async function reopen(page: Page): Promise<void> {
  gate.streams = true;
  await page.evaluate(() => window.dispatchEvent(new Event('online')));
}

/** Back out of the back/forward cache, and nowhere else: there the page has been shown before. */
export async function goBack(page: Page): Promise<void> {
  await page.goBack({ waitUntil: 'commit' });
  await expect.poll(() => page.evaluate(() => window.app.shown)).toEqual([false, true]);
}

/** Writes these values, one update each. */
export async function write(page: Page, ...values: unknown[]): Promise<void> {
  await page.evaluate((values) => {
    for (const value of values) window.app.set(value);
  }, values);
}

/**
 * Writes that many values, each after the last one is settled. The page's clock, which is installed, goes on when it
 * is told to: however slow the machine, the relay answers in time.
 */
export async function writeAnswered(page: Page, count: number): Promise<void> {
  await page.clock.pauseAt(Date.now() + 1_000);
  for (let value = 0; value < count; value++) {
    await write(page, value);
    await page.clock.runFor(200);
    await expect.poll(async () => (await stats(page)).acknowledged).toBe(value + 1);
    await page.clock.runFor(200);
  }
}

/** Asks how often the page has called this method since. */
export async function countCalls(
  page: Page,
  type: 'Storage' | 'IDBObjectStore',
  method: string,
): Promise<() => Promise<number>> {
  await page.evaluate(
    ([type, method]) => {
      const { prototype } = window[type];
      const original = Reflect.get(prototype, method);
      Object.assign(window, { calls: 0 });
      Reflect.set(prototype, method, function (this: unknown, ...args: unknown[]) {
        Object.assign(window, { calls: Reflect.get(window, 'calls') + 1 });
        return original.apply(this, args);
      });
    },
    [type, method] as const,
  );
  return () => page.evaluate(() => Reflect.get(window, 'calls'));
}

/** Nobody reaches the relay, neither by a stream nor by a last request. */
export function relayAway(away = true): void {
  gate.streams = gate.requests = !away;
}

/** Ends a tab as the system does when memory is short: no event, no last request. */
export async function kill(page: Page): Promise<void> {
  const crashed = page.waitForEvent('crash');
  const devtools = await context.newCDPSession(page);
  devtools.send('Page.crash').catch(() => {});
  await crashed;
}

/** What a note says, as far as tests look at it. */
interface Left {
  name: string;
  from: number;
  end: number;
}

/** The notes that stand in the storage of a page's origin. */
export async function notes(page: Page): Promise<Left[]> {
  return page.evaluate(() =>
    Object.entries(localStorage)
      .filter(([name]) => name.startsWith('atomwire:'))
      .map(([name, text]) => {
        const [, , , from, end] = JSON.parse(text);
        return { name, from, end };
      }),
  );
}

/** Waits until a note says that so many updates were made. */
export async function noted(page: Page, end: number): Promise<void> {
  await expect.poll(() => notes(page)).toMatchObject([{ end }]);
}

/** The account of a page's session, once it has been seen to balance. */
export async function stats(page: Page): Promise<EmitterStats> {
  const stats = await page.evaluate(() => window.app.emitter.stats());
  const lost = Object.values(stats.lost).reduce((sum, count) => sum + count, 0);
  expect(stats.created).toBe(stats.acknowledged + stats.pending + lost);
  return stats;
}

export async function diagnostics(page: Page): Promise<Diagnostic[]> {
  return page.evaluate(() => window.app.diagnostics);
}

export async function kinds(page: Page): Promise<string[]> {
  return (await diagnostics(page)).map(({ kind }) => kind);
}

/** The values on the bus, in the order of their numbers, of the sessions in the order of their appearance. */
export function values(): unknown[] {
  return books.all.flatMap(({ rows }) => [...rows].sort(([a], [b]) => a - b).map(([, value]) => value));
}
