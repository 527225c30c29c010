import type { Fault } from './schedule.ts';

/**
 * How far from a fault its effects are still seen, in milliseconds: an emitter's wait after a few failed tries
 * (250 ms, doubled at each), and a consumer that starts.
 */
const AROUND = 4_000;

/** A fault as it happened. Times are `performance.now()`, progress is the generator's. */
export interface Struck extends Fault {
  from: number;
  to: number;
  fromProgress: number;
  toProgress: number;
}

/** The part that a fault is done to: what is done to one part is done one after another. */
export function partOf(fault: Fault): string {
  const [part = ''] = fault.kind.split(' ');
  return part === 'tab' ? `tab ${fault.tab}` : part === 'some' ? 'connections' : part;
}

/** What was done, in the order in which it was over. */
export class Log {
  readonly struck: Struck[] = [];
  readonly #say: (line: string) => void;
  readonly #started = performance.now();

  constructor(say: (line: string) => void) {
    this.#say = say;
  }

  add(fault: Struck): void {
    this.struck.push(fault);
    const seconds = ((fault.from - this.#started) / 1000).toFixed(1).padStart(7);
    const lasted = `${Math.round(fault.to - fault.from)} ms`;
    const what = [fault.kind, partOf(fault).startsWith('tab') ? fault.tab : '', detail(fault)].join(' ');
    this.#say(
      `${seconds} s  ${String(fault.fromProgress).padStart(9)} updates  ${what.padEnd(34)} ${lasted}`,
    );
  }

  /** Whether one of `kinds` happened, or any of them around `at`. */
  had(kinds: RegExp, at?: number): boolean {
    return this.struck.some(
      ({ kind, from, to }) =>
        kinds.test(kind) && (at === undefined || (from - AROUND < at && at < to + AROUND)),
    );
  }

  /** The most updates that were made while one of `kinds` lasted. */
  longest(kinds: RegExp): number {
    return Math.max(
      0,
      ...this.struck
        .filter(({ kind }) => kinds.test(kind))
        .map(({ fromProgress, toProgress }) => toProgress - fromProgress),
    );
  }
}

const detail = ({ kind, direction }: Fault): string =>
  /stalled|half/.test(kind) && kind.startsWith('connections') ? direction : '';
