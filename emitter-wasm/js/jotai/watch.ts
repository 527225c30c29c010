import { Outcome, outcomes } from './Outcome.js';
import { EnginePromise, watchPromise } from './watchPromise.js';
import { watchThenable } from './watchThenable.js';

/**
 * Finds out what becomes of `value` if it is asynchronous, as Jotai decides that: by its `then`. To be called
 * before anybody else learns of it; it is `fresh` if nobody can have handled it yet.
 *
 * The app's promises stay as they are: rejections are reported as unhandled exactly when they would have been,
 * and `then` is not called more often.
 */
export function watch(value: unknown, fresh = false): Outcome | undefined {
  if (typeof (value as Partial<PromiseLike<unknown>> | undefined | null)?.then !== 'function')
    return undefined;
  const thenable = value as PromiseLike<unknown>;
  let outcome = outcomes.get(thenable);
  if (!outcome) {
    outcome = new Outcome();
    try {
      outcomes.set(thenable, outcome);
      if (thenable instanceof EnginePromise || thenable instanceof Promise)
        watchPromise(thenable, outcome, fresh);
      else watchThenable(thenable, outcome);
    } catch {
      // Frozen, or a proxy with a will of its own: it counts as over.
      outcome.settle(false);
    }
  }
  return outcome;
}
