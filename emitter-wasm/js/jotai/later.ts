/** How long an app may leave alone what it has written. Nearly everything has settled by then. */
const PATIENCE_MS = 1_000;

const waiting: (() => void)[] = [];

/** Calls back within `PATIENCE_MS`. One timer serves all: the app may write anew in its own `setTimeout`. */
export function later(run: () => void): void {
  if (waiting.push(run) > 1) return;
  setTimeout(() => {
    for (const due of waiting.splice(0)) due();
  }, PATIENCE_MS);
}
