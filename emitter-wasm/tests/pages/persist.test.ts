import type { Page } from 'playwright';
import { describe, expect, test } from 'vitest';
import {
  address,
  books,
  connected,
  context,
  countCalls,
  diagnostics,
  elsewhere,
  gate,
  goBack,
  kill,
  kinds,
  noted,
  notes,
  open,
  relayAway,
  relayWith,
  reopen,
  stats,
  values,
  write,
  writeAnswered,
} from './stage/stage.ts';

const persist = { persist: true };

/** Waits until that many updates are in the page's database. */
async function kept(page: Page, count: number): Promise<void> {
  await expect.poll(async () => (await rows(page)).at(-1)).toBe(count);
}

/** Waits until nothing is. */
async function nothingIsKept(page: Page): Promise<void> {
  await expect.poll(() => rows(page)).toEqual([]);
  expect(await notes(page)).toEqual([]);
}

/** Up to which numbers updates are kept, row by row. */
function rows(page: Page): Promise<number[]> {
  return page.evaluate(
    () =>
      new Promise((resolve, reject) => {
        const opening = indexedDB.open('atomwire');
        // There is none yet, and the page would be in the way of its first version.
        opening.onupgradeneeded = () => opening.transaction?.abort();
        opening.onerror = () => resolve([]);
        opening.onsuccess = () => {
          const database = opening.result;
          const all = database.transaction('frames').objectStore('frames').getAllKeys();
          all.onerror = reject;
          all.onsuccess = () => {
            database.close();
            resolve(all.result.map((key) => (key as [string, number])[1]));
          };
        };
      }),
  );
}

/** A page that wrote these values while its relay was away, and is dead now. */
async function killed(...written: unknown[]): Promise<void> {
  gate.streams = false;
  const page = await open(persist);
  await write(page, ...written);
  await kept(page, written.length);
  await kill(page);
  gate.streams = true;
}

test('what a killed tab had pending is sent by the next page, under its own session', async () => {
  await killed(1, 2, 3);
  const page = await open(persist);
  await write(page, 4);
  await expect.poll(() => values().length).toBe(4);
  const [left, own] = books.all.sort((a, b) => b.rows.size - a.rows.size);
  expect([...(left?.rows ?? [])]).toEqual([
    [0, 1],
    [1, 2],
    [2, 3],
  ]);
  expect([...(own?.rows ?? [])]).toEqual([[0, 4]]);
  await expect.poll(() => books.closed.length).toBe(1);
  expect(left?.end).toBe('closed');
  expect(await stats(page)).toMatchObject({ created: 1, acknowledged: 1 });
  expect((await diagnostics(page)).find(({ kind }) => kind === 'recovered')?.message).toMatch(/^3 updates/);
  await nothingIsKept(page);
});

test('a page that closes leaves to the next what its last request could not carry', async () => {
  gate.streams = false;
  const page = await open(persist);
  await write(page, ...Array.from({ length: 10 }, (_, index) => index + 'x'.repeat(20_000)));
  await kept(page, 10);
  await page.close({ runBeforeUnload: true });
  await expect.poll(() => values().length).toBeGreaterThan(0);
  expect(books.all[0]?.end).toBeUndefined();
  gate.streams = true;
  const next = await open(persist);
  await expect.poll(() => books.closed.length).toBe(1);
  expect(books.all[0]?.rows.size).toBe(10);
  expect(books.repeats).toBe(0);
  await nothingIsKept(next);
});

test('of two pages that come at once, one sends it', async () => {
  await killed(1, 2, 3);
  const pages = await Promise.all([open(persist), open(persist)]);
  await expect.poll(() => books.closed.length).toBe(1);
  expect(values()).toEqual([1, 2, 3]);
  expect(books.repeats).toBe(0);
  const told = (await Promise.all(pages.map(kinds))).flat();
  expect(told.filter((kind) => kind === 'recovered')).toHaveLength(1);
  expect(told).not.toContain('go_away');
});

