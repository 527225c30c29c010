import type { Log } from './kinds.ts';

type Listener = (event: PromiseRejectionEvent) => void;

/** Logs what the page reports as unhandled. */
export function rejectionEvents(log: Log): { stop: () => void } {
  return listen((event) => {
    event.preventDefault();
    if (event.reason !== undefined) log(event.type, event.reason);
  });
}

/** Until the page has reported what it has to report: it does so in their order, so one more rejection tells. */
export async function allReported(timeout: typeof setTimeout = setTimeout): Promise<void> {
  // Those of this very task come first.
  await new Promise((resolve) => timeout(resolve));
  const reported = Promise.withResolvers<void>();
  const probing = listen((event) => {
    if (event.promise !== probe) return;
    event.preventDefault();
    reported.resolve();
  });
  // The engine's own also where zone.js is, which tells nobody of its promises but the console.
  const probe = (async () => {
    throw undefined;
  })();
  await reported.promise;
  probing.stop();
}

/** By the method that zone.js patches; the other is Vitest's, which takes rejections for failures otherwise. */
function listen(listener: Listener): { stop: () => void } {
  const { addEventListener, removeEventListener } = EventTarget.prototype;
  const handler = listener as (event: Event) => void;
  window.addEventListener('unhandledrejection', ignore);
  addEventListener.call(window, 'unhandledrejection', handler);
  return {
    stop() {
      removeEventListener.call(window, 'unhandledrejection', handler);
      window.removeEventListener('unhandledrejection', ignore);
    },
  };
}

function ignore(): void {}
