import { afterPatience } from './afterPatience.js';
import { type Outcome, outcomes } from './Outcome.js';

/** The engine's own, which `async` functions return, whatever zone.js puts in its name's place. */
export const EnginePromise: PromiseConstructor = (async () => {})().constructor as PromiseConstructor;

/**
 * Finds out what becomes of `promise` without changing what becomes of its rejection.
 *
 * To call `then` counts as handling, so that must not happen before the app has done it. When it does, by
 * `then`, `await` or `Promise.all`, each of them reads the promise's `constructor` (ECMA-262, PromiseResolve and
 * SpeciesConstructor; zone.js does as they do). So until then the promise has a prototype of its own, between
 * itself and its class, which notices. (A `constructor` on the promise itself would do, too, but for it V8 turns
 * off a fast path of all promises on the page.) Of what nobody takes up we learn otherwise:
 *
 * - A rejection is in the browser's own report.
 * - What settles is taken up late. If it had been handled before we saw it, no harm is done then.
 * - What is `fresh` nobody can have handled: it is taken up at once, and its rejection goes on in a promise of
 *   ours until the app takes up the original. So does that of a promise which is still pending when it is late;
 *   only here a rejection would be reported that was handled before we saw the promise.
 */
export function watchPromise(promise: Promise<unknown>, outcome: Outcome, fresh: boolean): void {
  const base = Object.getPrototypeOf(promise);
  let ours: Promise<void> | undefined;
  let isOurs = false;
  let late = false;

  const take = async () => {
    isOurs = true;
    try {
      outcome.settle(false, await promise, late);
    } catch (error) {
      outcome.settle(true, error, late);
      if (!late) throw error;
    }
  };
  const notice = () => {
    if (isOurs) {
      isOurs = false;
      // With this answer `await` asks nothing else of the promise: not the `then` of a subclass.
      return EnginePromise;
    }
    if (!outcome.known) ours ??= take();
    ours?.catch(() => {});
    Object.setPrototypeOf(promise, base);
    return promise.constructor;
  };
  Object.setPrototypeOf(promise, Object.create(base, { constructor: { get: notice } }));

  if (fresh) {
    ours = take();
  } else {
    // Not by the page's own method: test runners count there who listens. To add it again does nothing.
    EventTarget.prototype.addEventListener.call(globalThis, 'unhandledrejection', hearRejection, true);
    afterPatience(() => {
      if (ours || outcome.known) return;
      late = true;
      ours = take();
      // By then everything has been heard that had settled already.
      setTimeout(() => {
        late = false;
      });
    });
  }
}

function hearRejection(event: Event): void {
  const { promise, reason } = event as PromiseRejectionEvent;
  outcomes.get(promise)?.settle(true, reason);
}
