import type { EmitterOptions } from '../EmitterOptions.js';
import { version } from './version.js';

/**
 * The OpenTelemetry resource of this page (semantic conventions 1.45), as the module takes it: keys and
 * values alternate, with a NUL after each.
 */
export function resourceOf({ service, resource }: EmitterOptions): string {
  const attributes: Record<string, string | undefined> = {
    'telemetry.sdk.name': 'atomwire',
    'telemetry.sdk.language': 'webjs',
    'telemetry.sdk.version': version,
    'browser.language': navigator.language,
    'user_agent.original': navigator.userAgent,
    ...resource,
    'service.name': service.name,
    'service.version': service.version,
  };
  const known = Object.entries(attributes).filter(([, value]) => value !== undefined);
  return `${known.flat().join('\0')}\0`;
}
