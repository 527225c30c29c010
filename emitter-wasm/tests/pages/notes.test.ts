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

/** A page that wrote these values while its relay was away, and is dead now. */
async function killed(...written: unknown[]): Promise<void> {
  relayAway();
  const page = await open();
  await write(page, ...written);
  await noted(page, written.length);
  await kill(page);
  relayAway(false);
}

/** A note of two updates that a session of no page has left; each byte of its seed's first half is `half`. */
async function leave(
  page: Page,
  { half, url, days = 0 }: { half: number; url?: string; days?: number },
): Promise<void> {
  const name = `atomwire:${half.toString(16).padStart(2, '0').repeat(16)}`;
  const seed = Array.from({ length: 32 }, (_, at) => (at < 16 ? half : at));
  const at = Date.now() - 60_000 - days * 24 * 3_600_000;
  const relay = url ?? `ws://127.0.0.1:${gate.port}/v1/stream`;
  const note = JSON.stringify([relay, '', seed, 0, 2, 7, at]);
  await page.evaluate(([name, note]) => localStorage.setItem(name, note), [name, note] as const);
}

/** All books are closed, and no note stands. */
async function allClosed(page: Page, sessions: number): Promise<void> {
  await expect.poll(() => books.closed.length).toBe(sessions);
  await expect.poll(() => notes(page)).toEqual([]);
}

test('what a page could not send before it went is on the next page’s books', async () => {
  const page = await open();
  await connected(page);
  await write(page, ...Array.from({ length: 11 }, (_, value) => value));
  await page.evaluate(() => window.app.emitter.flush());
  relayAway();
  gate.cut();
  await write(page, 1, 2, 3, 4, 5);
  await page.goto(elsewhere());
  relayAway(false);
  await page.goto(address());
  await allClosed(page, 1);
  const [session] = books.all;
  expect(session?.rows.size).toBe(11);
  expect(session?.lostFor('page_closed')).toBe(5);
  expect(await stats(page)).toMatchObject({ created: 0, lost: {} });
});

test('what a killed tab could not send is told from what a closed one could not', async () => {
  await killed(1, 2, 3);
  const page = await open();
  await allClosed(page, 1);
  expect(books.all[0]?.lostFor('page_killed')).toBe(3);
});

test('what the last request carried is not lost: the next page only says that it was all', async () => {
  gate.streams = false;
  const page = await open();
  await write(page, 1, 2, 3);
  await page.goto(elsewhere());
  await expect.poll(values).toEqual([1, 2, 3]);
  expect(books.closed).toEqual([]);
  gate.streams = true;
  await page.goto(address());
  await allClosed(page, 1);
  expect(books.repeats).toBe(0);
});

test('what a last request carries that is still under way is not lost either', async () => {
  gate.streams = false;
  let release = () => {};
  gate.hold = new Promise((resolve) => {
    release = resolve;
  });
  const page = await open();
  await write(page, 1, 2, 3);
  await page.goto(elsewhere());
  gate.streams = true;
  // By this clock the page has left only now, however long the way here took.
  const next = await context.newPage();
  await next.addInitScript(() => {
    const { now } = Date;
    Date.now = () => now() - 60_000;
  });
  await next.goto(address());
  await connected(next);
  // It would take so long if it did not wait; nothing can be awaited that is not to happen.
  await next.waitForTimeout(1_000);
  release();
  await allClosed(next, 1);
  expect(values()).toEqual([1, 2, 3]);
});

test('a relay that answers is all that it takes: no note is written', async () => {
  await context.clock.install();
  const page = await open();
  await connected(page);
  const stored = await countCalls(page, 'Storage', 'setItem');
  await writeAnswered(page, 20);
  expect(await stored()).toBe(0);
  relayAway();
  gate.cut();
  await write(page, 20);
  await page.clock.runFor(1_000);
  expect(await stored()).toBe(1);
});

test('a note goes when all is settled, and its page says goodbye itself', async () => {
  gate.streams = false;
  const page = await open();
  await write(page, 1);
  await noted(page, 1);
  await reopen(page);
  await expect.poll(() => notes(page)).toEqual([]);
  await page.close({ runBeforeUnload: true });
  await expect.poll(() => books.closed.length).toBe(1);
  expect(values()).toEqual([1]);
});

test.each(['visibilitychange', 'freeze'])(
  'before a page may be stopped, at %s, its note is written at once',
  async (type) => {
    relayAway();
    const page = await open();
    const written = await page.evaluate((type) => {
      Object.defineProperty(document, 'hidden', { value: true });
      window.app.set(1);
      document.dispatchEvent(new Event(type, { bubbles: true }));
      return localStorage.length;
    }, type);
    expect(written).toBe(1);
  },
);

