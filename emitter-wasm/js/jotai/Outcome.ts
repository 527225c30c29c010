/** Hears how it ended. `late`: that was unseen, at some moment before now. */
type Listener = (failed: boolean, result?: unknown, late?: boolean) => void;

/** What became of one asynchronous value. */
export class Outcome {
  known: Parameters<Listener> | undefined;
  #listeners: Listener[] = [];

  settle(...known: Parameters<Listener>): void {
    this.known ??= known;
    for (const listener of this.#listeners.splice(0)) listener(...this.known);
  }

  whenKnown(listener: Listener): void {
    if (this.known) listener(...this.known);
    else this.#listeners.push(listener);
  }
}

/** Of every asynchronous value that was written. */
export const outcomes: WeakMap<object, Outcome> = new WeakMap();
