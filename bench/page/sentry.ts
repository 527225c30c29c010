import { browserTracingIntegration, flush, getActiveSpan, init, startSpan } from '@sentry/browser';
import { atomAround } from './atomAround.ts';
import type { Peer } from './Peer.ts';
import { ATTRIBUTES, NAME, VALUE } from './span.ts';

const LOOK_EVERY_MS = 100;

/** A span for each write, value included; they are streamed, as is the default. */
export const sentry: Peer = {
  atom: atomAround((write) => {
    startSpan({ name: NAME, attributes: ATTRIBUTES }, (span) => {
      span.setAttribute(VALUE, JSON.stringify(write()));
    });
  }),
  async start() {
    init({
      dsn: `${location.protocol}//key@${location.host}/1`,
      integrations: [browserTracingIntegration()],
      tracesSampleRate: 1,
    });
    // The span of the page's load would keep what is written meanwhile as its children, and slow it down.
    while (getActiveSpan() !== undefined) await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  },
  async flush() {
    await flush();
  },
};