test('a session that trapped is closed by the next one of its page', async () => {
  const page = await context.newPage();
  await page.addInitScript(() => {
    const { instantiate } = WebAssembly;
    Object.assign(window, { trap: false });
    WebAssembly.instantiate = (async (module: WebAssembly.Module) => {
      const { exports } = await instantiate(module);
      const { step, ...others } = exports as Record<string, (time: number) => number>;
      const trapping = (time: number) => {
        if (Reflect.get(window, 'trap')) {
          Object.assign(window, { trap: false });
          throw new WebAssembly.RuntimeError('unreachable');
        }
        return step?.(time);
      };
      return { exports: { ...others, step: trapping } };
    }) as never;
  });
  await page.goto(address());
  await connected(page);
  await write(page, 1);
  await page.evaluate(() => window.app.emitter.flush());
  await page.evaluate(() => Object.assign(window, { trap: true }));
  await write(page, 2, 3);
  await allClosed(page, 1);
  expect(books.closed[0]?.rows.size).toBe(1);
  expect(books.closed[0]?.lostFor('emitter_failed')).toBe(2);
  expect(await stats(page)).toMatchObject({ created: 3, acknowledged: 1, lost: { emitter_failed: 2 } });
});

test('a note never holds a value', async () => {
  gate.streams = false;
  const page = await open();
  await write(page, 'a secret');
  await noted(page, 1);
  expect(await page.evaluate(() => JSON.stringify({ ...localStorage }))).not.toContain('a secret');
});

test('of two pages that come at once, one speaks', async () => {
  await killed(1, 2, 3);
  const pages = await Promise.all([open(), open()]);
  await allClosed(pages[0], 1);
  expect((await Promise.all(pages.map(kinds))).flat()).not.toContain('go_away');
});

test('nobody speaks for a page that lives', async () => {
  gate.streams = false;
  const page = await open();
  await write(page, 1);
  await noted(page, 1);
  // The last in the order of names: when this one's books are closed, all others have been looked at.
  await leave(page, { half: 0xff });
  gate.streams = true;
  await open();
  await expect.poll(() => books.closed.length).toBe(1);
  await reopen(page);
  await expect.poll(values).toEqual([1]);
  await page.evaluate(() => window.app.emitter.flush());
  await write(page, 2);
  await expect.poll(values).toEqual([1, 2]);
  expect(books.repeats).toBe(0);
  expect(await kinds(page)).not.toContain('go_away');
  expect(await stats(page)).toMatchObject({ created: 2, lost: {} });
});

describe('in the back/forward cache and back', () => {
  /** A page with a note, which has left for another one, and is in the cache. */
  async function cached(): Promise<Page> {
    relayAway();
    const page = await open();
    await write(page, 1);
    await noted(page, 1);
    await page.goto(elsewhere());
    return page;
  }

  test('the same session goes on', async () => {
    const page = await cached();
    await goBack(page);
    await write(page, 2);
    relayAway(false);
    await reopen(page);
    await expect.poll(values).toEqual([1, 2]);
    expect(books.all).toHaveLength(1);
    expect(await stats(page)).toMatchObject({ created: 2, lost: {} });
    await expect.poll(() => notes(page)).toEqual([]);
  });

  test('and then killed, it has not said goodbye', async () => {
    const page = await cached();
    await goBack(page);
    await write(page, 2);
    await noted(page, 2);
    await kill(page);
    relayAway(false);
    const next = await open();
    await allClosed(next, 1);
    expect(books.all[0]?.lostFor('page_killed')).toBe(2);
  });

  test('a new session begins when another page has closed the books', async () => {
    const page = await cached();
    relayAway(false);
    const other = await open();
    await allClosed(other, 1);
    await goBack(page);
    await write(page, 2);
    await expect.poll(values).toEqual([2]);
    expect(books.all).toHaveLength(2);
    await page.evaluate(() => window.app.emitter.flush());
    expect((await stats(page)).pending).toBe(0);
  });

  test('a new session begins when another page is closing the books', async () => {
    const page = await cached();
    relayAway(false);
    // The other page's own stream is the only one.
    gate.most = 1;
    const other = await open();
    await connected(other);
    const { tries } = gate;
    await expect.poll(() => gate.tries).toBeGreaterThan(tries);
    await goBack(page);
    await write(page, 2);
    gate.most = Infinity;
    await reopen(other);
    await reopen(page);
    await expect.poll(values).toEqual([2]);
    await expect.poll(() => books.closed.length).toBe(1);
    expect(books.closed[0]?.lostFor('page_closed')).toBe(1);
  });

  test('a new session begins when another page died while it closed the books', async () => {
    const page = await cached();
    relayAway(false);
    const other = await open();
    await connected(other);
    gate.deaf = true;
    const marked = (text: string) => JSON.parse(text).at(-1) === true;
    await expect
      .poll(() => other.evaluate(() => Object.values(localStorage)))
      .toSatisfy((texts: string[]) => texts.some(marked));
    await kill(other);
    gate.deaf = false;
    await goBack(page);
    await write(page, 2);
    await expect.poll(values).toEqual([2]);
    const third = await open();
    await expect.poll(() => books.closed.length).toBe(1);
    expect(books.closed[0]?.lostFor('page_closed')).toBe(1);
    await expect.poll(() => notes(third)).toEqual([]);
  });
});

