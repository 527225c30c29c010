/** How often a condition is looked at, in milliseconds. */
const INTERVAL = 20;

/** Long enough for a machine that is busy with something else; a test that passes waits for none of it. */
const TIMEOUT = 30_000;

/** Thrown by a check: what is waited for will never come. */
export class Hopeless extends Error {}

/**
 * Waits until `check` answers with something true, and gives that answer. A check that throws is as one that
 * answers no; what it threw last is the cause of the error at the end.
 */
export async function until<T>(
  what: string,
  check: () => T | Promise<T>,
  { timeout = TIMEOUT } = {},
): Promise<Exclude<T, undefined | null | false | 0 | ''>> {
  const deadline = performance.now() + timeout;
  for (;;) {
    let cause: unknown;
    try {
      const answer = await check();
      if (answer) return answer as Exclude<T, undefined | null | false | 0 | ''>;
      cause = answer;
    } catch (error) {
      if (error instanceof Hopeless) throw error;
      cause = error;
    }
    if (performance.now() > deadline) {
      throw new Error(`not after ${timeout / 1000} s: ${what}`, { cause });
    }
    await new Promise((resolve) => setTimeout(resolve, INTERVAL));
  }
}
