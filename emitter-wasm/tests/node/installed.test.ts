import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright';
import { build } from 'vite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { WebSocketServer } from 'ws';
import { CHROMIUM } from '../chromium.ts';

const root = join(import.meta.dirname, '../..');
const TYPES: Record<string, string> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.wasm': 'application/wasm',
};

// The tarball in an app of its own, built by Vite with nothing configured, as its users have it.
let directory: string;
let browser: Browser;
let site: Server;
let relay: WebSocketServer;
let policy = '';

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
  writeFileSync(
    join(directory, 'index.html'),
    '<!doctype html><script type="module" src="/main.js"></script>',
  );
  writeFileSync(join(directory, 'main.js'), readFileSync(join(import.meta.dirname, 'app.js')));
  await build({ root: directory, configFile: false, logLevel: 'silent' });

  site = createServer((request, response) => {
    const path = new URL(request.url ?? '/', 'http://site').pathname;
    try {
      const body = readFileSync(join(directory, 'dist', path === '/' ? 'index.html' : path));
      response.setHeader('Content-Type', TYPES[extname(path) || '.html'] ?? 'application/octet-stream');
      response.setHeader('Content-Security-Policy', policy);
      response.end(body);
    } catch {
      response.writeHead(404).end();
    }
  }).listen(0, '127.0.0.1');
  relay = new WebSocketServer({ host: '127.0.0.1', port: 0, handleProtocols: () => 'atomwire.v1' });
  await Promise.all([once(site, 'listening'), once(relay, 'listening')]);
  browser = await chromium.launch(CHROMIUM);
});

afterAll(async () => {
  await browser.close();
  relay.close();
  site.close();
  rmSync(directory, { recursive: true, force: true });
});

async function open(scriptSource: string): Promise<Page> {
  const stream = `ws://127.0.0.1:${(relay.address() as AddressInfo).port}/v1/stream`;
  policy = `default-src 'none'; script-src ${scriptSource}; connect-src 'self' ${new URL(stream).origin}`;
  const page = await browser.newPage();
  const { port } = site.address() as AddressInfo;
  await page.goto(`http://127.0.0.1:${port}/?relay=${encodeURIComponent(stream)}`);
  return page;
}

test('under the Content-Security-Policy that the README names, it reaches its relay', async () => {
  const connected = once(relay, 'connection');
  const page = await open("'self' 'wasm-unsafe-eval'");
  const [socket] = await connected;
  const [hello] = await once(socket, 'message');
  expect(hello.toString('latin1')).toContain('service.name');
  expect(await page.evaluate('({ count: app.count(), state: app.stats().state })')).toEqual({
    count: 1,
    state: 'connecting',
  });
  await page.close();
});

test('where WebAssembly is forbidden, it says so once and the app works', async () => {
  const page = await open("'self'");
  await page.waitForFunction('app.diagnostics.length > 0');
  expect(await page.evaluate('({ count: app.count(), stats: app.stats(), kinds: app.diagnostics })')).toEqual(
    {
      count: 1,
      stats: { state: 'failed', created: 1, acknowledged: 0, pending: 0, lost: { emitter_failed: 1 } },
      kinds: ['emitter_failed'],
    },
  );
  await page.close();
});
