import { afterPatience } from './afterPatience.js';
import type { Outcome } from './Outcome.js';

/**
 * Finds out what becomes of some library's `thenable`. It may begin its work in `then`, and each time anew, so we
 * do not call that: we hear what it tells the app when the app does.
 */
export function watchThenable(thenable: PromiseLike<unknown>, outcome: Outcome): void {
  const then = thenable.then as (...callbacks: unknown[]) => unknown;
  let taken = false;
  const hear = (failed: boolean, callback: unknown) =>
    function (this: unknown, ...results: unknown[]): unknown {
      outcome.settle(failed, results[0]);
      if (typeof callback === 'function') return callback.apply(this, results);
      if (failed) throw results[0];
      return results[0];
    };
  Object.defineProperty(thenable, 'then', {
    configurable: true,
    writable: true,
    ...Object.getOwnPropertyDescriptor(thenable, 'then'),
    value(this: unknown, fulfilled: unknown, rejected: unknown, ...more: unknown[]) {
      taken = true;
      return then.call(this, hear(false, fulfilled), hear(true, rejected), ...more);
    },
  });
  afterPatience(() => {
    if (!taken) outcome.settle(false, undefined, true);
  });
}