describe('a note stays when its books could not be closed', () => {
  test('by a page that the relay does not let in', async () => {
    await relayWith('--token', 'open sesame');
    relayAway();
    const page = await open({ token: 'open sesame' });
    await write(page, 1, 2);
    await noted(page, 2);
    await kill(page);
    relayAway(false);
    const stranger = await open({ token: 'wrong' });
    await stranger.waitForFunction(() => window.app.emitter.stats().state === 'stopped');
    await noted(stranger, 2);
    const next = await open({ token: 'open sesame' });
    await allClosed(next, 1);
    expect(books.all[0]?.lostFor('page_killed')).toBe(2);
  });

  test('because the page that was at it died as well', async () => {
    await killed(1, 2, 3);
    gate.most = 1;
    const second = await open();
    await connected(second);
    const { tries } = gate;
    await expect.poll(() => gate.tries).toBeGreaterThan(tries);
    await kill(second);
    gate.most = Infinity;
    const third = await open();
    await expect.poll(() => books.closed.length).toBe(1);
    await expect.poll(() => notes(third)).toEqual([]);
    expect(books.closed[0]?.lostFor('page_killed')).toBe(3);
  });

  test('because the page that was at it went away', async () => {
    await killed(1, 2, 3);
    gate.most = 1;
    const second = await open();
    await connected(second);
    const { tries } = gate;
    await expect.poll(() => gate.tries).toBeGreaterThan(tries);
    await second.goto(elsewhere());
    gate.most = Infinity;
    const third = await open();
    await allClosed(third, 1);
    // What it was at has not kept it out of the back/forward cache.
    await goBack(second);
  });

  test('because WebAssembly failed, or anything else', async () => {
    await killed(1);
    const page = await context.newPage();
    await page.addInitScript(() => {
      const { instantiate } = WebAssembly;
      let instances = 0;
      // The page's own session is the first.
      WebAssembly.instantiate = ((...args: Parameters<typeof instantiate>) =>
        instances++ === 0
          ? instantiate(...args)
          : Promise.reject(new Error('no memory'))) as typeof instantiate;
    });
    await page.goto(address());
    await expect.poll(() => kinds(page)).toContain('recovery_failed');
    await noted(page, 1);
    const next = await open();
    await allClosed(next, 1);
  });
});

describe('what stands in the storage and is', () => {
  test('nothing that anybody can read is told, and removed', async () => {
    const page = await open();
    await connected(page);
    const name = `atomwire:${'0'.repeat(32)}`;
    await page.evaluate((name) => localStorage.setItem(name, '["nonsense"]'), name);
    const next = await open();
    await expect.poll(() => next.evaluate(() => localStorage.length)).toBe(0);
    expect((await diagnostics(next)).find(({ kind }) => kind === 'recovery_failed')?.message).toContain(name);
  });

  test('not a note stays', async () => {
    const page = await open();
    await page.evaluate(() => localStorage.setItem('atomwire:theme', 'dark'));
    await leave(page, { half: 0xff });
    await open();
    await expect.poll(() => books.closed.length).toBe(1);
    expect(await page.evaluate(() => ({ ...localStorage }))).toEqual({ 'atomwire:theme': 'dark' });
  });

  test('of another relay stays for a month', async () => {
    const page = await open();
    await leave(page, { half: 1, url: 'wss://elsewhere.test/v1/stream', days: 29 });
    await leave(page, { half: 2, url: 'wss://elsewhere.test/v1/stream', days: 31 });
    await leave(page, { half: 0xff });
    await open();
    await expect.poll(() => books.closed.length).toBe(1);
    await expect
      .poll(async () => (await notes(page)).map(({ name }) => name))
      .toEqual([`atomwire:${'01'.repeat(16)}`]);
  });
});

describe('without a note a page goes as well as it can', () => {
  test.each<[string, () => void]>([
    [
      'no storage',
      () => {
        Object.defineProperty(window, 'localStorage', {
          get() {
            throw new DOMException('Access is denied for this document.', 'SecurityError');
          },
        });
      },
    ],
    [
      'no room',
      () => {
        Storage.prototype.setItem = () => {
          throw new DOMException('The quota has been exceeded.', 'QuotaExceededError');
        };
      },
    ],
    [
      'a thousand entries of others',
      () => {
        for (let entry = 0; entry < 1_000; entry++) localStorage.setItem(`entry ${entry}`, '');
      },
    ],
    ['no locks', () => Object.defineProperty(Navigator.prototype, 'locks', { value: undefined })],
  ])('%s', async (_name, prepare) => {
    gate.streams = false;
    const page = await context.newPage();
    const errors: Error[] = [];
    page.on('pageerror', (error) => errors.push(error));
    await page.addInitScript(prepare);
    await page.goto(address());
    await page.waitForFunction(() => window.app.emitter.stats().state !== 'loading');
    await write(page, ...Array.from({ length: 10 }, () => 'x'.repeat(20_000)));
    // Longer than any note waits.
    await page.waitForTimeout(600);
    await page.close({ runBeforeUnload: true });
    await expect.poll(() => books.closed.length).toBe(1);
    const [session] = books.all;
    expect(session?.rows.size).toBeGreaterThan(0);
    expect(session?.lostFor('page_closed')).toBe(10 - (session?.rows.size ?? 0));
    expect(errors).toEqual([]);
  });
});
