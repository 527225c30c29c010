/** One timer, set anew as often as need be. Times are in microseconds. */
export interface Alarm {
  /** Rings at `at`, or sooner; never where that is infinite. */
  set(at: number, now: number): void;
}

export function newAlarm(ring: () => void): Alarm {
  let due = Infinity;
  let timer: ReturnType<typeof setTimeout> | undefined;
  return {
    set(at, now) {
      // One that comes too early costs less than to set another.
      if (at === due || (at > due && at < Infinity)) return;
      // First: the app may have a `setTimeout` of its own, which writes.
      due = at;
      clearTimeout(timer);
      if (at === Infinity) return;
      const set = setTimeout(
        () => {
          due = Infinity;
          ring();
        },
        Math.max(Math.ceil((at - now) / 1_000), 0),
      );
      // It did write, and what it wrote has set the timer: two would each set more.
      if (due === at) timer = set;
      else clearTimeout(set);
    },
  };
}
