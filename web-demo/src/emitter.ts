import { startEmitter } from 'atomwire';
import { version } from '../package.json';
import { relayUrl } from './relay/relayUrl';

/** The one emitter of this page; every traced atom reports to it. */
export const emitter = startEmitter({
  url: relayUrl,
  service: { name: 'ituna-web', version },
  onDiagnostic: ({ kind, message }) => console.warn(`atomwire: ${kind}: ${message}`),
});
