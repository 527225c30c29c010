import type { Log } from './kinds.ts';

/** Logs what the page reports as unhandled. */
export function rejectionEvents(log: Log): { stop: () => void } {
  const listener = (event: PromiseRejectionEvent) => {
    event.preventDefault();
    if (event.reason !== undefined) log(event.type, event.reason);
  };
  window.addEventListener('unhandledrejection', listener);
  return { stop: () => window.removeEventListener('unhandledrejection', listener) };
}

/** Until the page has reported what it has to report: it does so in their order, so one more rejection tells. */
export async function allReported(): Promise<void> {
  // Those of this very task come first.
  await new Promise((resolve) => setTimeout(resolve));
  const probe = Promise.withResolvers<void>();
  const reported = new Promise<void>((resolve) => {
    const listener = (event: PromiseRejectionEvent) => {
      if (event.promise !== probe.promise) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      window.removeEventListener('unhandledrejection', listener, { capture: true });
      resolve();
    };
    window.addEventListener('unhandledrejection', listener, { capture: true });
  });
  probe.reject();
  await reported;
}
