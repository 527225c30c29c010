import type { Evidence } from './evidence.ts';

/** What a client gives up by itself, while it lives. */
const GIVEN_UP = ['queue_full', 'too_large', 'not_serializable'];
/**
 * Of the generator's queues (bench/load/src/chaos/plan.rs), and of the list of losses beside each. A client whose list
 * is at its bound reports neighbours under one of their reasons (PROTOCOL.md, section 10): who gave up fewer than
 * this has told each under its own.
 */
const SMALLEST_QUEUE = 100;

/** What the clients say they lost is what the books say, but for what the bus lost of the reports; else a problem. */
export function compareLosses({ generated, pages, losses, books }: Evidence): string[] {
  const problems: string[] = [];
  const complete = books.lost.every(({ place }) => place !== 'bus');

  function compare(who: string, reasons: string, said: number, known: number): void {
    if (known > said || (complete && known < said))
      problems.push(`${who} that ${said} updates were lost as ${reasons}, the books say ${known}`);
  }

  const clients = [generated, ...pages.map(({ stats }) => stats)];
  const given = books.lost.filter(({ place, reason }) => place === 'browser' && GIVEN_UP.includes(reason));
  const refused = books.lost.filter(({ place }) => place === 'relay');
  compare('clients say', GIVEN_UP.join(', '), sum(clients.map(({ lost }) => givenUp(lost))), total(given));
  compare('clients say', 'rejected', sum(clients.map(({ lost }) => lost.rejected ?? 0)), total(refused));

  for (const { session, lost } of generated.sessions) {
    const known = losses.filter((loss) => loss.session === session);
    const distinct = givenUp(lost) < SMALLEST_QUEUE;
    for (const reason of new Set([...GIVEN_UP, ...known.map(({ reason }) => reason)])) {
      const said = lost[reason] ?? 0;
      if (distinct || said === 0)
        compare(
          `session ${session} says`,
          reason,
          said,
          total(known.filter((loss) => loss.reason === reason)),
        );
    }
  }
  return problems;
}

function givenUp(lost: Record<string, number>): number {
  return sum(GIVEN_UP.map((reason) => lost[reason] ?? 0));
}

function total(losses: { updates: number }[]): number {
  return sum(losses.map(({ updates }) => updates));
}

function sum(counts: number[]): number {
  return counts.reduce((sum, count) => sum + count, 0);
}
