import type { Evidence } from './evidence.ts';
import { UNSEEN } from './Tabs.ts';
import type { Verdict } from './verdict.ts';

/** The report for people, in Markdown. */
export function report(evidence: Evidence, { problems, shortfalls, unseen }: Verdict): string {
  const { options, log, generated, pages, back, network, books } = evidence;
  const kinds = new Map<string, number>();
  for (const { kind } of log.struck) kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
  return [
    '# Chaos',
    `${number(options.updates)} updates of ${options.sessions} sessions at ${options.rate} a second, ` +
      `${options.faults} faults, seed ${options.seed}, acknowledged when ${options.acknowledge}. ` +
      `${pages.length} pages wrote ${number(pages.reduce((sum, page) => sum + page.written, 0))} more.`,
    problems.length === 0
      ? `Every update is accounted for${unseen.length === 0 ? '' : ', those of a last moment (below) apart'}.`
      : `**Problems:**\n\n${problems.map((problem) => `- ${problem}`).join('\n')}`,
    '## Faults',
    table(['fault', 'times'], [...kinds].toSorted()),
    '## Books',
    `\`\`\`\n${books.text.trimEnd()}\n\`\`\``,
    table(
      ['lost at', 'because', 'updates'],
      books.lost.map(({ place, reason, updates }) => [place, reason, updates]),
    ),
    '## Said by the generator',
    table(
      ['', 'updates'],
      [
        ['created', generated.created],
        ['acknowledged', generated.acknowledged],
        ...Object.entries(generated.lost).map(([reason, count]): [string, number] => [
          `lost: ${reason}`,
          count,
        ]),
      ],
    ),
    `${number(generated.sessions.reduce((sum, session) => sum + session.connections, 0))} connections were ` +
      `welcomed. Through the network: ${JSON.stringify(network)}. From the back/forward cache: ${JSON.stringify(back)}.`,
    '## Of a last moment',
    unseen.length === 0
      ? 'Nothing.'
      : `Made just before a page was killed, too late for a note: up to ${UNSEEN} of each such page.\n\n${table(
          ['whose', 'updates'],
          [
            ...unseen.map(({ whose, updates }): [string, number] => [whose, updates]),
            ['together', unseen.reduce((sum, { updates }) => sum + updates, 0)],
          ],
        )}`,
    '## Not in the books, and why',
    shortfalls.length === 0
      ? 'Nothing.'
      : table(
          ['whose', 'made', 'known', 'because'],
          shortfalls.map(({ whose, made, known, because }) => [whose, made, known, because || '?']),
        ),
    '',
  ].join('\n\n');
}

function table(head: string[], rows: (string | number)[][]): string {
  const line = (cells: (string | number)[]) =>
    `| ${cells.map((cell) => (typeof cell === 'number' ? number(cell) : cell)).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

const number = (value: number): string => value.toLocaleString('en');