test('a living page’s session is its own', async () => {
  gate.streams = false;
  const page = await open(persist);
  await write(page, 1);
  await kept(page, 1);
  const other = await open(persist);
  await Promise.all([reopen(page), reopen(other)]);
  await Promise.all([connected(page), connected(other)]);
  await expect.poll(values).toEqual([1]);
  expect(await kinds(other)).not.toContain('recovered');
  expect(books.all[0]?.end).toBeUndefined();
});

test('while the relay answers, nothing is stored', async () => {
  await context.clock.install();
  const page = await open(persist);
  await connected(page);
  const puts = await countCalls(page, 'IDBObjectStore', 'put');
  await writeAnswered(page, 20);
  expect(await puts()).toBe(0);
  relayAway();
  gate.cut();
  await write(page, 20);
  await page.clock.runFor(1_000);
  expect(await puts()).toBe(1);
});

test('what is older than a day is not sent, but reported lost', async () => {
  await killed(1, 2, 3);
  const page = await context.newPage();
  await page.addInitScript(() => {
    const { now } = Date;
    Date.now = () => now() + 25 * 3_600_000;
  });
  await page.goto(address(persist));
  await expect.poll(() => books.closed.length).toBe(1);
  expect(values()).toEqual([]);
  expect(books.all[0]?.lostFor('page_closed')).toBe(3);
  await nothingIsKept(page);
});

test('beyond 16 MiB nothing more is kept, and the next page reports what is missing', async () => {
  gate.streams = false;
  const page = await open({ ...persist, queue: { maxBytes: 64 * 1024 * 1024 } });
  for (let part = 0; part < 5; part++) {
    await page.evaluate((part) => {
      for (let value = 0; value < 20; value++) window.app.set(`${part} ${value} ${'x'.repeat(200_000)}`);
    }, part);
    await noted(page, 20 * (part + 1));
  }
  expect(await kinds(page)).toContain('persistence_full');
  await kill(page);
  gate.streams = true;
  const next = await open(persist);
  await expect.poll(() => books.closed.length).toBe(1);
  const [session] = books.all;
  expect(session?.rows.size).toBe(80);
  expect(session?.lostFor('page_killed')).toBe(20);
  await nothingIsKept(next);
});

describe('the back/forward cache', () => {
  test('does not mind, and the same session goes on', async () => {
    gate.streams = false;
    gate.requests = false;
    const page = await open(persist);
    await write(page, 1);
    await kept(page, 1);
    await page.goto(elsewhere());
    await goBack(page);
    await write(page, 2);
    await reopen(page);
    await expect.poll(values).toEqual([1, 2]);
    expect(books.all).toHaveLength(1);
    expect(await stats(page)).toMatchObject({ created: 2, lost: {} });
    await nothingIsKept(page);
  });

  test('whose session another page has taken begins a new one', async () => {
    gate.streams = false;
    gate.requests = false;
    const page = await open(persist);
    await write(page, 1);
    await kept(page, 1);
    await page.goto(elsewhere());
    gate.streams = true;
    const other = await open(persist);
    await expect.poll(() => books.closed.length).toBe(1);
    await nothingIsKept(other);
    await goBack(page);
    await write(page, 2);
    await expect.poll(values).toEqual([1, 2]);
    expect(books.all).toHaveLength(2);
    expect(books.repeats).toBe(0);
    expect(await stats(page)).toMatchObject({ created: 1, acknowledged: 1, lost: {} });
  });
});

test('out of the back/forward cache, nobody waits for an IndexedDB that never answers', async () => {
  relayAway();
  const page = await open(persist);
  await write(page, 1);
  await kept(page, 1);
  await page.evaluate(() => {
    const { open } = IDBFactory.prototype;
    IDBFactory.prototype.open = function (...args) {
      const request = open.apply(this, args);
      request.addEventListener('success', (event) => event.stopImmediatePropagation());
      return request;
    };
  });
  await page.goto(elsewhere());
  await goBack(page);
  await write(page, 2);
  relayAway(false);
  await reopen(page);
  await expect.poll(values).toEqual([1, 2]);
  await expect.poll(() => kinds(page)).toContain('persistence_failed');
});

