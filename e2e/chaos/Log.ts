import type { Fault } from './schedule.ts';

/** A fault as it happened. Times are `performance.now()`. */
export interface Struck extends Fault {
  from: number;
  to: number;
  /** How many updates the generator had made by then. */
  progress: number;
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
    this.#say(`${seconds} s  ${String(fault.progress).padStart(9)} updates  ${what.padEnd(34)} ${lasted}`);
  }

  /** Whether one of `kinds` happened. */
  had(kinds: RegExp): boolean {
    return this.struck.some(({ kind }) => kinds.test(kind));
  }
}

const detail = ({ kind, direction }: Fault): string =>
  /stalled|half/.test(kind) && kind.startsWith('connections') ? direction : '';
