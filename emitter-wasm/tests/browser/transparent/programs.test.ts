import fc from 'fast-check';
import { expect, test } from 'vitest';
import { startWithPeer } from '../../peer/startWithPeer.ts';
import { type Kind, plain, withTracing } from './kinds.ts';
import { type Program, program } from './Program.ts';
import { allReported, rejectionEvents } from './rejectionEvents.ts';
import { runProgram } from './runProgram.ts';

/** What an app sees of a program, in its order, and what the page reports of it, in any. */
async function observe(program: Program, kind: Kind): Promise<{ seen: unknown[]; reported: string[] }> {
  const seen: unknown[] = [];
  const reported: string[] = [];
  const events = rejectionEvents((...event) => reported.push(String(event)));
  await runProgram(program, kind, (...observed) => seen.push(observed));
  await allReported();
  events.stop();
  return { seen, reported: reported.sort() };
}

async function sameForAnyProgram(seed: number): Promise<void> {
  await fc.assert(
    fc.asyncProperty(program, async (program) => {
      expect(await observe(program, withTracing)).toEqual(await observe(program, plain));
    }),
    { seed, numRuns: 200 },
  );
}

test('any program shows the same before an emitter starts', { timeout: 60_000 }, () => sameForAnyProgram(1));

test('any program shows the same with an emitter', { timeout: 60_000 }, async () => {
  const { emitter } = await startWithPeer();
  await sameForAnyProgram(2);
  await emitter.flush();
  expect(emitter.stats().acknowledged).toBeGreaterThan(1_000);
  expect(emitter.stats().lost).toEqual({});
});
