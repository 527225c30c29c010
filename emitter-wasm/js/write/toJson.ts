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

let altered = false;

/**
 * `value` as JSON, whatever its getters and `toJSON` do; they do not run where nobody takes the text.
 *
 * It is looked at first, since nothing stops `JSON.stringify`: 10 MiB of typed array take it 20 s.
 */
export function toJson(value: unknown): Json {
  if (registry.recorder?.full) return QUEUE_FULL;
  try {
    altered = false;
    if (look(value, MOST) < 0) return TOO_LARGE;
    const mark = altered ? ' ' : '';
    const text = JSON.stringify(value);
    if (text?.length > MOST) return TOO_LARGE;
    return text && mark + text;
  } catch {
    return undefined;
  }
}

/** What is left of `room` once `value` is in it: its text takes no less. Below 0 it looks no further. */
function look(value: unknown, room: number): number {
  if (typeof value === 'string') return room - value.length;
  if (typeof value === 'number') altered ||= value - value !== 0;
  if (typeof value !== 'object' || value === null) return room;
  let left = room;
  if (Array.isArray(value)) {
    left -= value.length;
    for (let index = 0; index < value.length && left >= 0; index++) left = look(value[index], left);
    return left;
  }
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) {
    // What it answers is its own affair.
    if ('toJSON' in value) return left;
    altered ||= Object.prototype.toString.call(value) !== '[object Object]';
    if (ArrayBuffer.isView(value)) return left - value.byteLength;
  }
  for (const key in value) {
    left = look((value as Record<string, unknown>)[key], left - 2);
    if (left < 0) break;
  }
  return left;
}
