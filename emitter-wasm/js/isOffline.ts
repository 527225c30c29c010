/** This machine, which no network is needed for. */
const LOOPBACK = /^\w+:\/\/(localhost|127\.[\d.]+|\[::1\])(:|\/|$)/;

/** Whether the browser knows that `url` cannot be reached. That it does not know so says nothing. */
export function isOffline(url: string): boolean {
  return navigator.onLine === false && !LOOPBACK.test(url);
}
