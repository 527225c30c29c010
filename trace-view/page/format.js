// Numbers for people. Times come as strings of nanoseconds; differences fit a number, dates need BigInt.

const UNITS = [
  ['s', 1e9],
  ['ms', 1e6],
  ['µs', 1e3],
  ['ns', 1],
];

/** @param {number} ns */
export function duration(ns) {
  if (ns === 0) return '0';
  if (ns < 0) return `−${duration(-ns)}`;
  if (ns >= 60e9) {
    const seconds = Math.round(ns / 1e9);
    const [minutes, hours] = [Math.floor(seconds / 60) % 60, Math.floor(seconds / 3600)];
    return hours > 0 ? `${hours} h ${pad(minutes)} min` : `${minutes} min ${pad(seconds % 60)} s`;
  }
  // What would round to 1000 of a unit is 1 of the next.
  const [unit, size] = UNITS.find(([, size]) => ns >= 0.9995 * size) ?? UNITS[3];
  const value = ns / size;
  // Three digits say enough; whole nanoseconds have no fraction to show.
  const digits = size === 1 || value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return `${Number(value.toFixed(digits))} ${unit}`;
}

/** Round positions on an axis of `total` nanoseconds, about as many as asked for, in whole nanoseconds. */
export function ticks(total, wanted) {
  const rough = Math.max(total / wanted, 1);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
  const positions = [];
  for (let index = 0; index * step <= total; index++) positions.push(index * step);
  return positions;
}

/** @param {string} ns Nanoseconds since 1970; the answer is in the reader's time zone. */
export function clock(ns) {
  const date = new Date(Number(BigInt(ns) / 1_000_000n));
  const time = [date.getHours(), date.getMinutes(), date.getSeconds()].map(pad).join(':');
  return `${time}.${String(date.getMilliseconds()).padStart(3, '0')}`;
}

/** @param {string} ns Nanoseconds since 1970; the answer is in UTC, to the microsecond. */
export function timestamp(ns) {
  const time = BigInt(ns);
  const date = new Date(Number(time / 1_000_000_000n) * 1000);
  if (Number.isNaN(date.getTime())) return `${ns} ns`;
  const micros = String((time / 1000n) % 1_000_000n).padStart(6, '0');
  return `${date.toISOString().slice(0, 19).replace('T', ' ')}.${micros} UTC`;
}

export function bytes(count) {
  if (count < 1024) return `${count} B`;
  const [unit, size] = count < 1 << 20 ? ['KiB', 1 << 10] : ['MiB', 1 << 20];
  const value = count / size;
  return `${value.toFixed(value < 10 ? 1 : 0)} ${unit}`;
}

export function count(number, noun) {
  return `${number.toLocaleString('en')} ${noun}${number === 1 ? '' : 's'}`;
}

function pad(number) {
  return String(number).padStart(2, '0');
}
