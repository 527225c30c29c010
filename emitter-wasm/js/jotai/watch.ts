/**
 * Calls back when `promise` settles, without taking part: a rejection that the app does not handle is still
 * reported as unhandled, and one that it handles is not.
 *
 * A plain `then` with two callbacks would hide the first, because it counts as handling; with one it would
 * report the second twice. So the rejection goes on in a promise of our own, until the app takes up the
 * original: `await`, `then` and `Promise.all` all read its `constructor` when they do (ECMA-262,
 * PromiseResolve and SpeciesConstructor). What the app did before it gave the promise away cannot be seen.
 */
export function watch<Value>(
  promise: Promise<Value>,
  onFulfilled: (value: Value) => void,
  onRejected: (error: unknown) => void,
): void {
  const original = promise.constructor;
  const ours = promise.then(onFulfilled, (error) => {
    onRejected(error);
    throw error;
  });
  const watching = Reflect.defineProperty(promise, 'constructor', {
    configurable: true,
    get() {
      ours.catch(() => {});
      return original;
    },
  });
  // A frozen promise: rather silent than reported twice.
  if (!watching) ours.catch(() => {});
}
