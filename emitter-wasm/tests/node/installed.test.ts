import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright';
import { build, createServer as createViteServer } from 'vite';
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest';
import { type WebSocket, WebSocketServer } from 'ws';
import { CHROMIUM } from '../chromium.ts';

const root = join(import.meta.dirname, '../..');
const TYPES: Record<string, string> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.wasm': 'application/wasm',
};
/** The apps beside this file, each a page of its own. */
const APPS = ['app', 'slim', 'writer'];

// The tarball in an app of its own, built by Vite with nothing configured, as its users have it.
let directory: string;
let browser: Browser;
let site: Server;
let relay: WebSocketServer;
/** What the next page is served with, and what of it does not come. */
let policy: string | undefined;
let missing: RegExp | undefined;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'atomwire-'));
  const tarball = execFileSync('npm', ['pack', '--silent', '--pack-destination', directory], {
    cwd: root,
    encoding: 'utf8',
  });
  const installed = join(directory, 'node_modules/atomwire');
  mkdirSync(installed, { recursive: true });
  execFileSync('tar', ['xzf', join(directory, tarball.trim()), '--strip-components=1', '-C', installed]);
  for (const name of ['jotai', 'idb']) {
    symlinkSync(join(root, '../node_modules', name), join(directory, 'node_modules', name));
  }
  for (const app of APPS) {
    writeFileSync(join(directory, `${app}.js`), readFileSync(join(import.meta.dirname, `${app}.js`)));
    writeFileSync(
      join(directory, `${app}.html`),
      `<!doctype html><script type="module" src="/${app}.js"></script>`,
    );
    // Each by itself, so that they share no code.
    await build({
      root: directory,
      base: `/${app}/`,
      configFile: false,
      logLevel: 'silent',
      build: { outDir: `dist/${app}`, rolldownOptions: { input: join(directory, `${app}.html`) } },
    });
  }
  site = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://site');
    if (missing?.test(pathname)) {
      response.writeHead(503).end();
      return;
    }
    try {
      const body = readFileSync(join(directory, 'dist', pathname));
      response.setHeader('Content-Type', TYPES[extname(pathname)] ?? 'application/octet-stream');
      if (policy !== undefined) response.setHeader('Content-Security-Policy', policy);
      response.end(body);
    } catch {
      response.writeHead(404).end();
    }
  }).listen(0, '127.0.0.1');
  relay = new WebSocketServer({ host: '127.0.0.1', port: 0, handleProtocols: () => 'atomwire.v1' });
  await Promise.all([once(site, 'listening'), once(relay, 'listening')]);
  browser = await chromium.launch(CHROMIUM);
}, 60_000);

afterAll(async () => {
  await browser?.close();
  relay?.close();
  site?.close();
  rmSync(directory, { recursive: true, force: true });
});

beforeEach(() => {
  policy = missing = undefined;
});

/** The relay's stream. */
function stream(): string {
  return `ws://127.0.0.1:${(relay.address() as AddressInfo).port}/v1/stream`;
}

async function open(
  app: string,
  origin = `http://127.0.0.1:${(site.address() as AddressInfo).port}/${app}`,
): Promise<Page> {
  const page = await browser.newPage();
  onTestFinished(() => page.close());
  await page.goto(`${origin}/${app}.html?relay=${encodeURIComponent(stream())}`);
  return page;
}

/** The next session's first frame, as text. */
async function hello(): Promise<string> {
  const [socket]: WebSocket[] = await once(relay, 'connection');
  const [frame] = await once(socket as WebSocket, 'message');
  return frame.toString('latin1');
}

test('under the very Content-Security-Policy that the README names, it reaches its relay', async () => {
  const readme = readFileSync(join(root, 'README.md'), 'utf8');
  const [, line = ''] = /^Content-Security-Policy: (.*)$/m.exec(readme) ?? [];
  const { host } = new URL(stream());
  policy = line
    .replace('wss://relay.example.com', `ws://${host}`)
    .replace('https://relay.example.com', `http://${host}`);
  expect(policy.split(host)).toHaveLength(3);
  const greeted = hello();
  const page = await open('app');
  expect(await greeted).toContain('service.name');
  expect(await page.evaluate('({ count: app.count(), state: app.stats().state })')).toEqual({
    count: 1,
    state: 'connecting',
  });
});

