import { expect, inject } from 'vitest';
import { withRelay } from '../lib/browser.ts';
import { test } from '../lib/test.ts';

const WRITES = 1000;

test('a thousand writes in one go are a thousand rows, in order', async ({
  page,
  relay,
  consumer,
  database,
}) => {
  await page.goto(withRelay(inject('writer'), relay.stream));
  await page.evaluate((count) => window.writer.write(count), WRITES);
  await page.evaluate(() => window.writer.flush());
  expect(await page.evaluate(() => window.writer.look())).toMatchObject({
    created: WRITES,
    acknowledged: WRITES,
    pending: 0,
    lost: {},
  });
  expect(await page.evaluate(() => window.writer.unbalanced())).toEqual([]);

  const rows = await database.arrived(WRITES);
  const { updates, gaps } = await consumer.stop();
  expect(updates).toMatchObject({ received: WRITES, stored: WRITES, duplicates: 0 });
  expect(gaps).toEqual({});
  const numbers = Array.from({ length: WRITES }, (_, index) => index);
  expect(rows.map((row) => row.seq)).toEqual(numbers);
  expect(rows.map((row) => Number(row.value))).toEqual(numbers);
  expect(new Set(rows.map((row) => row.trace_id)).size).toBe(WRITES);
});
