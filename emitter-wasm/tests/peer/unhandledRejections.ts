import { onTestFinished } from 'vitest';

/** Collects what the page reports as unhandled, and keeps it from failing the test run. */
export function unhandledRejections(): () => unknown[] {
  const reasons: unknown[] = [];
  const listener = (event: PromiseRejectionEvent) => {
    event.preventDefault();
    event.stopImmediatePropagation();
    reasons.push(event.reason);
  };
  window.addEventListener('unhandledrejection', listener, { capture: true });
  onTestFinished(() => window.removeEventListener('unhandledrejection', listener, { capture: true }));
  return () => reasons;
}
