import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { at } from '../../scripts/lib/project.mjs';
import { RELAY } from './relay.mjs';

const PROGRAM = at('target', 'release', 'atomwire-bench');

/**
 * One measurement by `atomwire-bench`: what its command printed.
 * @param {string} command `load`, `idle`, `stalled` or `row`
 * @param {Record<string, string | number | boolean | undefined>} flags by their long names
 */
export async function measure(command, flags) {
  const given = Object.entries({ relay: RELAY, ...flags }).filter(([, value]) => value !== undefined);
  const args = given.flatMap(([name, value]) => {
    if (typeof value === 'boolean') return value ? [`--${name}`] : [];
    return [`--${name}`, String(value)];
  });
  const { stdout } = await promisify(execFile)(PROGRAM, [command, ...args]);
  return JSON.parse(stdout);
}

/**
 * Runs of each of `cases` in turns, so that what the machine does meanwhile meets all of them.
 * @template Case
 * @param {Case[]} cases
 * @param {number} runs
 * @param {(given: Case) => Promise<object>} run
 * @returns {Promise<{ given: Case, outcomes: any[] }[]>}
 */
export async function inTurns(cases, runs, run) {
  const results = cases.map((given) => ({ given, outcomes: [] }));
  for (let turn = 0; turn < runs; turn += 1) {
    for (const { given, outcomes } of results) outcomes.push(await run(given));
  }
  return results;
}
