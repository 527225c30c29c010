import type { EmitterOptions } from './EmitterOptions.js';

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
export function settingsOf(options: EmitterOptions, complain: (message: string) => void): Settings {
  const wrong: string[] = [];

  function count(name: string, value: unknown, byDefault: number, most: number): number {
    if (value === undefined) return byDefault;
    if (Number.isSafeInteger(value) && Number(value) >= 1 && Number(value) <= most) return Number(value);
    wrong.push(`${name} must be a whole number from 1 to ${most}; ${byDefault} is used`);
    return byDefault;
  }

  function isSecond(name: string, value: unknown, [first, second]: [string, string]): boolean {
    if (value !== undefined && value !== first && value !== second) {
      wrong.push(`${name} must be '${first}' or '${second}'; '${first}' is used`);
    }
    return value === second;
  }

  const { maxUpdates, maxBytes, whenFull } = options.queue ?? {};
  const settings = {
    maxUpdates: count('queue.maxUpdates', maxUpdates, DEFAULT_UPDATES, MOST_UPDATES),
    maxBytes: count('queue.maxBytes', maxBytes, DEFAULT_BYTES, MOST_BYTES),
    dropOldest: isSecond('queue.whenFull', whenFull, ['drop_newest', 'drop_oldest']),
    dropUnserializable: isSecond('unserializable', options.unserializable, ['send_without_value', 'drop']),
  };
  if (wrong.length > 0) complain(wrong.join('; '));
  return settings;
}
