import { expect, inject } from 'vitest';
import { readBooks } from '../lib/account.ts';
import { withRelay } from '../lib/browser.ts';
import { test } from '../lib/test.ts';
import { until } from '../lib/until.ts';

test.for(['SIGTERM', 'SIGKILL'] as const)(
  'a relay that ends by %s and comes back leaves every update a row or a counted loss',
  async (signal, { page, relay, consumer, database }) => {
    const look = () => page.evaluate(() => window.writer.look());
    await page.goto(withRelay(inject('writer'), relay.stream));
    await page.evaluate(() => window.writer.start());
    await until('the first rows', async () => (await database.count()) > 50);

    await relay.stop(signal);
    // More than a batch: what is written while nobody listens.
    await until('updates wait', async () => (await look()).pending > 100);
    await relay.start();
    // Written after the outage, so that what it cost, if anything, shows.
    const { created: back } = await look();
    await until('updates flow again', async () => (await look()).acknowledged > back + 50);

    await page.evaluate(() => window.writer.stop());
    await page.evaluate(() => window.writer.flush());
    const { created, acknowledged, pending, lost } = await look();
    expect(await page.evaluate(() => window.writer.unbalanced())).toEqual([]);
    expect(pending).toBe(0);
    // The queue held what the outage cost.
    expect(lost).toEqual({});
    expect(acknowledged).toBe(created);

    await until('the last update is a row', async () => (await database.nextSeq()) === created);
    const { updates } = await consumer.stop();
    const books = await readBooks(database);
    expect(books).toMatchObject({ balanced: true, updates: created, rows: updates.stored });
    // A relay that drains has given everything away. One that is killed takes along what was not read yet.
    const allowed = signal === 'SIGTERM' ? [] : ['bus/relay_vanished'];
    const reasons = books.lost.map(({ place, reason }) => `${place}/${reason}`);
    expect(reasons.filter((reason) => !allowed.includes(reason))).toEqual([]);

    // Values are the numbers 0, 1, 2, …: none is there twice, none is out of its place.
    const numbers = (await database.updates()).map((row) => Number(row.value));
    expect(new Set(numbers).size).toBe(numbers.length);
    expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
  },
);
