// Updates that nobody will receive, in words.

import { count } from './format.js';

const PLACES = ['browser', 'relay'];

/** @typedef {{ first: number, last: number, place: string, reason: string }} Loss as the API gives it */

/** @param {Loss} loss */
export function lostUpdates({ first, last }) {
  return `${count(last - first + 1, 'update')} lost`;
}

/** @param {Loss} loss */
export function lostNumbers({ first, last }) {
  return first === last ? `#${first}` : `#${first}–${last}`;
}

/** @param {{ place: string, reason: string }} loss */
export function lostWhy({ place, reason }) {
  return PLACES.includes(place) ? `${reason} in the ${place}` : `${reason} (${place})`;
}

/**
 * What a trace's sessions have lost so far: for each that has, a beginning, and for each kind of loss a text
 * and the trace of its newest.
 *
 * @param {{ id: string, lost: { place: string, reason: string, updates: number,
 *   traceId: string | null }[] }[]} sessions as the API gives them
 */
export function sessionLosses(sessions) {
  return sessions
    .filter(({ lost }) => lost.length > 0)
    .map(({ id, lost }) => {
      const who = sessions.length === 1 ? 'This session' : `Session ${id.slice(0, 8)}`;
      const updates = lost.reduce((sum, kind) => sum + kind.updates, 0);
      const kinds = lost.map((kind) => ({
        text: `${kind.updates.toLocaleString('en')} ${lostWhy(kind)}`,
        traceId: kind.traceId,
      }));
      return { beginning: `${who} lost ${count(updates, 'update')}: `, kinds };
    });
}
