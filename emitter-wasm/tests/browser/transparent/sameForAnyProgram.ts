import fc from 'fast-check';
import { expect, vi } from 'vitest';
import { type Kind, plain, withTracing } from './kinds.ts';
import { type Program, program } from './Program.ts';
import { allReported, rejectionEvents } from './rejectionEvents.ts';
import { runProgram } from './runProgram.ts';

/** What an app sees of a program, in its order, and what the page reports of it, in any. */
async function observe(program: Program, kind: Kind): Promise<{ seen: unknown[]; reported: string[] }> {
  const seen: unknown[] = [];
  const reported: string[] = [];
  const events = rejectionEvents((...event) => reported.push(String(event)));
  const zones = vi.spyOn(console, 'error').mockImplementation((what, reason) => {
    if (what === 'Unhandled Promise rejection:') reported.push(String(reason));
  });
  await runProgram(program, kind, (...observed) => seen.push(observed));
  await allReported();
  events.stop();
  zones.mockRestore();
  return { seen, reported: reported.sort() };
}

/** Runs random programs with plain and with traced atoms; one that shows a difference is made small and told. */
export async function sameForAnyProgram(seed: number): Promise<void> {
  await fc.assert(
    fc.asyncProperty(program, async (program) => {
      expect(await observe(program, withTracing)).toEqual(await observe(program, plain));
    }),
    { seed, numRuns: 300 },
  );
}
