import type { Loss } from '../write/Recorder.js';
import type { Span } from '../write/Span.js';
import type { Core } from './Core.js';
import type { Memory } from './memoryOf.js';
import type { Clock } from './newClock.js';
import type { Settings } from './settingsOf.js';

/** UTF-16 units that cross at once: three bytes each at the most, and there is room for twice as many. */
const CHUNK = 85 * 1024;
/** What stands beside the texts of each, in the module's own order, and how many cross at once. */
const NUMBERS = 12;
const ENTRIES = 512;
/** More than the protocol takes of any text but a value. */
const MOST_OF_TEXT = 1_100;
const SPACE = 0x20;

const TOO_LARGE = 2;
const NOT_SERIALIZABLE = 3;

/** Hands what was written to the module. */
export interface Intake {
  /** Keys that the module knows, with their indices. */
  readonly keys: Map<string, number>;
  intern(key: string): number;
  take(list: readonly (Span | Loss)[]): void;
}

/** Many updates cross at once: their texts as one, and their numbers. */
export function intakeOf(core: Core, memory: Memory, clock: Clock, { dropUnserializable }: Settings): Intake {
  const keys = new Map<string, number>();
  const numbers = new Float64Array(ENTRIES * NUMBERS);
  let count = 0;
  let text = '';

  /** The index of `key`, -1 where it travels in full. */
  function intern(key: string): number {
    let index = keys.get(key);
    if (index === undefined) {
      index = core.intern(memory.text(cut(key)));
      if (index >= 0) keys.set(key, index);
    }
    return index;
  }

  function add({ key, error, value, traceparent = '', position, start, duration, root, parent }: Span): void {
    if (dropUnserializable && value === undefined && !error) {
      lose(1, NOT_SERIALIZABLE);
      return;
    }
    const index = intern(key);
    const name = index < 0 ? cut(key) : '';
    const type = error ? cut(error.type) : '';
    const message = error ? cut(error.message) : '';
    const whole = typeof value === 'string' ? value : '';
    const altered = whole.charCodeAt(0) === SPACE ? 1 : 0;
    const json = altered ? whole.slice(1) : whole;
    // In the order in which the module takes them.
    const texts = name + type + message + traceparent + json;
    if (count === ENTRIES || text.length + texts.length > CHUNK) cross();
    text += texts;
    numbers.set(
      [
        index,
        name.length,
        error ? type.length : -1,
        message.length,
        traceparent.length,
        json.length || -1,
        altered,
        position,
        clock.at(start),
        clock.at(start + duration),
        root,
        parent,
      ],
      NUMBERS * count++,
    );
  }

  function lose(count: number, reason: number): void {
    cross();
    core.lose(count, reason);
  }

  function cross(): void {
    if (count === 0) return;
    const bytes = memory.text(text);
    memory.numbers(numbers.subarray(0, NUMBERS * count));
    // What does not fit is one value alone.
    if (bytes < 0) core.lose(1, TOO_LARGE);
    else core.push(bytes, text.length, count);
    text = '';
    count = 0;
  }

  return {
    keys,
    intern,
    take(list) {
      for (const entry of list) {
        if ('reason' in entry) lose(entry.count, entry.reason);
        else add(entry);
      }
      cross();
    },
  };
}

/** Half a surrogate at its end would become one character with what comes next. */
function cut(text: string): string {
  return text.slice(0, MOST_OF_TEXT).replace(/[\ud800-\udbff]$/, '\ufffd');
}
