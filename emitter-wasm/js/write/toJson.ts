import { registry } from './registry.js';

/**
 * JSON text, with a space in front where parts of the value are missing from it; or why there is none: a reason
 * of loss, or nothing where JSON cannot hold the value.
 */
export type Json = string | number | undefined;

/** The protocol's limit on a value is this many bytes: so many UTF-16 units are beyond it in any case. */
const MOST = 256 * 1024;

const QUEUE_FULL = 1;
const TOO_LARGE = 2;

/** What may yet come of the value that is being looked at, in UTF-16 units; and whether parts of it are missing. */
let room = 0;
let altered = false;

/**
 * `value` as JSON, whatever its getters and `toJSON` do; they do not run where nobody takes the text.
 *
 * It is weighed first, since nothing stops `JSON.stringify`: 10 MiB of typed array take it 20 s. Weighing costs a
 * third to a half of what that does.
 */
export function toJson(value: unknown): Json {
  if (registry.recorder?.full) return QUEUE_FULL;
  // A getter that writes a traced atom comes here in the middle of another weighing.
  const outerRoom = room;
  const wasAltered = altered;
  try {
    room = MOST;
    altered = false;
    weigh(value);
    if (room < 0) return TOO_LARGE;
    const isAltered = altered;
    const text = JSON.stringify(value);
    if (text?.length > MOST) return TOO_LARGE;
    return isAltered ? ` ${text}` : text;
  } catch {
    return undefined;
  } finally {
    room = outerRoom;
    altered = wasAltered;
  }
}

/** Takes from `room` no more than the text of `value` will take. */
function weigh(value: unknown): void {
  if (typeof value === 'string') room -= value.length;
  // JSON makes null of it.
  else if (typeof value === 'number') altered ||= !Number.isFinite(value);
  else if (typeof value === 'object' && value !== null) enter(value);
}

function enter(value: object): void {
  // What that answers is its own affair.
  if ('toJSON' in value) return;
  // Not by its `constructor`: who reads that of a promise is about to take it up.
  if (Object.getPrototypeOf(value) === Object.prototype) weighProperties(value);
  else if (Array.isArray(value)) {
    room -= value.length;
    for (let index = 0; index < value.length && room >= 0; index++) weigh(value[index]);
  } else {
    altered ||= Object.prototype.toString.call(value) !== '[object Object]';
    if (ArrayBuffer.isView(value)) room -= value.byteLength;
    else weighProperties(value);
  }
}

function weighProperties(value: object): void {
  room -= 2;
  for (const key in value) {
    if (room < 0) return;
    weigh((value as Record<string, unknown>)[key]);
  }
}
