import { expect, inject } from 'vitest';
import { withRelay } from '../lib/browser.ts';
import { test } from '../lib/test.ts';
import { expectOneTree } from '../lib/traces.ts';
import { until } from '../lib/until.ts';

declare global {
  interface Window {
    /** How many milliseconds the page's clock is wrong. */
    wrong: number;
  }
}

const DAY = 86_400_000;

test('a browser whose clock is a day off, and then set, gives traces that read right', async ({
  context,
  page,
  relay,
  database,
}) => {
  await context.addInitScript((wrong) => {
    window.wrong = wrong;
    const right = Date.now.bind(Date);
    Date.now = () => right() + window.wrong;
  }, DAY);
  await page.goto(withRelay(inject('writer'), relay.stream));

  const moments = [Date.now()];
  for (const [seq, wrong] of [DAY, -3 * DAY, 0].entries()) {
    await page.evaluate((wrong) => {
      window.wrong = wrong;
      window.writer.write(1);
      return window.writer.flush();
    }, wrong);
    await database.arrived(seq + 1);
    moments.push(Date.now());
  }

  const rows = await database.query<{ time: string; trace_id: string }>(
    'SELECT time, trace_id FROM atomwire_updates ORDER BY seq',
  );
  for (const [seq, { time, trace_id: traceId }] of rows.entries()) {
    const written = Date.parse(time);
    // The row's time has microseconds, and the offset an error of half a round trip.
    expect(written).toBeGreaterThan((moments[seq] ?? 0) - 1_000);
    expect(written).toBeLessThan((moments[seq + 1] ?? 0) + 1_000);
    await until('five spans', async () => (await relay.trace(traceId)).length >= 5);
    const spans = await relay.trace(traceId);
    expectOneTree(spans);
    const [first, last] = [spans[0]?.start ?? 0n, spans.at(-1)?.end ?? 0n];
    expect(last - first, 'the whole trace, in nanoseconds').toBeLessThan(BigInt(DAY) * 1_000_000n);
  }
});