test('where WebAssembly is forbidden, it says so once and the app works', async () => {
  policy = "script-src 'self'";
  const page = await open('app');
  await page.waitForFunction('app.diagnostics.length > 0');
  expect(await page.evaluate('({ count: app.count(), stats: app.stats(), kinds: app.diagnostics })')).toEqual(
    {
      count: 1,
      stats: { state: 'failed', created: 1, acknowledged: 0, pending: 0, lost: { emitter_failed: 1 } },
      kinds: ['emitter_failed'],
    },
  );
});

test('where the relay is forbidden, it says so, and waits', async () => {
  policy = "connect-src 'none'";
  const page = await open('app');
  await page.waitForFunction('app.diagnostics.length > 0');
  expect(await page.evaluate('({ state: app.stats().state, kinds: app.diagnostics })')).toEqual({
    state: 'waiting',
    kinds: ['disconnected'],
  });
});

test('a page whose first load of the rest fails traces later', async () => {
  missing = /inlined/;
  const page = await open('app');
  await page.waitForFunction('app.diagnostics.length > 0');
  expect(await page.evaluate('({ stats: app.stats(), kinds: app.diagnostics })')).toEqual({
    stats: { state: 'loading', created: 1, acknowledged: 0, pending: 1, lost: {} },
    kinds: ['load_failed'],
  });
  missing = undefined;
  const greeted = hello();
  await page.evaluate("window.dispatchEvent(new Event('online'))");
  expect(await greeted).toContain('service.name');
});

test('slim: the app serves the module, which may come later', async () => {
  missing = /\.wasm$/;
  const page = await open('slim');
  await page.waitForFunction('app.diagnostics.length > 0');
  expect(await page.evaluate('app.diagnostics')).toEqual(['load_failed']);
  missing = undefined;
  const greeted = hello();
  await page.evaluate("window.dispatchEvent(new Event('online'))");
  expect(await greeted).toContain('service.name');
});

test('two copies of the package on one page know each other', async () => {
  const page = await open('app');
  await page.waitForFunction('app.stats().created === 1');
  await page.addScriptTag({ type: 'module', url: `/writer/${await asset(page, 'writer')}` });
  await page.waitForFunction('window.writer !== undefined');
  // Another's writes, and the one emitter for whoever starts it again.
  expect(await page.evaluate('({ created: app.stats().created, same: writer.stats().created })')).toEqual({
    created: 2,
    same: 2,
  });
  expect(await page.evaluate('app.diagnostics')).toContain('already_started');
});

test('a copy with another registry disturbs nobody', async () => {
  const page = await browser.newPage();
  onTestFinished(() => page.close());
  await page.addInitScript("globalThis[Symbol.for('atomwire')] = Object.freeze({ format: 0, recorder: 1 })");
  const greeted = hello();
  await page.goto(
    `http://127.0.0.1:${(site.address() as AddressInfo).port}/app/app.html?relay=${encodeURIComponent(stream())}`,
  );
  expect(await greeted).toContain('service.name');
  expect(await page.evaluate("globalThis[Symbol.for('atomwire')].format")).toBe(0);
});

test("Vite's dev server needs no settings", async () => {
  const server = await createViteServer({ root: directory, configFile: false, logLevel: 'silent' });
  onTestFinished(() => server.close());
  await server.listen(0);
  const greeted = hello();
  await open('app', server.resolvedUrls?.local[0]?.replace(/\/$/, ''));
  expect(await greeted).toContain('service.name');
}, 30_000);

/** The script of an app's page. */
async function asset(page: Page, app: string): Promise<string> {
  const html = await (await page.request.get(`${new URL(page.url()).origin}/${app}/${app}.html`)).text();
  return /src="\/\w+\/([^"]+)"/.exec(html)?.[1] ?? '';
}