describe('where nothing can be kept, one diagnostic says so and the page goes on', () => {
  test.each<[string, () => void]>([
    ['no IndexedDB', () => Object.defineProperty(window, 'indexedDB', { value: undefined })],
    ['no locks', () => Object.defineProperty(Navigator.prototype, 'locks', { value: undefined })],
    [
      'a private window that refuses',
      () => {
        IDBFactory.prototype.open = () => {
          throw new DOMException('A mutation operation was attempted', 'InvalidStateError');
        };
      },
    ],
    [
      'an IndexedDB that never answers',
      () => {
        const { open } = IDBFactory.prototype;
        IDBFactory.prototype.open = function (...args) {
          const request = open.apply(this, args);
          for (const kind of ['upgradeneeded', 'success', 'error']) {
            request.addEventListener(kind, (event) => event.stopImmediatePropagation());
          }
          return request;
        };
      },
    ],
    [
      'no room',
      () => {
        IDBObjectStore.prototype.put = () => {
          throw new DOMException('The quota has been exceeded.', 'QuotaExceededError');
        };
      },
    ],
  ])('%s', async (_name, prepare) => {
    gate.streams = false;
    const page = await context.newPage();
    await page.addInitScript(prepare);
    await page.goto(address(persist));
    await page.waitForFunction(() => window.app.emitter.stats().state !== 'loading');
    await write(page, 1, 2);
    await expect.poll(() => kinds(page)).toContain('persistence_failed');
    await reopen(page);
    await expect.poll(values).toEqual([1, 2]);
    await write(page, 3);
    await expect.poll(values).toEqual([1, 2, 3]);
    await page.evaluate(() => window.app.emitter.flush());
    expect(await stats(page)).toMatchObject({ created: 3, lost: {} });
    await page.close({ runBeforeUnload: true });
    await expect.poll(() => books.closed.length).toBe(1);
  });
});

test('frames that nobody can read are reported lost', async () => {
  await killed(1, 2);
  const page = await context.newPage();
  await page.goto(elsewhere());
  await page.evaluate(
    () =>
      new Promise((resolve) => {
        const opening = indexedDB.open('atomwire');
        opening.onsuccess = () => {
          const transaction = opening.result.transaction('frames', 'readwrite');
          transaction.objectStore('frames').openCursor().onsuccess = ({ target }) => {
            const cursor = (target as IDBRequest<IDBCursorWithValue | null>).result;
            cursor?.update({ ...cursor.value, frames: [new Uint8Array([1, 2, 3])] });
          };
          transaction.oncomplete = () => {
            opening.result.close();
            resolve(undefined);
          };
        };
      }),
  );
  const next = await open(persist);
  await expect.poll(() => books.closed.length).toBe(1);
  expect(books.all[0]?.lostFor('page_killed')).toBe(2);
  await nothingIsKept(next);
  await write(next, 2);
  await expect.poll(values).toEqual([2]);
  expect(await kinds(next)).not.toContain('emitter_failed');
});

test('frames whose note the app has removed are removed as well', async () => {
  await killed(1);
  const page = await context.newPage();
  await page.goto(elsewhere());
  await page.evaluate(() => localStorage.clear());
  await nothingIsKept(await open(persist));
});

test('a page without `persist` sends what one with it has left', async () => {
  await killed(1, 2);
  const page = await open();
  await expect.poll(() => books.closed.length).toBe(1);
  expect(values()).toEqual([1, 2]);
  await nothingIsKept(page);
});

test('a page that the relay does not let in leaves everything as it is', async () => {
  await relayWith('--token', 'open sesame');
  const token = 'open sesame';
  await killed(1, 2);
  const stranger = await open({ ...persist, token: 'wrong' });
  await stranger.waitForFunction(() => window.app.emitter.stats().state === 'stopped');
  await kept(stranger, 2);
  const next = await open({ ...persist, token });
  await expect.poll(() => books.closed.length).toBe(1);
  expect(values()).toEqual([1, 2]);
  await nothingIsKept(next);
});
