/** How long an app may leave alone what it has written, at least. Nearly everything has settled by then. */
const PATIENCE_MS = 1_000;

let recent: (() => void)[] = [];
let due: (() => void)[] = [];

/**
 * Calls back after once to twice `PATIENCE_MS`. One timer serves all: the app may write in a `setTimeout` of its
 * own, and an asynchronous write would set the next.
 */
export function afterPatience(run: () => void): void {
  if (recent.push(run) + due.length === 1) setTimeout(tick, PATIENCE_MS);
}

function tick(): void {
  const over = due;
  due = recent;
  recent = [];
  if (due.length) setTimeout(tick, PATIENCE_MS);
  for (const run of over) run();
}
