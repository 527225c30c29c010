import type { EmitterOptions } from '../EmitterOptions.js';

/** Three minutes of one write at every frame of a 60 Hz display. */
const DEFAULT_UPDATES = 10_000;
/** 400 for each of those, and little beside a page's own memory. */
const DEFAULT_BYTES = 4 * 1024 * 1024;
/** Beyond these it is a queue that nobody will ever wait for. */
const MOST_UPDATES = 1_000_000;
const MOST_BYTES = 256 * 1024 * 1024;

/** The options that have a default, checked. */
export interface Settings {
  maxUpdates: number;
  maxBytes: number;
  dropOldest: boolean;
  dropUnserializable: boolean;
}

/** Instead of what is no valid option the default is used; `complain` hears of all of them at once. */
export function settingsOf(
  { queue, unserializable }: EmitterOptions,
  complain: (message: string) => void,
): Settings {
  const wrong: string[] = [];

  function count(name: string, value: number | undefined, byDefault: number, most: number): number {
    if (value === undefined || (Number.isInteger(value) && value > 0 && value <= most))
      return value ?? byDefault;
    wrong.push(`${name} is 1 to ${most}`);
    return byDefault;
  }

  function isSecond(name: string, value: string | undefined, first: string, second: string): boolean {
    if (value !== undefined && value !== first && value !== second)
      wrong.push(`${name} is '${first}' or '${second}'`);
    return value === second;
  }

  const settings = {
    maxUpdates: count('maxUpdates', queue?.maxUpdates, DEFAULT_UPDATES, MOST_UPDATES),
    maxBytes: count('maxBytes', queue?.maxBytes, DEFAULT_BYTES, MOST_BYTES),
    dropOldest: isSecond('whenFull', queue?.whenFull, 'drop_newest', 'drop_oldest'),
    dropUnserializable: isSecond('unserializable', unserializable, 'send_without_value', 'drop'),
  };
  if (wrong.length > 0) complain(wrong.join('; '));
  return settings;
}
