import { expect, test } from 'vitest';
import {
  address,
  books,
  connected,
  context,
  elsewhere,
  gate,
  goBack,
  open,
  reopen,
  stats,
  values,
  write,
} from './stage/stage.ts';

const LARGE = 'x'.repeat(20_000);

test('a page that goes says so: its session is over, and the books close', async () => {
  const page = await open();
  await connected(page);
  await write(page, 1, 2, 3);
  await page.evaluate(() => window.app.emitter.flush());
  await page.close({ runBeforeUnload: true });
  await expect.poll(() => books.closed.length).toBe(1);
  expect(values()).toEqual([1, 2, 3]);
});

test('whoever asks for the account holds nothing up', async () => {
  const page = await open();
  await connected(page);
  await page.evaluate(() => {
    window.app.set(1);
    window.app.emitter.stats();
  });
  await expect.poll(values).toEqual([1]);
});

test('what is pending leaves with the page, also where no stream was ever open', async () => {
  gate.streams = false;
  const page = await open();
  await write(page, 1, 2, 3);
  expect((await stats(page)).pending).toBe(3);
  await page.close({ runBeforeUnload: true });
  await expect.poll(values).toEqual([1, 2, 3]);
  expect(gate.bodies).toHaveLength(1);
});

test('beyond what browsers let a page leave behind, the next page reports the rest lost', async () => {
  gate.streams = false;
  const page = await open();
  await write(page, ...Array.from({ length: 10 }, () => LARGE));
  await page.close({ runBeforeUnload: true });
  await expect.poll(() => books.all.length).toBe(1);
  gate.streams = true;
  await open();
  await expect.poll(() => books.closed.length).toBe(1);
  const [session] = books.all;
  expect(session?.rows.size).toBeGreaterThan(0);
  expect(session?.lostFor('page_closed')).toBe(10 - (session?.rows.size ?? 0));
  expect(gate.bodies[0]?.length).toBeLessThanOrEqual(60 * 1024);
});

test('in the back/forward cache and back, the same session goes on', async () => {
  const page = await open();
  await connected(page);
  await write(page, 1);
  await page.goto(elsewhere());
  await expect.poll(() => gate.open).toBe(0);
  await goBack(page);
  await connected(page);
  await write(page, 2);
  await expect.poll(values).toEqual([1, 2]);
  expect(books.all).toHaveLength(1);
  expect(books.repeats).toBe(0);
  expect(await stats(page)).toMatchObject({ created: 2, pending: 0, lost: {} });
  await page.close({ runBeforeUnload: true });
  await expect.poll(() => books.closed.length).toBe(1);
});

test('hidden without a stream, what is pending leaves by one request until something new is', async () => {
  gate.streams = false;
  const page = await open();
  await write(page, 1);
  // Another tab before it.
  const other = await context.newPage();
  await other.goto('about:blank');
  const hide = () =>
    page.evaluate(() => {
      Object.defineProperty(document, 'hidden', { configurable: true, value: true });
      document.dispatchEvent(new Event('visibilitychange'));
    });
  await hide();
  await expect.poll(values).toEqual([1]);
  await hide();
  await write(page, 2);
  await hide();
  await expect.poll(values).toEqual([1, 2]);
  expect(gate.bodies).toHaveLength(2);
  await reopen(page);
  await connected(page);
  expect(await stats(page)).toMatchObject({ acknowledged: 2, pending: 0 });
  expect(books.repeats).toBe(0);
});

test('frozen, it leaves its stream; resumed, the same session goes on', async () => {
  const page = await open();
  await connected(page);
  await write(page, 1);
  // No page without a screen is ever hidden, as one that is frozen must be: the events alone.
  await page.evaluate(() => document.dispatchEvent(new Event('freeze')));
  await expect.poll(() => gate.open).toBe(0);
  await expect.poll(values).toEqual([1]);
  await page.evaluate(() => document.dispatchEvent(new Event('resume')));
  await connected(page);
  await write(page, 2);
  await expect.poll(values).toEqual([1, 2]);
  expect(books.all).toHaveLength(1);
});

test('offline nothing is tried, and the network’s return is soon enough', async () => {
  const page = await open({}, 'relay.test');
  await connected(page);
  // Playwright's own would keep the tries from arriving here, so that none could be counted.
  const online = (value: boolean) =>
    page.evaluate((value) => {
      Object.defineProperty(navigator, 'onLine', { configurable: true, value });
      window.dispatchEvent(new Event(value ? 'online' : 'offline'));
    }, value);
  await online(false);
  gate.cut();
  await page.waitForFunction(() => window.app.emitter.stats().state === 'waiting');
  await write(page, 1);
  const { tries } = gate;
  // Longer than the first waits together; nothing can be awaited that is not to happen.
  await page.waitForTimeout(1_500);
  expect(gate.tries).toBe(tries);
  await online(true);
  await expect.poll(values).toEqual([1]);
});

test('a machine that slept: the first write after it has its own time', async () => {
  const page = await open();
  await connected(page);
  await write(page, 1);
  await page.evaluate(() => window.app.emitter.flush());
  // Only this clock moves, not the relay's: a time from before the jump would be an hour off on its axis.
  await page.evaluate(() => {
    const { now } = Date;
    Date.now = () => now() + 3_600_000;
    window.app.set(2);
  });
  await expect.poll(values).toEqual([1, 2]);
  const [before, after] = [...(books.all[0]?.times.values() ?? [])].map((time) => Date.parse(time));
  expect(Math.abs((after ?? 0) - (before ?? 0))).toBeLessThan(60_000);
  await connected(page);
});

test('the address of a last request keeps what stands before the relay’s own path', async () => {
  gate.streams = false;
  const page = await context.newPage();
  const asked = page.waitForRequest((request) => request.method() === 'POST');
  await page.goto(address().replace('%2Fv1%2Fstream', '%2Fproxied%2Fv1%2Fstream%3Ftenant%3D1'));
  await page.waitForFunction(() => window.app.emitter.stats().state !== 'loading');
  await write(page, 1);
  await page.evaluate(() => window.dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true })));
  expect((await asked).url()).toBe(`http://127.0.0.1:${gate.port}/proxied/v1/batch?tenant=1`);
  expect((await asked).headers()).not.toHaveProperty('content-type');
});
