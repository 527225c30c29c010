import {
  browserTracingIntegration,
  flush,
  getActiveSpan,
  init,
  type Span,
  startInactiveSpan,
  startSpan,
} from '@sentry/browser';
import { atomAround } from './atomAround.ts';
import type { Peer } from './Peer.ts';
import { ATTRIBUTES, NAME, VALUE } from './span.ts';

const LOOK_EVERY_MS = 100;

/** What the writes until the next flush belong to, as those of a click would. */
let click: Span | undefined;

/** A span for each write, value included; they are streamed, as is the default. */
export const sentry: Peer = {
  atom: atomAround((write) => {
    click ??= startInactiveSpan({ name: 'click' });
    startSpan({ name: NAME, attributes: ATTRIBUTES, parentSpan: click }, (span) => {
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
    click?.end();
    click = undefined;
    await flush();
  },
};
